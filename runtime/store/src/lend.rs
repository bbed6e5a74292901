//! A person's own files as a stage's inputs: shared where that is cheap, and looked at again afterwards.
use crate::stamp::Stamp;
use crate::store::Store;
use crate::{Digest, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files up to this size are copied: a stage that writes to them then harms nobody.
const COPIED: u64 = 1 << 20;

/// A file that a stage sees by a second name.
#[derive(Debug)]
pub struct LinkedFile {
    path: PathBuf,
    lent: PathBuf,
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
            let real = disk.canonicalize(path)?;
            let vouched = self.vouched(&real, digest);
            if disk.link(&real, dest).is_ok() {
                if let Some(before) = &vouched {
                    self.follow(&real, digest, before);
                }
                let lent = dest.to_owned();
                return Ok(Some(LinkedFile { path: real, lent, digest: *digest }));
            }
        }
        disk.copy_new(path, dest, mode)?;
        Ok(None)
    }

    /// Whether a lent file has the content that it should have; takes the second name away.
    pub fn unchanged(&self, file: &LinkedFile) -> bool {
        let disk = &self.0.disk;
        let LinkedFile { path, lent, digest } = file;
        let vouched = self.vouched(path, digest);
        let stamp = |path: &Path| disk.lstat(path).ok().map(|meta| Stamp::of(&meta));
        let linked = stamp(lent).zip(stamp(path)).is_some_and(|(lent, own)| lent.same_file(&own));
        if linked
            && disk.unlink(lent).is_ok()
            && let Some(before) = &vouched
        {
            self.follow(path, digest, before);
        }
        // Where nobody vouches for it, content decides: it was too young, or another run has lent it too.
        vouched.is_some() || self.0.index.digest(path).is_ok_and(|hashed| hashed.digest == *digest)
    }
}
