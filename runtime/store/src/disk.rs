//! The file system as the store uses it: errors name what was tried, and removals of what is gone succeed.
use crate::fs::{Fs, Listed};
use crate::{Op, Result, StoreError};
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The seam to the file system.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<dyn Fs>);

impl Disk {
    pub(crate) fn new(fs: Arc<dyn Fs>) -> Self {
        Self(fs)
    }

    pub(crate) fn stat(&self, path: &Path) -> Result<Metadata> {
        self.0.stat(path).map_err(StoreError::io(Op::Read, path))
    }

    pub(crate) fn lstat(&self, path: &Path) -> Result<Metadata> {
        self.0.lstat(path).map_err(StoreError::io(Op::Read, path))
    }

    pub(crate) fn open(&self, path: &Path) -> Result<File> {
        self.0.open(path).map_err(StoreError::io(Op::Read, path))
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.0.read(path).map_err(StoreError::io(Op::Read, path))
    }

    /// `None` where there is no such file.
    pub(crate) fn read_if_there(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        found(self.read(path))
    }

    pub(crate) fn list(&self, path: &Path) -> Result<Vec<Listed>> {
        self.0.list(path).map_err(StoreError::io(Op::List, path))
    }

    /// Nothing where there is no such folder.
    pub(crate) fn list_if_there(&self, path: &Path) -> Result<Vec<Listed>> {
        found(self.list(path)).map(Option::unwrap_or_default)
    }

    pub(crate) fn read_link(&self, path: &Path) -> Result<PathBuf> {
        self.0.read_link(path).map_err(StoreError::io(Op::Read, path))
    }

    pub(crate) fn canonicalize(&self, path: &Path) -> Result<PathBuf> {
        self.0.canonicalize(path).map_err(StoreError::io(Op::Read, path))
    }

    pub(crate) fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        self.0.write_new(path, bytes, mode).map_err(StoreError::io(Op::Write, path))
    }

    pub(crate) fn copy_new(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        self.0.copy_new(from, to, mode).map_err(StoreError::io(Op::Copy, to))
    }

    pub(crate) fn reflink_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.reflink_new(from, to).map_err(StoreError::io(Op::Copy, to))
    }

    pub(crate) fn sync_file(&self, path: &Path) -> Result<()> {
        self.0.sync_file(path).map_err(StoreError::io(Op::Sync, path))
    }

    pub(crate) fn sync_dir(&self, path: &Path) -> Result<()> {
        self.0.sync_dir(path).map_err(StoreError::io(Op::Sync, path))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to).map_err(StoreError::io(Op::Rename, to))
    }

    pub(crate) fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.link(from, to).map_err(StoreError::io(Op::Link, to))
    }

    pub(crate) fn mkdir(&self, path: &Path) -> Result<()> {
        self.0.mkdir(path).map_err(StoreError::io(Op::Create, path))
    }

    /// Takes a file away; whether there was one.
    pub(crate) fn unlink(&self, path: &Path) -> Result<bool> {
        found(self.0.unlink(path).map_err(StoreError::io(Op::Remove, path))).map(|done| done.is_some())
    }

    pub(crate) fn rmdir(&self, path: &Path) -> Result<()> {
        self.0.rmdir(path).map_err(StoreError::io(Op::Remove, path))
    }

    pub(crate) fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        self.0.set_mode(path, mode).map_err(StoreError::io(Op::Change, path))
    }

    pub(crate) fn touch(&self, path: &Path) -> Result<()> {
        self.0.touch(path).map_err(StoreError::io(Op::Change, path))
    }

    /// Makes a folder and what is missing above it; the folders that are new, deepest last.
    pub(crate) fn mkdir_all(&self, path: &Path) -> Result<Vec<PathBuf>> {
        match self.mkdir(path) {
            Ok(()) => Ok(vec![path.to_owned()]),
            Err(error) if error.is_there() => Ok(Vec::new()),
            Err(error) if error.is_missing() => {
                let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
                    return Err(error);
                };
                let mut made = self.mkdir_all(parent)?;
                match self.mkdir(path) {
                    Ok(()) => made.push(path.to_owned()),
                    Err(error) if error.is_there() => {}
                    Err(error) => return Err(error),
                }
                Ok(made)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a file or a folder with all below it away, links not followed.
    pub(crate) fn remove_all(&self, path: &Path) -> Result<()> {
        let Some(meta) = found(self.lstat(path))? else { return Ok(()) };
        if !meta.is_dir() {
            return self.unlink(path).map(drop);
        }
        let names = match self.list(path) {
            Ok(names) => names,
            Err(_) => {
                // A stage may have taken its own rights away.
                self.set_mode(path, 0o700)?;
                self.list(path)?
            }
        };
        for listed in names {
            let below = path.join(&listed.name);
            if let Err(error) = self.remove_all(&below) {
                self.set_mode(path, 0o700).map_err(|_| error)?;
                self.remove_all(&below)?;
            }
        }
        self.rmdir(path)
    }
}

/// Turns "no such file" into `None`.
pub(crate) fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
