//! A file that is not whole yet: `x.part` has its bytes, `x.have` says which of them are there.
//!
//! The list is written behind the bytes, so that it never promises too much: after a kill the last of them are
//! fetched again. It only grows, line by line; a line that was cut names a smaller range, never a larger one.
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file that grows in any order.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
    size: u64,
    /// Some bytes came from an earlier attempt.
    pub(crate) resumed: bool,
}

struct State {
    have: Vec<Range<u64>>,
    list: File,
}

impl Part {
    /// Opens what an earlier attempt left, or begins. What was begun as something else is dropped: `tag` names the
    /// content.
    pub(crate) fn open(whole: &Path, size: u64, tag: &str) -> io::Result<Self> {
        let (path, list_path) = (beside(whole, "part"), beside(whole, "have"));
        if let Some(parent) = whole.parent() {
            fs::create_dir_all(parent)?;
        }
        let head = format!("muse part 1 {size} {}", tag.escape_default());
        let mut list = File::options().read(true).append(true).create(true).open(&list_path)?;
        let mut known = Vec::new();
        list.rewind()?;
        Read::by_ref(&mut list).take(64 << 20).read_to_end(&mut known)?;
        let known = String::from_utf8_lossy(&known);
        let mut lines = known.split_inclusive('\n');
        let same = lines.next() == Some(format!("{head}\n").as_str());
        let mut file = File::options();
        file.read(true).write(true).create(true);
        let mut have = Vec::new();
        let file = if same && path.is_file() {
            for line in lines {
                let parsed = line.strip_suffix('\n').and_then(|line| line.split_once(' '));
                if let Some((Ok(start), Ok(end))) = parsed.map(|(a, b)| (a.parse(), b.parse())) {
                    add(&mut have, start..end, size);
                }
            }
            // A torn last line must not swallow the next one.
            list.write_all(b"\n")?;
            file.open(&path)?
        } else {
            let file = file.truncate(true).open(&path)?;
            list.set_len(0)?;
            list.write_all(format!("{head}\n").as_bytes())?;
            file
        };
        let resumed = !have.is_empty();
        Ok(Self { path, file, state: Mutex::new(State { have, list }), size, resumed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the whole is.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The first gap within `range`.
    pub(crate) fn gap(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut start = range.start;
        let end = range.end.min(self.size);
        for have in &self.state().have {
            if have.start > start {
                break;
            }
            start = start.max(have.end);
        }
        if start >= end {
            return None;
        }
        let next = self.state().have.iter().map(|have| have.start).find(|at| *at > start);
        Some(start..next.unwrap_or(end).min(end))
    }

    /// How many bytes are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().have.iter().map(|range| range.end - range.start).sum()
    }

    /// Puts bytes in their place. They count from [`Part::keep`] on.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// The bytes of `range` were written: once they are on the disk, they count.
    pub(crate) fn keep(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.file.sync_data()?;
        let mut state = self.state();
        writeln!(state.list, "{} {}", range.start, range.end)?;
        add(&mut state.have, range, self.size);
        Ok(())
    }

    /// Reads what is there.
    pub(crate) fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
    }

    /// All of it is there and right: it gets its name.
    pub(crate) fn finish(&self, whole: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, whole)?;
        let _ = fs::remove_file(beside(whole, "have"));
        Ok(())
    }

    /// Forgets all of it.
    pub(crate) fn drop_all(whole: &Path) -> io::Result<()> {
        for path in [beside(whole, "have"), beside(whole, "part")] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn beside(whole: &Path, ending: &str) -> PathBuf {
    let mut name = whole.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Adds a range to sorted ones that do not touch.
fn add(have: &mut Vec<Range<u64>>, range: Range<u64>, size: u64) {
    if range.start >= range.end || range.end > size {
        return;
    }
    let first = have.partition_point(|old| old.end < range.start);
    let last = have.partition_point(|old| old.start <= range.end);
    let touched = &have[first..last];
    let start = touched.first().map_or(range.start, |old| old.start.min(range.start));
    let end = touched.last().map_or(range.end, |old| old.end.max(range.end));
    have.splice(first..last, std::iter::once(start..end));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_what_was_added(pieces in proptest::collection::vec((0u64..60, 0u64..20), 0..20)) {
            let mut have = Vec::new();
            let mut bits = [false; 80];
            for (start, length) in pieces {
                add(&mut have, start..start + length, 80);
                bits[start as usize..(start + length) as usize].fill(true);
            }
            for (at, bit) in bits.iter().enumerate() {
                prop_assert_eq!(*bit, have.iter().any(|range| range.contains(&(at as u64))));
            }
            prop_assert!(have.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }

    #[test]
    fn a_torn_list_promises_no_more_than_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("x");
        let part = Part::open(&whole, 2000, "\"tag\"").unwrap();
        assert_eq!(part.gap(&(0..u64::MAX)), Some(0..2000));
        part.write(100, &[7; 1900]).unwrap();
        part.keep(100..2000).unwrap();
        assert_eq!(part.gap(&(0..2000)), Some(0..100));
        drop(part);
        let list = folder.path().join("x.have");
        let text = fs::read(&list).unwrap();
        for cut in 0..=text.len() {
            fs::write(&list, &text[..cut]).unwrap();
            let part = Part::open(&whole, 2000, "\"tag\"").unwrap();
            assert!(part.bytes() <= 1900);
            assert!(part.gap(&(0..100)).is_some(), "cut at {cut}");
            // What is put behind a torn line counts.
            part.write(0, &[1; 50]).unwrap();
            part.keep(0..50).unwrap();
            drop(part);
            let part = Part::open(&whole, 2000, "\"tag\"").unwrap();
            assert_eq!(part.gap(&(0..100)), Some(50..100), "cut at {cut}");
        }
        let other = Part::open(&whole, 2000, "\"other\"").unwrap();
        assert!((other.bytes() == 0) && !other.resumed);
    }
}
