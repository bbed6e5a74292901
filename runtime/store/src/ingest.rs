//! Outputs on their way in: hashed, made durable, and moved to where their content names them.
use crate::machine;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::tree::{Tree, TreeEntry};
use crate::walk::{Found, Walked, walk};
use crate::{Artifact, Digest, Result, StoreError};
use rayon::prelude::*;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// What became of one file.
struct Kept {
    digest: Digest,
    bytes: u64,
}

impl Store {
    /// Takes a file or folder in as a result. It is moved, so it must be a stage's own and finished.
    ///
    /// When this returns, the content is durable. It belongs to no result before a record names it.
    pub fn ingest(&self, path: &Path) -> Result<Artifact> {
        let walked = walk(&self.0.disk, path)?;
        let artifact = self.take_in(&walked, false)?;
        // The empty shell is of no use, and gc would find it too.
        self.0.disk.remove_all(path).ok();
        Ok(artifact)
    }

    /// Takes a copy of a file or folder in as a result; the original stays as it is.
    pub fn ingest_copy(&self, path: &Path) -> Result<Artifact> {
        let walked = walk(&self.0.disk, path)?;
        self.take_in(&walked, true)
    }

    fn take_in(&self, walked: &Walked, copy: bool) -> Result<Artifact> {
        self.0.home.shelves_made()?;
        // A file that is also named by a link must be copied before it is moved away.
        let (shared, own): (Vec<_>, Vec<_>) = walked.files.iter().partition(|file| copy || file.shared);
        let mut kept: Vec<(&Found, Kept)> = Vec::with_capacity(walked.files.len());
        for (files, copy) in [(shared, true), (own, false)] {
            let done: Result<Vec<_>> =
                files.into_par_iter().map(|file| Ok((file, self.keep(&file.source, copy)?))).collect();
            kept.extend(done?);
        }
        let artifact = match (walked.tree, kept.as_slice()) {
            (false, [(file, one)]) => Artifact {
                digest: one.digest,
                bytes: one.bytes,
                tree: false,
                files: 1,
                executable: file.executable,
            },
            _ => self.keep_tree(walked, &kept)?,
        };
        let mut digests: Vec<Digest> = kept.iter().map(|(_, kept)| kept.digest).collect();
        digests.push(artifact.digest);
        self.sync_shelves(&digests)?;
        Ok(artifact)
    }

    fn keep_tree(&self, walked: &Walked, kept: &[(&Found, Kept)]) -> Result<Artifact> {
        let files = kept.iter().map(|(file, kept)| TreeEntry::File {
            path: file.path.clone(),
            digest: kept.digest,
            bytes: kept.bytes,
            executable: file.executable,
        });
        let empty = walked.empty.iter().map(|path| TreeEntry::Empty { path: path.clone() });
        let tree = Tree::new(files.chain(empty).collect())
            .map_err(|why| StoreError::BadOutput { path: PathBuf::from("out"), why: format!("has {why}") })?;
        let scratch = self.0.home.scratch()?;
        self.0.disk.write_new(&scratch, tree.encode().as_bytes(), 0o444)?;
        let manifest = self.keep(&scratch, false)?;
        Ok(Artifact {
            digest: manifest.digest,
            bytes: tree.bytes(),
            tree: true,
            files: tree.files(),
            executable: false,
        })
    }

    /// Brings one file in, moved or copied: read-only, hashed, durable, under its name.
    fn keep(&self, source: &Path, copy: bool) -> Result<Kept> {
        let disk = &self.0.disk;
        if copy {
            let scratch = self.0.home.scratch()?;
            self.copy_or_reflink(source, &scratch, 0o444)?;
            return self.keep(&scratch, false);
        }
        // Before hashing, so that nobody opens it for writing afterwards.
        disk.set_mode(source, machine::here().masked(0o444) | 0o400)?;
        let before = Stamp::of(&disk.lstat(source)?);
        let started = self.0.clock.now();
        let Some(digest) = self.0.index.hash_as(source, &before)? else {
            return Err(StoreError::Changing { path: source.to_owned() });
        };
        let path = self.0.home.blob(&digest);
        // Only a blob that is known to be right stays; else ours takes its place, which heals it.
        if self.vouched(&path, &digest).is_some() {
            disk.unlink(source)?;
            return Ok(Kept { digest, bytes: before.size });
        }
        disk.sync_file(source)?;
        match disk.rename(source, &path) {
            Err(StoreError::Io { source: error, .. }) if error.kind() == ErrorKind::CrossesDevices => {
                return self.keep(source, true);
            }
            other => other?,
        }
        let after = Stamp::of(&disk.lstat(&path)?);
        // Our rename changed the ctime; the mtime still tells of writes, where it is old enough to.
        if after.written_like(&before) && before.written_before(started) {
            self.0.index.remember(after, digest);
        }
        Ok(Kept { digest, bytes: before.size })
    }

    /// Makes the names of these blobs durable, also of those that were there: another process may have put them
    /// there a moment ago.
    fn sync_shelves(&self, digests: &[Digest]) -> Result<()> {
        let shelves: HashSet<PathBuf> =
            digests.iter().filter_map(|digest| Some(self.0.home.blob(digest).parent()?.to_owned())).collect();
        shelves.into_par_iter().try_for_each(|shelf| self.0.disk.sync_dir(&shelf))
    }

    /// A new file with the content of another, sharing its blocks where the file system can do that.
    pub(crate) fn copy_or_reflink(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        if self.reflink(from, to, mode)? { Ok(()) } else { self.0.disk.copy_new(from, to, mode) }
    }

    /// Whether the file system could share blocks.
    pub(crate) fn reflink(&self, from: &Path, to: &Path, mode: u32) -> Result<bool> {
        if self.0.no_reflink.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match self.0.disk.reflink_new(from, to) {
            Ok(()) => {
                self.0.disk.set_mode(to, machine::here().masked(mode))?;
                Ok(true)
            }
            Err(error)
                if error.is_full() || error.is_read_only() || error.is_missing() || error.is_there() =>
            {
                Err(error)
            }
            Err(_) => {
                self.0.no_reflink.store(true, Ordering::Relaxed);
                // What is half made must not be in the copy's way.
                self.0.disk.unlink(to)?;
                Ok(false)
            }
        }
    }

    /// Runs `work` while no other thread changes links of blobs.
    pub(crate) fn with_links<T>(&self, work: impl FnOnce() -> T) -> T {
        let guard = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work();
        drop(guard);
        result
    }
}
