//! Results as a stage's inputs: laid out in its folder, cheaply, and looked at again when it has ended.
use crate::machine;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::tree::TreeEntry;
use crate::{Artifact, Digest, Result, StoreError};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files up to this size are copied: that is as fast as a link, and needs no look afterwards.
const COPIED: u64 = 256 * 1024;

/// Which files of a stage's inputs are the store's own, by a second name.
#[derive(Debug, Default)]
#[must_use = "inputs that were linked must be checked when the stage has ended"]
pub struct LaidOut {
    links: Vec<(PathBuf, Digest)>,
}

impl LaidOut {
    /// Puts what another call laid out beside this.
    pub fn join(&mut self, other: LaidOut) {
        self.links.extend(other.links);
    }

    /// How many files share their content with the store.
    pub fn linked(&self) -> usize {
        self.links.len()
    }
}

/// One file to lay out.
struct Item {
    digest: Digest,
    bytes: u64,
    executable: bool,
    path: PathBuf,
}

impl Store {
    /// Lays a result out at `dest`, which must not be there; the folder above it must.
    ///
    /// Call [`Store::verified`] before: this looks at sizes alone.
    pub fn lay_out(&self, artifact: &Artifact, dest: &Path) -> Result<LaidOut> {
        let disk = &self.0.disk;
        let Artifact { digest, bytes, executable, .. } = *artifact;
        let mut items = Vec::new();
        if artifact.tree {
            disk.mkdir(dest)?;
            let mut folders = BTreeSet::new();
            for entry in self.tree(&digest)?.entries() {
                let path = dest.join(entry.path());
                match entry {
                    TreeEntry::Empty { .. } => folders.extend([path]),
                    TreeEntry::File { digest, bytes, executable, .. } => {
                        folders.extend(path.parent().map(Path::to_owned));
                        items.push(Item { digest: *digest, bytes: *bytes, executable: *executable, path });
                    }
                }
            }
            for folder in folders {
                disk.mkdir_all(&folder)?;
            }
        } else {
            items.push(Item { digest, bytes, executable, path: dest.to_owned() });
        }
        let links: Result<Vec<_>> =
            items.into_par_iter().with_min_len(16).map(|item| self.lay(item)).collect();
        Ok(LaidOut { links: links?.into_iter().flatten().collect() })
    }

    /// Lays one file out; its name, where it shares the store's file.
    fn lay(&self, item: Item) -> Result<Option<(PathBuf, Digest)>> {
        let Item { digest, bytes, executable, path } = item;
        let disk = &self.0.disk;
        let blob = self.blob_path(&digest);
        let meta = match disk.lstat(&blob) {
            Err(error) if error.is_missing() => return Err(StoreError::Missing { digest }),
            other => other?,
        };
        if meta.len() != bytes {
            return Err(StoreError::Damaged { path: blob, why: format!("it has not {bytes} bytes") });
        }
        let mode = if executable { 0o555 } else { 0o444 };
        if self.reflink(&blob, &path, mode)? {
            return Ok(None);
        }
        // A link shares the mode too, so what may be executed is copied.
        if bytes > COPIED && !executable && self.link_blob(&blob, &digest, &path) {
            return Ok(Some((path, digest)));
        }
        disk.copy_new(&blob, &path, mode)?;
        Ok(None)
    }

    /// Gives a blob a second name. That changes its ctime, which the index must follow, or a large file would be
    /// hashed again for nothing.
    fn link_blob(&self, blob: &Path, digest: &Digest, path: &Path) -> bool {
        self.with_links(|| {
            let vouched = self.vouched(blob, digest);
            if self.0.disk.link(blob, path).is_err() {
                return false;
            }
            if let Some(before) = vouched {
                self.follow(blob, digest, &before);
            }
            true
        })
    }

    /// Looks whether a stage has written to its inputs, and takes the links away.
    ///
    /// Gives back the content that was changed, and drops it from the store. Call it before the stage's folder is
    /// removed, or the store's files would be hashed again for nothing.
    pub fn check_laid_out(&self, laid: LaidOut) -> Result<Vec<Digest>> {
        let verdicts: Result<Vec<_>> = laid
            .links
            .into_par_iter()
            .map(|(path, digest)| Ok((!self.link_is_whole(&path, &digest)?).then_some(digest)))
            .collect();
        let changed: BTreeSet<Digest> = verdicts?.into_iter().flatten().collect();
        Ok(changed.into_iter().collect())
    }

    fn link_is_whole(&self, path: &Path, digest: &Digest) -> Result<bool> {
        let disk = &self.0.disk;
        let blob = self.blob_path(digest);
        // Where the stage has moved or replaced its link, the blob itself must be looked at.
        let linked = disk.lstat(path).is_ok_and(|link| {
            disk.lstat(&blob).is_ok_and(|own| Stamp::of(&link).same_file(&Stamp::of(&own)))
        });
        let vouched = self.with_links(|| {
            let vouched = self.vouched(&blob, digest);
            if linked
                && disk.unlink(path).is_ok()
                && let Some(before) = &vouched
            {
                self.follow(&blob, digest, before);
            }
            vouched.is_some()
        });
        if vouched {
            return Ok(true);
        }
        // Something has happened to the file, if only another process that linked it: its content decides.
        match self.0.index.digest(&blob) {
            Ok(hashed) if hashed.digest == *digest => {
                disk.set_mode(&blob, machine::here().masked(0o444))?;
                Ok(true)
            }
            Ok(_) | Err(StoreError::Changing { .. }) => {
                self.drop_damaged(&blob, "a stage has written to it as its input");
                Ok(false)
            }
            // Already dropped, with its complaint, by whoever noticed first.
            Err(error) if error.is_missing() => Ok(true),
            Err(error) => Err(error),
        }
    }
}
