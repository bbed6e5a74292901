//! Hashes of files that this machine has seen, so that a file is hashed again only where it may have changed.
//!
//! `index-v1/<host>` holds what is known; `table.rs` says how.
use crate::clock::Clock;
use crate::disk::{Disk, found};
use crate::hash::hash_file;
use crate::layout::Home;
use crate::machine;
use crate::sealed::{seal, unseal};
use crate::stamp::Stamp;
use crate::table::{Entry, Table};
use crate::{Digest, Op, Result, StoreError};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

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

/// The file as it was read, and which state of it that was.
#[derive(Debug, Default)]
struct Base {
    table: Table,
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
        let entry = self.base().table.find(stamp.file).filter(|entry| entry.stamp == *stamp)?;
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
        let old = self.base().table.entries().filter(|entry| entry.seen < limit).count();
        if old > 0 && self.write_since(limit).is_ok() { old } else { 0 }
    }

    fn today(&self) -> u32 {
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u32::try_from(since.as_secs() / 86_400).unwrap_or_default()
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
        let table = self.disk.read(&path).ok().and_then(|file| Table::new(unseal("index", &file).ok()?));
        Base { table: table.unwrap_or_default(), stamp }
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
        let body = base.table.merged(&fresh, day);
        let scratch = self.home.scratch()?;
        self.disk.mkdir_all(&self.home.at("index-v1"))?;
        self.disk.write_new(&scratch, &seal("index", &body), 0o666)?;
        self.disk.rename(&scratch, &path)
    }
}
