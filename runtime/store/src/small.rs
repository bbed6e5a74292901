//! Folders and small files that the engine keeps in the store: runs, work, what resumes, last results.
use crate::lease::Lease;
use crate::sealed::{seal, unseal};
use crate::store::Store;
use crate::{Key, Op, Result, StoreError};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

impl Store {
    /// Writes a small sealed file, in place of one that is there. It is there whole or not at all, also after a
    /// crash. Where it has this content already nothing is written.
    pub fn put_sealed(&self, path: &str, kind: &str, body: &[u8]) -> Result<()> {
        let path = self.below(path)?;
        let file = seal(kind, body);
        let disk = &self.0.disk;
        if disk.read_if_there(&path)?.is_some_and(|there| there == file) {
            return Ok(());
        }
        let scratch = self.0.home.scratch()?;
        let folder = path.parent().unwrap_or(self.root());
        let made = disk.mkdir_all(folder)?;
        disk.write_new(&scratch, &file, 0o666)?;
        disk.sync_file(&scratch)?;
        disk.rename(&scratch, &path)?;
        disk.sync_dir(folder)?;
        made.iter().filter_map(|folder| folder.parent()).try_for_each(|above| disk.sync_dir(above))
    }

    /// The content of a small sealed file. A damaged one is none, and a complaint.
    pub fn get_sealed(&self, path: &str, kind: &str) -> Result<Option<Vec<u8>>> {
        let path = self.below(path)?;
        let Some(file) = self.0.disk.read_if_there(&path)? else { return Ok(None) };
        match unseal(kind, &file) {
            Ok(body) => Ok(Some(body.to_vec())),
            Err(why) => {
                self.complain(format!("{} is damaged ({why}); it counts for nothing", path.display()));
                Ok(None)
            }
        }
    }

    /// The names of the files in a folder of the store, sorted; none where there is no such folder.
    pub fn names(&self, folder: &str) -> Result<Vec<String>> {
        let listed = self.0.disk.list_if_there(&self.below(folder)?)?;
        let mut names: Vec<String> =
            listed.into_iter().filter_map(|listed| listed.name.into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A folder of the store, made where it is missing: `runs/<run>` for one.
    pub fn folder(&self, path: &str) -> Result<PathBuf> {
        let path = self.below(path)?;
        self.0.home.root_made()?;
        self.0.disk.mkdir_all(&path)?;
        Ok(path)
    }

    /// Opens a file of the store for appending: logs and events.
    pub fn append(&self, path: &str) -> Result<File> {
        let path = self.below(path)?;
        self.0.home.root_made()?;
        if let Some(folder) = path.parent() {
            self.0.disk.mkdir_all(folder)?;
        }
        OpenOptions::new().append(true).create(true).open(&path).map_err(StoreError::io(Op::Create, &path))
    }

    /// A folder for an attempt, with `cwd/in/`, `cwd/out/`, `home/` and `tmp/`. Its name is short: some programs
    /// put sockets into `tmp/`, whose paths may have no more than 108 bytes. What earlier attempts at the key left
    /// goes: who has the lease is the only one at work.
    pub fn work_dir(&self, lease: &Lease) -> Result<PathBuf> {
        let name = work_name(lease.key(), &lease.holder().nonce);
        let all = self.root().join("work-v1");
        let path = all.join(&name);
        self.0.home.root_made()?;
        let same_key = name.split('-').next().unwrap_or_default();
        for listed in self.0.disk.list_if_there(&all)? {
            let earlier = listed.name.to_str().is_some_and(|name| name.split('-').next() == Some(same_key));
            if earlier {
                self.0.disk.remove_all(&all.join(&listed.name))?;
            }
        }
        for name in ["cwd/in", "cwd/out", "home", "tmp"] {
            self.0.disk.mkdir_all(&path.join(name))?;
        }
        Ok(path)
    }

    /// Takes an attempt's folder away, whatever the stage has made of it.
    pub fn remove_work_dir(&self, path: &Path) -> Result<()> {
        if !path.starts_with(self.root().join("work-v1")) {
            return Err(outside(path));
        }
        self.0.disk.remove_all(path)
    }

    /// Where an attempt at a key leaves what the next can go on from. The stage makes it when it has something.
    pub fn resume_dir(&self, key: &Key) -> PathBuf {
        self.root().join("resume-v1").join(key.hex())
    }

    /// The file that a stage process locks while it uses the resume folder.
    pub fn resume_lock(&self, key: &Key) -> PathBuf {
        self.root().join("resume-v1").join(format!("{}.lock", key.hex()))
    }

    /// Takes a key's resume folder away: its result is there, or it is not wanted.
    pub fn remove_resume_dir(&self, key: &Key) -> Result<()> {
        self.0.disk.remove_all(&self.resume_dir(key))?;
        self.0.disk.unlink(&self.resume_lock(key)).map(drop)
    }

    /// A path below the root, which must not climb out of it.
    fn below(&self, path: &str) -> Result<PathBuf> {
        let relative = Path::new(path);
        let normal = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !normal {
            return Err(outside(relative));
        }
        Ok(self.root().join(relative))
    }
}

/// The name of an attempt's folder, from which gc can tell whose it is.
pub(crate) fn work_name(key: &Key, nonce: &str) -> String {
    let hex = key.hex();
    format!("{}-{}", hex.get(..12).unwrap_or_default(), nonce.get(..8).unwrap_or_default())
}

fn outside(path: &Path) -> StoreError {
    StoreError::io(Op::Create, path)(std::io::Error::new(ErrorKind::InvalidInput, "not below the store"))
}
