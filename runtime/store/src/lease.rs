//! Who works on a key: one process at a time, also across hosts, with files and links alone.
//!
//! `leases-v1/<key>/<n>` is the holder as attempt `n`; its modification time is the heartbeat. The highest
//! number counts. A holder that is gone is taken over by the next number, and its late publish is refused.
use crate::index::Stamp;
use crate::machine::{self, Machine};
use crate::sealed::{seal, unseal};
use crate::store::Store;
use crate::{Key, Op, Result, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the holder on another host may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a lost race for the next number is run again.
const TRIES: u32 = 16;

/// When each foreign lease was first seen in its present state.
pub(crate) type Sightings = HashMap<PathBuf, (Stamp, Instant)>;

/// Who asks for a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The user, for people.
    pub user: String,
    /// The run.
    pub run: String,
    /// The stage, for people.
    pub stage: String,
}

/// Who has a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The host's name, for people.
    pub host: String,
    /// The host's boot, which tells hosts apart.
    pub boot: String,
    /// The process.
    pub pid: u32,
    /// Where that number means something.
    pub pid_namespace: String,
    /// When the process started, in ticks since boot.
    pub started: u64,
    /// The user, for people.
    pub user: String,
    /// When the lease was taken, as RFC 3339 in UTC.
    pub since: String,
    /// The run.
    pub run: String,
    /// The stage, for people.
    pub stage: String,
    /// Which attempt at the key this is.
    pub attempt: u32,
    /// Tells this lease from all others.
    pub nonce: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.is_empty() {
            return f.write_str("a holder whose lease cannot be read");
        }
        // The time of day out of `2026-01-31T12:00:03Z`.
        let time = self.since.get(11..19).unwrap_or(&self.since);
        write!(f, "pid {} on host {} (user {}), since {time} UTC", self.pid, self.host, self.user)
    }
}

/// The answer to a request for a lease.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours.
    Lease(Lease),
    /// Somebody has it.
    Busy(Box<Holder>),
}

/// The right to publish a key's result, until it is given back or taken over.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    key: Key,
    path: PathBuf,
    holder: Box<Holder>,
    released: AtomicBool,
}

/// A lease file as it was found.
#[derive(Debug)]
pub(crate) struct Seen {
    attempt: u32,
    pub(crate) path: PathBuf,
    stamp: Stamp,
    /// `None` where it is damaged.
    pub(crate) holder: Option<Holder>,
}

impl Store {
    /// Asks for the lease on a key, and does not wait for it.
    ///
    /// Look for the record once more when it was given: another holder may have published a moment ago.
    pub fn lease(&self, key: &Key, who: &Who) -> Result<Acquired> {
        self.0.home.root_made()?;
        let disk = &self.0.disk;
        let folder = self.0.home.leases(key);
        let scratch = self.0.home.scratch()?;
        let mut last = None;
        for _ in 0..TRIES {
            let seen = self.leases_in(&folder)?;
            if let Some(holder) = self.living(seen.iter()) {
                return Ok(Acquired::Busy(Box::new(holder)));
            }
            let highest = seen.iter().map(|seen| seen.attempt).max().unwrap_or_default();
            let attempt = highest.saturating_add(1);
            let lease = Lease {
                store: self.clone(),
                key: *key,
                path: folder.join(attempt.to_string()),
                holder: Box::new(self.holder(who, attempt)),
                // Nothing to give back before the link stands.
                released: AtomicBool::new(true),
            };
            disk.mkdir_all(&folder)?;
            let body = serde_json::to_vec(&lease.holder).unwrap_or_default();
            disk.write_new(&scratch, &seal("lease", &body), 0o666)?;
            let linked = disk.link(&scratch, &lease.path);
            disk.unlink(&scratch)?;
            match linked {
                Ok(()) => {}
                // Somebody was faster, or took the folder away as the last to leave it.
                Err(error) if error.is_there() || error.is_missing() => {
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            lease.released.store(false, Ordering::Relaxed);
            // Whoever listed the folder before us may have linked another number.
            let seen = self.leases_in(&folder)?;
            let others = || seen.iter().filter(|seen| seen.path != lease.path);
            if let Some(holder) = self.living(others()) {
                lease.release();
                return Ok(Acquired::Busy(Box::new(holder)));
            }
            for gone in others().filter(|seen| seen.attempt < attempt) {
                disk.unlink(&gone.path)?;
            }
            return Ok(Acquired::Lease(lease));
        }
        let other = || StoreError::io(Op::Create, &folder)(std::io::ErrorKind::WouldBlock.into());
        Err(last.unwrap_or_else(other))
    }

    /// Who works on a key now, if anybody does.
    pub fn holder_of(&self, key: &Key) -> Result<Option<Holder>> {
        let seen = self.leases_in(&self.0.home.leases(key))?;
        Ok(self.living(seen.iter()))
    }

    fn holder(&self, who: &Who, attempt: u32) -> Holder {
        let here = machine::here();
        Holder {
            host: here.host.clone(),
            boot: here.boot.clone(),
            pid: here.pid,
            pid_namespace: here.pid_namespace.clone(),
            started: here.started,
            user: who.user.clone(),
            since: crate::clock::utc(self.0.clock.now()),
            run: who.run.clone(),
            stage: who.stage.clone(),
            attempt,
            nonce: machine::nonce(),
        }
    }

    /// All lease files of a key, in no order.
    pub(crate) fn leases_in(&self, folder: &Path) -> Result<Vec<Seen>> {
        let mut all = Vec::new();
        for listed in self.0.disk.list_if_there(folder)? {
            let Some(attempt) = listed.name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let path = folder.join(&listed.name);
            // Opening makes NFS ask the server for the times; a look at the name alone may be a minute old.
            let stamp = match self.0.disk.open(&path) {
                Ok(file) => Stamp::of(&file.metadata().map_err(StoreError::io(Op::Read, &path))?),
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error),
            };
            let Some(file) = self.0.disk.read_if_there(&path)? else { continue };
            let body = unseal("lease", &file).ok();
            let holder = body.and_then(|body| serde_json::from_slice(body).ok());
            all.push(Seen { attempt, path, stamp, holder });
        }
        Ok(all)
    }

    /// The holder with the highest number that is alive.
    fn living<'a>(&self, seen: impl Iterator<Item = &'a Seen>) -> Option<Holder> {
        let living = seen.filter(|seen| self.is_alive(seen)).max_by_key(|seen| seen.attempt)?;
        Some(living.holder.clone().unwrap_or_else(|| Holder { attempt: living.attempt, ..self.nobody() }))
    }

    fn nobody(&self) -> Holder {
        Holder {
            host: String::new(),
            pid: 0,
            started: 0,
            nonce: String::new(),
            ..self.holder(&Who::default(), 0)
        }
    }

    /// Whether the holder's process can be looked up from here.
    pub(crate) fn is_local(&self, holder: &Holder) -> bool {
        let here = machine::here();
        !here.boot.is_empty() && holder.boot == here.boot && holder.pid_namespace == here.pid_namespace
    }

    /// A process of this boot can be looked up. Any other lives while its heartbeat moves.
    pub(crate) fn is_alive(&self, seen: &Seen) -> bool {
        if let Some(holder) = seen.holder.as_ref().filter(|holder| self.is_local(holder)) {
            return Machine::runs(holder.pid, holder.started);
        }
        let now = self.0.clock.instant();
        let mut sightings = self.0.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        let (stamp, since) = sightings.entry(seen.path.clone()).or_insert((seen.stamp, now));
        if *stamp != seen.stamp {
            (*stamp, *since) = (seen.stamp, now);
        }
        now.saturating_duration_since(*since) < SILENCE
    }
}

impl Lease {
    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Which attempt at the key this is: higher than that of any holder taken over.
    pub fn attempt(&self) -> u32 {
        self.holder.attempt
    }

    /// Ourselves, as others see us.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Tells others that we are alive. Call it every few seconds; an error that is [`StoreError::Fenced`] means
    /// that the work is for nothing.
    pub fn heartbeat(&self) -> Result<()> {
        match self.store.0.disk.touch(&self.path) {
            Err(error) if error.is_missing() => Err(self.fenced(None)),
            other => other,
        }
    }

    /// Gives the lease back.
    pub fn release(self) {
        self.give_back();
    }

    /// Fails where this lease is not for this key, or not the latest any more.
    pub(crate) fn check(&self, key: &Key) -> Result<()> {
        if *key != self.key {
            return Err(self.fenced(None));
        }
        // A number above ours is an acquirer that listed the folder too early, and goes away at once when it sees
        // us, or else the one who has taken over.
        let mut above = None;
        for _ in 0..5 {
            let Some(folder) = self.path.parent() else { return Err(self.fenced(None)) };
            let seen = self.store.leases_in(folder)?;
            let ours = seen.iter().any(|seen| {
                seen.path == self.path
                    && seen.holder.as_ref().is_some_and(|holder| holder.nonce == self.holder.nonce)
            });
            above =
                seen.into_iter().filter(|seen| seen.attempt > self.attempt()).max_by_key(|seen| seen.attempt);
            match (ours, &above) {
                (true, None) => return Ok(()),
                (true, Some(_)) => std::thread::sleep(Duration::from_millis(2)),
                (false, _) => break,
            }
        }
        Err(self.fenced(above.and_then(|seen| seen.holder)))
    }

    fn fenced(&self, holder: Option<Holder>) -> StoreError {
        StoreError::Fenced { key: self.key, holder: holder.map(Box::new) }
    }

    fn give_back(&self) {
        if self.released.swap(true, Ordering::Relaxed) {
            return;
        }
        // Under our number there may stand another's by now, where we were taken over and they have left.
        let disk = &self.store.0.disk;
        let ours = disk.read(&self.path).ok().is_some_and(|file| {
            let holder =
                unseal("lease", &file).ok().and_then(|body| serde_json::from_slice::<Holder>(body).ok());
            holder.is_some_and(|holder| holder.nonce == self.holder.nonce)
        });
        if ours && disk.unlink(&self.path).is_ok() {
            self.path.parent().map(|folder| disk.rmdir(folder));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}
