//! Hashes of files that this machine has seen, so that a file is hashed again only where it may have changed.
//!
//! `index-v1/<host>` is a sealed file: entries of 76 bytes, sorted by device and inode, searched where they stand.
//! ```text
//! 0 device  8 inode  16 size  24 mtime ns  32 ctime ns  40 day last seen (u32)  44 digest  76
//! ```
use crate::clock::Clock;
use crate::disk::{Disk, found};
use crate::hash::hash_file;
use crate::layout::Home;
use crate::machine;
use crate::sealed::{seal, unseal};
use crate::{Digest, Op, Result, StoreError};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

const ENTRY: usize = 76;
const SECOND: i64 = 1_000_000_000;
/// How old a file must be before its hash is remembered: far more than a tick of any file system's clock.
const SETTLED: i64 = 20_000_000;
/// The same where times seem to be whole seconds.
const SETTLED_COARSE: i64 = 2 * SECOND;
/// How far the day in an entry may lag behind, so that a run that changes nothing writes nothing.
const SEEN_LAG: u32 = 7;
/// How often a file that changes while it is hashed is tried again.
const TRIES: u32 = 3;

/// What a file's hash is, and how it was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// It was read just now, not remembered.
    pub hashed_now: bool,
}

/// Which state of which file: equal stamps mean equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    ctime: i64,
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let time = |seconds: i64, ns: i64| seconds.saturating_mul(SECOND).saturating_add(ns);
        Self {
            file: (meta.dev(), meta.ino()),
            size: meta.size(),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Whether both are states of one file.
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// Whether a write after `now` must show in the times. Git calls the other case racy.
    fn settled(&self, now: SystemTime) -> bool {
        self.older(self.mtime.max(self.ctime), nanoseconds(now))
    }

    /// The same by the time of writing alone: for our own files, whose names and modes we change ourselves.
    pub(crate) fn written_before(&self, now: SystemTime) -> bool {
        self.older(self.mtime, nanoseconds(now))
    }

    fn older(&self, time: i64, now: i64) -> bool {
        let coarse = self.mtime % SECOND == 0 && self.ctime % SECOND == 0;
        time < now.saturating_sub(if coarse { SETTLED_COARSE } else { SETTLED })
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    i64::try_from(since).unwrap_or(i64::MAX)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stamp: Stamp,
    seen: u32,
    digest: Digest,
}

/// The entries of the file, as they stand in it.
#[derive(Debug, Default)]
struct Base {
    body: Vec<u8>,
    stamp: Option<Stamp>,
}

/// What this machine knows of files.
#[derive(Debug)]
pub struct Index {
    home: Arc<Home>,
    disk: Disk,
    clock: Arc<dyn Clock>,
    base: OnceLock<Base>,
    fresh: RwLock<BTreeMap<(u64, u64), Entry>>,
    changed: AtomicBool,
}

impl Index {
    pub(crate) fn new(home: Arc<Home>, disk: Disk, clock: Arc<dyn Clock>) -> Self {
        let (base, fresh) = (OnceLock::new(), RwLock::default());
        Self { home, disk, clock, base, fresh, changed: AtomicBool::new(false) }
    }

    /// The hash of a file; links are followed. A folder or a device is an error.
    pub fn digest(&self, path: &Path) -> Result<Hashed> {
        for _ in 0..TRIES {
            let meta = self.disk.stat(path)?;
            if !meta.is_file() {
                let kind = if meta.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput };
                return Err(StoreError::io(Op::Read, path)(io::Error::new(kind, "not a regular file")));
            }
            let hashed = |digest, hashed_now| Hashed {
                digest,
                bytes: meta.size(),
                executable: meta.mode() & 0o100 != 0,
                hashed_now,
            };
            let stamp = Stamp::of(&meta);
            if let Some(digest) = self.vouched(&stamp) {
                return Ok(hashed(digest, false));
            }
            let started = self.clock.now();
            let Some(digest) = self.hash_as(path, &stamp)? else { continue };
            self.remember_if_settled(stamp, digest, started);
            return Ok(hashed(digest, true));
        }
        Err(StoreError::Changing { path: path.to_owned() })
    }

    /// The hashes of many files, in their order, on all cores.
    pub fn digests(&self, paths: &[PathBuf]) -> Vec<Result<Hashed>> {
        paths.par_iter().with_min_len(32).map(|path| self.digest(path)).collect()
    }

    /// Writes what is new, if anything is. A store that cannot be written to only means hashing again.
    pub fn save(&self) {
        if self.changed.swap(false, Ordering::Relaxed) && self.write().is_err() {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Reads a file whole; `None` where it was not, before and after, in the state of `stamp`.
    pub(crate) fn hash_as(&self, path: &Path, stamp: &Stamp) -> Result<Option<Digest>> {
        let file = self.disk.open(path)?;
        let now = || file.metadata().map(|meta| Stamp::of(&meta)).map_err(StoreError::io(Op::Read, path));
        if now()? != *stamp {
            return Ok(None);
        }
        match hash_file(&file, stamp.size) {
            Ok(digest) => Ok((now()? == *stamp).then_some(digest)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(StoreError::io(Op::Read, path)(error)),
        }
    }

    /// The digest of a file in this state, where it is known.
    pub(crate) fn vouched(&self, stamp: &Stamp) -> Option<Digest> {
        let fresh = self.fresh.read().unwrap_or_else(PoisonError::into_inner).get(&stamp.file).copied();
        if let Some(entry) = fresh {
            return (entry.stamp == *stamp).then_some(entry.digest);
        }
        let entry = self.base().find(stamp.file).filter(|entry| entry.stamp == *stamp)?;
        if entry.seen.saturating_add(SEEN_LAG) < self.today() {
            self.remember(*stamp, entry.digest);
        }
        Some(entry.digest)
    }

    /// From now on a file in this state has this digest.
    pub(crate) fn remember(&self, stamp: Stamp, digest: Digest) {
        let entry = Entry { stamp, seen: self.today(), digest };
        self.fresh.write().unwrap_or_else(PoisonError::into_inner).insert(stamp.file, entry);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The same, where a later write to the file must show in its times.
    pub(crate) fn remember_if_settled(&self, stamp: Stamp, digest: Digest, now: SystemTime) {
        if stamp.settled(now) {
            self.remember(stamp, digest);
        }
    }

    /// Forgets files that nobody has asked for in so many days; how many.
    pub(crate) fn prune(&self, days: u32) -> usize {
        let limit = self.today().saturating_sub(days);
        let old = self.base().entries().filter(|entry| entry.seen < limit).count();
        if old > 0 && self.write_since(limit).is_ok() { old } else { 0 }
    }

    fn today(&self) -> u32 {
        let day = nanoseconds(self.clock.now()) / SECOND / 86_400;
        u32::try_from(day).unwrap_or_default()
    }

    fn path(&self) -> PathBuf {
        let name: String = machine::here()
            .host
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' })
            .collect();
        self.home.at("index-v1").join(if name.is_empty() { "host" } else { &name })
    }

    fn base(&self) -> &Base {
        self.base.get_or_init(|| self.read())
    }

    /// What stands on disk; a file that is missing or damaged knows nothing.
    fn read(&self) -> Base {
        let path = self.path();
        let stamp = self.disk.stat(&path).ok().map(|meta| Stamp::of(&meta));
        let body = self.disk.read(&path).ok().and_then(|file| {
            let body = unseal("index", &file).ok()?;
            (body.len() % ENTRY == 0).then(|| body.to_vec())
        });
        Base { body: body.unwrap_or_default(), stamp }
    }

    fn write(&self) -> Result<()> {
        self.write_since(0)
    }

    fn write_since(&self, day: u32) -> Result<()> {
        let path = self.path();
        let fresh = self.fresh.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Another process may have written since we read.
        let now = found(self.disk.stat(&path))?.map(|meta| Stamp::of(&meta));
        let newer = (now != self.base().stamp).then(|| self.read());
        let base = newer.as_ref().unwrap_or_else(|| self.base());
        let mut body = Vec::with_capacity(base.body.len() + fresh.len() * ENTRY);
        let mut new = fresh.values().peekable();
        for old in base.entries() {
            while let Some(entry) = new.next_if(|entry| entry.stamp.file < old.stamp.file) {
                entry.append_to(&mut body);
            }
            if let Some(entry) = new.next_if(|entry| entry.stamp.file == old.stamp.file) {
                entry.append_to(&mut body);
            } else if old.seen >= day {
                old.append_to(&mut body);
            }
        }
        new.for_each(|entry| entry.append_to(&mut body));
        let scratch = self.home.scratch()?;
        self.disk.mkdir_all(&self.home.at("index-v1"))?;
        self.disk.write_new(&scratch, &seal("index", &body), 0o666)?;
        self.disk.rename(&scratch, &path)
    }
}

impl Base {
    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.body.chunks_exact(ENTRY).filter_map(Entry::read)
    }

    fn find(&self, file: (u64, u64)) -> Option<Entry> {
        let (mut low, mut high) = (0, self.body.len() / ENTRY);
        while low < high {
            let middle = low.midpoint(high);
            let at = middle.checked_mul(ENTRY)?;
            let entry = Entry::read(self.body.get(at..at.checked_add(ENTRY)?)?)?;
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
