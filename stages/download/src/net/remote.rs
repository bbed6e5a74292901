//! A file on a server that is read in parts, as far as it is needed. What came stays on the disk.
use super::pool::CONNECTIONS;
use super::{NetError, Part, Target, Web, fetch_range};
use bytes::Bytes;
use muse_stage::StageError;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a reader fetches ahead of what it is asked for: little at first, twice as much each time.
const FIRST_AHEAD: u64 = 64 << 10;
const MOST_AHEAD: u64 = 4 << 20;

/// A file that is read over the network.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Inner>);

struct Inner {
    web: Arc<Web>,
    target: Target,
    /// Where the whole would stand.
    path: PathBuf,
    /// Opened when it is first needed: a data set may have more files than a process may have open.
    part: OnceLock<Part>,
    /// The error behind the last failure: parquet and others keep no more than its text.
    failed: Mutex<Option<NetError>>,
}

impl Remote {
    /// A file that is to be read. Nothing is fetched yet.
    pub(crate) fn new(web: &Arc<Web>, target: Target, path: PathBuf) -> Self {
        let (web, part, failed) = (Arc::clone(web), OnceLock::new(), Mutex::new(None));
        Self(Arc::new(Inner { web, target, path, part, failed }))
    }

    fn part(&self) -> io::Result<&Part> {
        let inner = &self.0;
        if inner.part.get().is_none() {
            let part = Part::open(&inner.path, inner.target.size, &inner.target.tag())?;
            // Whoever was first: both are of the same file.
            let _ = inner.part.set(part);
        }
        inner.part.get().ok_or_else(|| io::Error::other("a file that was opened is gone"))
    }

    /// Sees to it that a range is on this disk.
    pub(crate) fn ensure(&self, start: u64, end: u64) -> io::Result<()> {
        let inner = &self.0;
        let range = start..end.min(inner.target.size);
        let fetched = match self.part() {
            Ok(part) => fetch_range(&inner.web, &inner.target, part, &range),
            Err(source) => Err(NetError::Disk { path: inner.path.clone(), source }),
        };
        fetched.map_err(|error| {
            let text = format!("{error:?}");
            *inner.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::Error::other(text)
        })
    }

    /// The same for many ranges, several at once. The first that fails ends it.
    pub(crate) fn ensure_all(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let part = self.part()?;
        let missing: Vec<&Range<u64>> = ranges.iter().filter(|range| part.gap(range).is_some()).collect();
        if let [only] = missing.as_slice() {
            return self.ensure(only.start, only.end);
        }
        let (next, ended) = (AtomicUsize::new(0), Mutex::new(Ok(())));
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS.min(missing.len()) {
                scope.spawn(|| {
                    while let Some(range) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(error) = self.ensure(range.start, range.end) {
                            next.store(missing.len(), Ordering::Relaxed);
                            *ended.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
                        }
                    }
                });
            }
        });
        ended.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong on the way, rather than what a reader made of it.
    pub(crate) fn failure(&self) -> Option<StageError> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map(StageError::from)
    }

    /// How long the whole is.
    pub(crate) fn size(&self) -> u64 {
        self.0.target.size
    }

    /// Reads from `at` on.
    pub(crate) fn reader(&self, at: u64) -> RemoteReader {
        RemoteReader { remote: self.clone(), at, ahead: FIRST_AHEAD, ready: at }
    }
}

/// Reads on from one place.
pub(crate) struct RemoteReader {
    remote: Remote,
    at: u64,
    ahead: u64,
    /// All before this is on the disk.
    ready: u64,
}

impl Read for RemoteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.remote.size().saturating_sub(self.at);
        let wanted = left.min(buffer.len() as u64);
        if wanted == 0 {
            return Ok(0);
        }
        if self.at + 1 > self.ready {
            self.ready = self.at + wanted.max(self.ahead).min(left);
            self.ahead = (self.ahead * 2).min(MOST_AHEAD);
            self.remote.ensure(self.at, self.ready)?;
        }
        let wanted = usize::try_from(wanted.min(self.ready - self.at)).unwrap_or(usize::MAX);
        let piece = &mut buffer[..wanted];
        self.remote.part()?.read(self.at, piece)?;
        self.at += wanted as u64;
        Ok(wanted)
    }
}

impl Length for Remote {
    fn len(&self) -> u64 {
        self.size()
    }
}

impl ChunkReader for Remote {
    type T = RemoteReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<RemoteReader> {
        Ok(self.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.size());
        let end = end.ok_or_else(|| ParquetError::EOF("a part lies behind the end of the file".into()))?;
        self.ensure(start, end)?;
        let mut bytes = vec![0; length];
        self.part()?.read(start, &mut bytes)?;
        Ok(bytes.into())
    }
}
