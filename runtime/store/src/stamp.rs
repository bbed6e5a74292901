//! Which state a file is in, told by what the file system says of it.
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000_000_000;
/// How old a file must be before its hash is remembered: far more than a tick of any file system's clock.
const SETTLED: i64 = 20_000_000;
/// The same where times seem to be whole seconds.
const SETTLED_COARSE: i64 = 2 * SECOND;

/// Which state of which file: equal stamps mean equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Device and inode.
    pub(crate) file: (u64, u64),
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
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

    /// Whether they differ at most in what a change of links or mode does.
    pub(crate) fn written_like(&self, other: &Self) -> bool {
        self.file == other.file && self.size == other.size && self.mtime == other.mtime
    }

    /// Whether a write after `now` must show in the times. Git calls the other case racy.
    pub(crate) fn settled(&self, now: SystemTime) -> bool {
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
