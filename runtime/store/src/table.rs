//! The index as it stands on disk: entries of 76 bytes, sorted by device and inode, searched where they stand.
//!
//! ```text
//! 0 device  8 inode  16 size  24 mtime ns  32 ctime ns  40 day last seen (u32)  44 digest  76
//! ```
use crate::Digest;
use crate::stamp::Stamp;
use std::collections::BTreeMap;

const ENTRY: usize = 76;

/// What is known of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) stamp: Stamp,
    /// The day on which somebody last asked for it, counted from 1970.
    pub(crate) seen: u32,
    pub(crate) digest: Digest,
}

/// Entries as they stand in the file.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<u8>);

impl Table {
    /// A table from its bytes; `None` where they are no whole entries.
    pub(crate) fn new(body: &[u8]) -> Option<Self> {
        body.len().is_multiple_of(ENTRY).then(|| Self(body.to_vec()))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.chunks_exact(ENTRY).filter_map(Entry::read)
    }

    /// The bytes of a table with newer entries in it, and without those that nobody has asked for since `day`.
    pub(crate) fn merged(&self, newer: &BTreeMap<(u64, u64), Entry>, day: u32) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.0.len().saturating_add(newer.len().saturating_mul(ENTRY)));
        let mut newer = newer.values().peekable();
        for old in self.entries() {
            while let Some(entry) = newer.next_if(|entry| entry.stamp.file < old.stamp.file) {
                entry.append_to(&mut body);
            }
            if let Some(entry) = newer.next_if(|entry| entry.stamp.file == old.stamp.file) {
                entry.append_to(&mut body);
            } else if old.seen >= day {
                old.append_to(&mut body);
            }
        }
        newer.for_each(|entry| entry.append_to(&mut body));
        body
    }

    pub(crate) fn find(&self, file: (u64, u64)) -> Option<Entry> {
        let (mut low, mut high) = (0, self.0.len() / ENTRY);
        while low < high {
            let middle = low.midpoint(high);
            let at = middle.checked_mul(ENTRY)?;
            let entry = Entry::read(self.0.get(at..at.checked_add(ENTRY)?)?)?;
            match entry.stamp.file.cmp(&file) {
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(entry),
            }
        }
        None
    }
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (device, rest) = bytes.split_first_chunk()?;
        let (inode, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (mtime, rest) = rest.split_first_chunk()?;
        let (ctime, rest) = rest.split_first_chunk()?;
        let (seen, rest) = rest.split_first_chunk()?;
        let stamp = Stamp {
            file: (u64::from_le_bytes(*device), u64::from_le_bytes(*inode)),
            size: u64::from_le_bytes(*size),
            mtime: i64::from_le_bytes(*mtime),
            ctime: i64::from_le_bytes(*ctime),
        };
        let digest = Digest::from_bytes(rest.try_into().ok()?);
        Some(Self { stamp, seen: u32::from_le_bytes(*seen), digest })
    }

    fn append_to(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(&self.stamp.file.0.to_le_bytes());
        body.extend_from_slice(&self.stamp.file.1.to_le_bytes());
        body.extend_from_slice(&self.stamp.size.to_le_bytes());
        body.extend_from_slice(&self.stamp.mtime.to_le_bytes());
        body.extend_from_slice(&self.stamp.ctime.to_le_bytes());
        body.extend_from_slice(&self.seen.to_le_bytes());
        body.extend_from_slice(self.digest.as_bytes());
    }
}
