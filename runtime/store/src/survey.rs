//! All that is in the store, listed: for gc and verify.
use crate::disk::found;
use crate::store::Store;
use crate::{Artifact, Digest, Key, Record, Result};
use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Store {
    /// Every blob with its size, as it stands on disk.
    pub(crate) fn all_blobs(&self) -> Result<BTreeMap<Digest, u64>> {
        let mut blobs = BTreeMap::new();
        for (shelf, name, path) in self.shelved("blobs-v1")? {
            let Some(digest) = Digest::from_hex(&format!("{shelf}{name}")) else { continue };
            if let Some(meta) = found(self.0.disk.lstat(&path))?.filter(|meta| meta.is_file()) {
                blobs.insert(digest, meta.size());
            }
        }
        Ok(blobs)
    }

    /// Every key that has a record, with the record's file.
    pub(crate) fn all_keys(&self) -> Result<BTreeMap<Key, PathBuf>> {
        let shelved = self.shelved("records-v1")?.into_iter();
        let named = shelved.filter_map(|(_, name, path)| Some((Key::new(Digest::from_hex(&name)?), path)));
        Ok(named.filter(|(key, path)| self.0.home.record(key) == *path).collect())
    }

    /// Every record that can be read; the others are complaints.
    pub fn records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for (key, path) in self.all_keys()? {
            records.extend(self.record_at(&key, &path)?);
        }
        Ok(records)
    }

    /// The keys of all results, unread.
    pub fn keys(&self) -> Result<HashSet<Key>> {
        Ok(self.all_keys()?.into_keys().collect())
    }

    /// The content that a result consists of, with sizes: for a folder its manifest too, whose size is not known
    /// before it is read. Content that is gone is left out where only a lost manifest knows of it.
    pub(crate) fn content_of(&self, artifact: &Artifact) -> Vec<Digest> {
        let mut digests = vec![artifact.digest];
        if artifact.tree
            && let Ok(tree) = self.tree(&artifact.digest)
        {
            digests.extend(tree.blobs().map(|(digest, _)| digest));
        }
        digests
    }

    /// The files in the 256 folders of a folder: shelf, name and path.
    fn shelved(&self, folder: &str) -> Result<Vec<(String, String, PathBuf)>> {
        let folder = self.0.home.at(folder);
        let mut files = Vec::new();
        for shelf in self.folders_in(&folder)? {
            for listed in self.0.disk.list_if_there(&folder.join(&shelf))? {
                if let Ok(name) = listed.name.into_string() {
                    let path = folder.join(&shelf).join(&name);
                    files.push((shelf.clone(), name, path));
                }
            }
        }
        Ok(files)
    }

    /// The names of the folders in a folder; none where it is missing.
    pub(crate) fn folders_in(&self, folder: &Path) -> Result<Vec<String>> {
        let listed = self.0.disk.list_if_there(folder)?.into_iter();
        Ok(listed.filter(|one| one.kind.is_dir()).filter_map(|one| one.name.into_string().ok()).collect())
    }
}
