//! Results for people: copies that they may write to, checked on the way, there whole or not at all.
use crate::disk::found;
use crate::machine;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::tree::TreeEntry;
use crate::{Artifact, Digest, Op, Result, StoreError};
use rayon::prelude::*;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

impl Store {
    /// Copies a result to `dest`, which must be absent, or for a folder an empty one.
    pub fn take_out(&self, artifact: &Artifact, dest: &Path) -> Result<()> {
        self.take_out_to(dest, |temporary| self.copy_out(artifact, temporary))
    }

    /// Copies several results into a folder at `dest`, which must be absent or empty, each by its name.
    pub fn take_out_all(&self, results: &[(&str, &Artifact)], dest: &Path) -> Result<()> {
        if let Some((name, _)) = results.iter().find(|(name, _)| !is_plain(name)) {
            let astray = io::Error::new(ErrorKind::InvalidInput, "not a name within the folder");
            return Err(StoreError::io(Op::Create, dest.join(name))(astray));
        }
        self.take_out_to(dest, |temporary| {
            self.0.disk.mkdir(temporary)?;
            results.iter().try_for_each(|(name, artifact)| self.copy_out(artifact, &temporary.join(name)))
        })
    }

    /// Fills a temporary neighbour of `dest`, then gives it its name.
    fn take_out_to(&self, dest: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let disk = &self.0.disk;
        let taken = match found(disk.lstat(dest))? {
            None => false,
            Some(meta) => !meta.is_dir() || !disk.list(dest)?.is_empty(),
        };
        if taken {
            return Err(StoreError::Exists { path: dest.to_owned() });
        }
        let above = dest.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.mkdir_all(above)?;
        let mut name = OsString::from(".");
        name.push(dest.file_name().unwrap_or_default());
        name.push(format!(".muse-{}", machine::nonce()));
        let temporary = above.join(name);
        let done = fill(&temporary).and_then(|()| self.name_it(&temporary, dest));
        if done.is_err() {
            disk.remove_all(&temporary).ok();
        }
        done
    }

    /// A rename would put a file in the place of one that came meanwhile; a link does not.
    fn name_it(&self, temporary: &Path, dest: &Path) -> Result<()> {
        let disk = &self.0.disk;
        if disk.lstat(temporary)?.is_dir() {
            return disk.rename(temporary, dest);
        }
        match disk.link(temporary, dest) {
            Ok(()) => disk.unlink(temporary).map(drop),
            Err(error) if error.is_there() => Err(StoreError::Exists { path: dest.to_owned() }),
            // Some file systems know no links.
            Err(_) => disk.rename(temporary, dest),
        }
    }

    fn copy_out(&self, artifact: &Artifact, dest: &Path) -> Result<()> {
        if !artifact.tree {
            return self.copy_file_out(&artifact.digest, artifact.executable, dest);
        }
        let tree = match self.tree(&artifact.digest) {
            Err(StoreError::Damaged { path, why }) => {
                self.drop_damaged(&path, &why);
                return Err(StoreError::Damaged { path, why });
            }
            other => other?,
        };
        let disk = &self.0.disk;
        disk.mkdir(dest)?;
        let mut files: Vec<(Digest, bool, PathBuf)> = Vec::new();
        for entry in tree.entries() {
            let path = dest.join(entry.path());
            match entry {
                TreeEntry::Empty { .. } => drop(disk.mkdir_all(&path)?),
                TreeEntry::File { digest, executable, .. } => {
                    if let Some(folder) = path.parent() {
                        disk.mkdir_all(folder)?;
                    }
                    files.push((*digest, *executable, path));
                }
            }
        }
        files
            .into_par_iter()
            .try_for_each(|(digest, executable, path)| self.copy_file_out(&digest, executable, &path))
    }

    /// The copy is what is hashed: so it is right whatever happens to the blob meanwhile.
    fn copy_file_out(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<()> {
        let blob = self.blob_path(digest);
        match self.copy_or_reflink(&blob, dest, if executable { 0o777 } else { 0o666 }) {
            Err(StoreError::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && found(self.0.disk.lstat(&blob))?.is_none() =>
            {
                return Err(StoreError::Missing { digest: *digest });
            }
            other => other?,
        }
        let stamp = Stamp::of(&self.0.disk.lstat(dest)?);
        if self.0.index.hash_as(dest, &stamp)? == Some(*digest) {
            return Ok(());
        }
        let why = "its content does not match its name".to_owned();
        self.drop_damaged(&blob, &why);
        Err(StoreError::Damaged { path: blob, why })
    }
}

/// Whether a name is one part of a path, and none that leads elsewhere.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(Component::Normal(part)) if part == name) && parts.next().is_none()
}
