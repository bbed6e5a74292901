//! What dead runs leave behind: half-written files, folders of attempts, leases that nobody holds.
use crate::disk::found as if_there;
use crate::holder::Holder;
use crate::machine;
use crate::small::work_name;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::{Digest, Key, Result};
use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a half-written file is left alone, and how long a foreign lease may be silent.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that nobody needs, and that is no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Litter {
    /// The file or folder.
    pub path: PathBuf,
    /// How much it holds.
    pub bytes: u64,
    kind: Kind,
}

/// What must still hold when the time has come to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nobody else will ever use this name.
    Own,
    /// The key has a result, and nobody works on it.
    Resume(Key),
    /// The key has no result, and nobody works on it.
    Relative(Key),
    /// Nobody holds this lease.
    Lease,
}

/// All leases of the store.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    pub(crate) live: BTreeMap<Key, Holder>,
    dead: Vec<PathBuf>,
}

impl Store {
    /// Who holds what, and which leases are left over.
    pub(crate) fn all_leases(&self) -> Result<Leases> {
        let folder = self.0.home.at("leases-v1");
        let mut leases = Leases::default();
        for name in self.folders_in(&folder)? {
            let path = folder.join(&name);
            let Some(key) = Digest::from_hex(&name).map(Key::new) else { continue };
            match self.holder_of(&key)? {
                // A look that is made once cannot wait for a heartbeat: a day's silence must do.
                Some(holder) if self.is_local(&holder) || !self.silent(&path)? => {
                    leases.live.insert(key, holder);
                }
                _ => leases.dead.push(path),
            }
        }
        Ok(leases)
    }

    /// Whether no lease in a folder has moved for a day.
    fn silent(&self, folder: &Path) -> Result<bool> {
        for listed in self.0.disk.list_if_there(folder)? {
            if !self.older_than_a_day(&folder.join(&listed.name))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn older_than_a_day(&self, path: &Path) -> Result<bool> {
        let Some(meta) = if_there(self.0.disk.lstat(path))? else { return Ok(true) };
        let limit = self.0.clock.now().checked_sub(DAY).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Stamp::of(&meta).written_before(limit))
    }

    /// The folders of attempts.
    pub(crate) fn work_folders(&self) -> Result<Vec<String>> {
        self.folders_in(&self.0.home.at("work-v1"))
    }

    pub(crate) fn litter(&self, work: &[String], leases: &Leases) -> Result<Vec<Litter>> {
        let mut found: Vec<(PathBuf, Kind)> =
            leases.dead.iter().map(|path| (path.clone(), Kind::Lease)).collect();
        let busy: HashSet<String> =
            leases.live.iter().map(|(key, holder)| work_name(key, &holder.nonce)).collect();
        let folder = self.0.home.at("work-v1");
        let left = work.iter().filter(|name| !busy.contains(*name));
        found.extend(left.map(|name| (folder.join(name), Kind::Own)));

        let folder = self.0.home.at("tmp-v1");
        for listed in self.0.disk.list_if_there(&folder)? {
            let path = folder.join(&listed.name);
            if !listed.name.to_str().is_some_and(owner_lives) && self.older_than_a_day(&path)? {
                found.push((path, Kind::Own));
            }
        }

        let folder = self.0.home.at("resume-v1");
        for name in self.folders_in(&folder)? {
            let Some(key) = Digest::from_hex(&name).map(Key::new) else { continue };
            // What is done needs no resuming.
            if !leases.live.contains_key(&key) && self.record(&key)?.is_some() {
                found.push((folder.join(&name), Kind::Resume(key)));
                found.push((self.resume_lock(&key), Kind::Resume(key)));
            }
        }

        let families = self.0.home.at("families-v1");
        for name in self.folders_in(&families)? {
            let Some(family) = Digest::from_hex(&name) else { continue };
            for key in self.family(&family)? {
                if !leases.live.contains_key(&key) && self.record(&key)?.is_none() {
                    found.push((families.join(&name).join(key.hex()), Kind::Relative(key)));
                }
            }
        }
        let mut litter = Vec::new();
        for (path, kind) in found {
            if let Some(bytes) = self.weight(&path)? {
                litter.push(Litter { path, bytes, kind });
            }
        }
        Ok(litter)
    }

    /// Removes litter, where it still is litter.
    pub(crate) fn clear(&self, litter: &Litter) -> Result<()> {
        match litter.kind {
            Kind::Own => self.0.disk.remove_all(&litter.path),
            Kind::Resume(key) if self.record(&key)?.is_none() || self.holder_of(&key)?.is_some() => Ok(()),
            Kind::Resume(_) => self.0.disk.remove_all(&litter.path),
            Kind::Relative(key) if self.record(&key)?.is_some() || self.holder_of(&key)?.is_some() => Ok(()),
            Kind::Relative(_) => {
                self.0.disk.unlink(&litter.path)?;
                // Where it was not the last of its family.
                litter.path.parent().map(|folder| self.0.disk.rmdir(folder));
                Ok(())
            }
            Kind::Lease => {
                for file in self.dead_leases(&litter.path)? {
                    self.0.disk.unlink(&file)?;
                }
                // Somebody may have taken the key meanwhile.
                self.0.disk.rmdir(&litter.path).ok();
                Ok(())
            }
        }
    }

    /// The leases in a folder that nobody holds.
    fn dead_leases(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let silent = self.silent(folder)?;
        let dead = self.leases_in(folder)?.into_iter().filter(|seen| {
            let local = seen.holder.as_ref().is_some_and(|holder| self.is_local(holder));
            !self.is_alive(seen) || (silent && !local)
        });
        Ok(dead.map(|seen| seen.path).collect())
    }

    /// The bytes of all files below a path; `None` where nothing is there.
    fn weight(&self, path: &Path) -> Result<Option<u64>> {
        let Some(meta) = if_there(self.0.disk.lstat(path))? else { return Ok(None) };
        if !meta.is_dir() {
            return Ok(Some(meta.size()));
        }
        let mut sum = 0_u64;
        // A folder that a stage has closed weighs nothing; it is removed all the same.
        for listed in self.0.disk.list_if_there(path).unwrap_or_default() {
            sum = sum.saturating_add(self.weight(&path.join(&listed.name))?.unwrap_or_default());
        }
        Ok(Some(sum))
    }
}

/// Whether the process that a half-written file is named after runs on this host.
fn owner_lives(name: &str) -> bool {
    let mut words = name.split('-');
    let (boot, pid) = (words.next(), words.next());
    boot == Some(machine::here().short_boot())
        && pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && Path::new("/proc").join(pid).exists())
}
