//! The moment at which work becomes a result: its record appears, whole, durable and once.
use crate::disk::found;
use crate::lease::Lease;
use crate::store::Store;
use crate::{Key, Record, Result, StoreError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How a publish ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    /// The record stands.
    New,
    /// Another record was there first, and stays.
    Lost(Box<Record>),
}

impl Store {
    /// Makes a result known. Its outputs must be in the store, and the lease must still be ours.
    ///
    /// The order of writes is the whole point: blobs are durable before this is called, the record is durable
    /// before it gets its name, and the name is given by `link`, which fails where one is.
    pub fn publish(&self, record: &Record, lease: &Lease) -> Result<Published> {
        let disk = &self.0.disk;
        let key = record.key;
        lease.check(&key)?;
        // gc may have taken a blob that was there when it came in again.
        if let Some(lost) = record.outputs.values().find(|artifact| !self.present(artifact)) {
            return Err(StoreError::Missing { digest: lost.digest });
        }
        self.0.home.shelves_made()?;
        if let Some(family) = &record.family {
            self.join(family, &key)?;
        }
        let path = self.0.home.record(&key);
        let scratch = self.0.home.scratch()?;
        disk.write_new(&scratch, &record.to_bytes(), 0o444)?;
        disk.sync_file(&scratch)?;
        lease.check(&key)?;
        match disk.link(&scratch, &path) {
            Ok(()) => disk.unlink(&scratch).map(drop)?,
            Err(error) if error.is_there() => {
                if let Some(first) = self.record(&key)? {
                    disk.unlink(&scratch)?;
                    self.sync_above(&path)?;
                    return Ok(Published::Lost(Box::new(first)));
                }
                // What stands there is damaged: ours takes its place.
                disk.rename(&scratch, &path)?;
            }
            Err(other) => return Err(other),
        }
        self.sync_above(&path)?;
        // What was moved aside has served.
        disk.unlink(&aside(&path)).ok();
        Ok(Published::New)
    }

    /// Moves a key's record aside, so that the key is no hit any more. The lease must be ours.
    pub fn retire(&self, key: &Key, lease: &Lease) -> Result<()> {
        lease.check(key)?;
        let path = self.0.home.record(key);
        if found(self.0.disk.rename(&path, &aside(&path)))?.is_some() {
            self.sync_above(&path)?;
        }
        Ok(())
    }

    /// The record that was moved aside last and has no successor yet.
    pub fn retired(&self, key: &Key) -> Result<Option<Record>> {
        self.record_at(key, &aside(&self.0.home.record(key)))
    }

    fn sync_above(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |folder| self.0.disk.sync_dir(folder))
    }
}

/// Where a record goes that is moved aside.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".old");
    name.into()
}
