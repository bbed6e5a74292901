//! The store itself: opening it, and what is in it.
use crate::clock::{Clock, SystemClock};
use crate::disk::{Disk, found};
use crate::fs::{Fs, RealFs};
use crate::holder::Sightings;
use crate::index::Index;
use crate::layout::Home;
use crate::stamp::Stamp;
use crate::tree::Tree;
use crate::{Artifact, Digest, Result, StoreError};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle on one cache folder. Cheap to clone; all calls may come from any thread.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) home: Arc<Home>,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: Index,
    /// When leases of other hosts were last seen to change.
    pub(crate) sightings: Mutex<Sightings>,
    /// Held while a blob's links change, so that the index can follow its times.
    pub(crate) links: Mutex<()>,
    /// This file system has refused to share blocks, so that nobody need ask again.
    pub(crate) no_reflink: AtomicBool,
    complaints: Mutex<Vec<String>>,
}

impl Store {
    /// A store at this folder. Nothing is read or made before it is needed.
    pub fn open(root: &Path) -> Self {
        Self::with_parts(root, Arc::new(RealFs), Arc::new(SystemClock))
    }

    /// A store on another file system or clock, for tests.
    pub fn with_parts(root: &Path, fs: Arc<dyn Fs>, clock: Arc<dyn Clock>) -> Self {
        let disk = Disk::new(fs);
        let home = Arc::new(Home::new(root, disk.clone()));
        let index = Index::new(Arc::clone(&home), disk.clone(), Arc::clone(&clock));
        Self(Arc::new(Inner {
            home,
            disk,
            clock,
            index,
            sightings: Mutex::default(),
            links: Mutex::default(),
            no_reflink: AtomicBool::new(false),
            complaints: Mutex::default(),
        }))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.0.home.root()
    }

    /// Where the content of this digest stands, if it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.home.blob(digest)
    }

    /// What this machine knows of files: for input files as well as for blobs.
    pub fn index(&self) -> &Index {
        &self.0.index
    }

    /// What was found damaged since the last call, for people.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn complain(&self, complaint: String) {
        let mut complaints = self.0.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if !complaints.contains(&complaint) {
            complaints.push(complaint);
        }
    }

    /// Whether all content of a result is there with its size. Content is not read.
    pub fn present(&self, artifact: &Artifact) -> bool {
        if !artifact.tree {
            return self.has(&artifact.digest, artifact.bytes);
        }
        match self.tree(&artifact.digest) {
            Ok(tree) => {
                tree.bytes() == artifact.bytes && tree.blobs().all(|(digest, bytes)| self.has(&digest, bytes))
            }
            Err(_) => false,
        }
    }

    /// Whether all content of a result is there and right. What is damaged is dropped.
    pub fn verified(&self, artifact: &Artifact) -> Result<bool> {
        if !artifact.tree {
            return self.blob_verified(&artifact.digest, artifact.bytes);
        }
        let tree = match self.tree(&artifact.digest) {
            Ok(tree) => tree,
            Err(StoreError::Missing { .. }) => return Ok(false),
            Err(StoreError::Damaged { path, why }) => {
                self.drop_damaged(&path, &why);
                return Ok(false);
            }
            Err(other) => return Err(other),
        };
        let mut blobs: Vec<(Digest, u64)> = tree.blobs().collect();
        blobs.sort_unstable();
        blobs.dedup();
        // Each blob is looked at, also after a damaged one, so that all damage is dropped in one go.
        let verdicts: Vec<Result<bool>> = blobs
            .par_iter()
            .with_min_len(32)
            .map(|(digest, bytes)| self.blob_verified(digest, *bytes))
            .collect();
        let mut whole = tree.bytes() == artifact.bytes;
        for verdict in verdicts {
            whole &= verdict?;
        }
        Ok(whole)
    }

    /// The manifest of a folder, its content checked.
    pub fn tree(&self, digest: &Digest) -> Result<Tree> {
        let path = self.blob_path(digest);
        let Some(bytes) = self.0.disk.read_if_there(&path)? else {
            return Err(StoreError::Missing { digest: *digest });
        };
        if Digest::of_bytes(&bytes) != *digest {
            return Err(StoreError::Damaged { path, why: "its content does not match its name".into() });
        }
        Tree::decode(&bytes).map_err(|why| StoreError::Damaged { path, why })
    }

    fn has(&self, digest: &Digest, bytes: u64) -> bool {
        self.0.disk.lstat(&self.blob_path(digest)).is_ok_and(|meta| meta.is_file() && meta.len() == bytes)
    }

    fn blob_verified(&self, digest: &Digest, bytes: u64) -> Result<bool> {
        let path = self.blob_path(digest);
        let Some(hashed) = found(self.0.index.digest(&path))? else { return Ok(false) };
        if hashed.digest == *digest && hashed.bytes == bytes {
            return Ok(true);
        }
        self.drop_damaged(&path, "its content does not match its name");
        Ok(false)
    }

    /// Takes damaged content away. Where that fails it is still never used: it is checked before each use.
    pub(crate) fn drop_damaged(&self, path: &Path, why: &str) {
        self.complain(format!("{} was damaged ({why}) and is dropped", path.display()));
        self.0.disk.unlink(path).ok();
    }

    /// The state of a file, where it is known to have this content without reading it.
    pub(crate) fn vouched(&self, path: &Path, digest: &Digest) -> Option<Stamp> {
        let meta = self.0.disk.lstat(path).ok()?;
        let stamp = Stamp::of(&meta);
        (meta.is_file() && self.0.index.vouched(&stamp).as_ref() == Some(digest)).then_some(stamp)
    }

    /// Follows a file whose links we have changed ourselves, which changes its ctime: all else must be as before.
    pub(crate) fn follow(&self, path: &Path, digest: &Digest, before: &Stamp) {
        if let Ok(meta) = self.0.disk.lstat(path) {
            let now = Stamp::of(&meta);
            if now.written_like(before) {
                self.0.index.remember(now, *digest);
            }
        }
    }
}
