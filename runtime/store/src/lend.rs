//! A person's own files as a stage's inputs: shared where that is cheap, and looked at again afterwards.
use crate::stamp::Stamp;
use crate::store::Store;
use crate::{Digest, Op, Result, StoreError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files up to this size are copied: a stage that writes to them then harms nobody.
const COPIED: u64 = 1 << 20;

/// A file that a stage sees by a second name.
#[derive(Debug)]
pub struct LinkedFile {
    path: PathBuf,
    lent: PathBuf,
    before: Stamp,
    digest: Digest,
}

impl LinkedFile {
    /// The person's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    /// Lays a person's file out at `dest`: shared blocks, else a copy where it is small, else a second name, else
    /// a copy. A second name is answered, to be looked at with [`Store::unchanged`].
    pub fn lay_out_file(&self, path: &Path, dest: &Path, digest: &Digest) -> Result<Option<LinkedFile>> {
        let disk = &self.0.disk;
        let meta = disk.stat(path)?;
        let mode = if meta.mode() & 0o100 != 0 { 0o755 } else { 0o644 };
        if self.reflink(path, dest, mode)? {
            return Ok(None);
        }
        if meta.len() > COPIED {
            // A link to a link would not lend what it points to.
            let real = std::fs::canonicalize(path).map_err(StoreError::io(Op::Read, path))?;
            let vouched = self.vouched(&real, digest);
            if disk.link(&real, dest).is_ok() {
                let before = Stamp::of(&disk.lstat(&real)?);
                if vouched {
                    // Our own link changed the file's ctime, and nothing else of it.
                    self.0.index.remember(before, *digest);
                }
                return Ok(Some(LinkedFile { path: real, lent: dest.to_owned(), before, digest: *digest }));
            }
        }
        disk.copy_new(path, dest, mode)?;
        Ok(None)
    }

    /// Whether a lent file is what it was; takes the second name away.
    pub fn unchanged(&self, file: &LinkedFile) -> bool {
        let disk = &self.0.disk;
        let same = disk.lstat(&file.path).is_ok_and(|meta| Stamp::of(&meta) == file.before);
        let ours = disk.lstat(&file.lent).is_ok_and(|meta| Stamp::of(&meta) == file.before);
        if ours && disk.unlink(&file.lent).is_ok() && same {
            if let Ok(meta) = disk.lstat(&file.path) {
                self.0.index.remember(Stamp::of(&meta), file.digest);
            }
            return true;
        }
        // Another run may have lent the file at the same time, which changes its ctime: content decides.
        self.0.index.digest(&file.path).is_ok_and(|hashed| hashed.digest == file.digest)
    }
}
