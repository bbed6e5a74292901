//! A file that is read at any place: on this disk, or in parts over the network.
use super::stream::{Bytes as Stream, Counted};
use super::{Place, open};
use crate::net::Remote;
use bytes::Bytes;
use muse_stage::StageError;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A file, here or elsewhere.
pub(crate) enum Input {
    Disk(File),
    Remote(Remote),
}

impl Input {
    pub(crate) fn open(place: &Place) -> Result<Self, StageError> {
        Ok(match place {
            Place::Disk(path) => Self::Disk(open(path)?),
            Place::Remote(remote) => Self::Remote(remote.clone()),
        })
    }

    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Disk(file) => Self::Disk(file.try_clone()?),
            Self::Remote(remote) => Self::Remote(remote.clone()),
        })
    }

    /// The first bytes, as far as there are that many.
    pub(super) fn head(&self, head: &mut [u8; 4]) -> io::Result<usize> {
        match self {
            Self::Disk(file) => {
                let mut known = 0;
                while known < head.len() {
                    match file.read_at(&mut head[known..], known as u64)? {
                        0 => break,
                        read => known += read,
                    }
                }
                Ok(known)
            }
            Self::Remote(remote) => {
                let known = usize::try_from(remote.size().min(4)).unwrap_or(4);
                remote.ensure(0, known as u64)?;
                remote.reader(0).read_exact(&mut head[..known])?;
                Ok(known)
            }
        }
    }

    /// All bytes in order, counted in `done`.
    pub(super) fn bytes(self, done: Arc<AtomicU64>) -> Stream {
        match self {
            Self::Disk(file) => Box::new(Counted { inner: file, bytes: done }),
            Self::Remote(remote) => Box::new(Counted { inner: remote.reader(0), bytes: done }),
        }
    }

    /// Sees to it that these parts are on this disk.
    pub(super) fn fetch(&self, parts: &[Range<u64>]) -> io::Result<()> {
        match self {
            Self::Disk(_) => Ok(()),
            Self::Remote(remote) => remote.ensure_all(parts),
        }
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Self::Disk(file) => Length::len(file),
            Self::Remote(remote) => remote.size(),
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Disk(file) => Box::new(file.get_read(start)?),
            Self::Remote(remote) => Box::new(remote.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self {
            Self::Disk(file) => file.get_bytes(start, length),
            Self::Remote(remote) => remote.get_bytes(start, length),
        }
    }
}
