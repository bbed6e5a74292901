//! Who has a lease, and whether they are alive.
use crate::machine::{self, Machine};
use crate::sealed::unseal;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::{Key, Op, Result, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long the holder on another host may be silent.
const SILENCE: Duration = Duration::from_secs(60);

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

/// A lease file as it was found.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) attempt: u32,
    pub(crate) path: PathBuf,
    stamp: Stamp,
    /// `None` where it is damaged.
    pub(crate) holder: Option<Holder>,
}

impl Store {
    /// Who works on a key now, if anybody does.
    pub fn holder_of(&self, key: &Key) -> Result<Option<Holder>> {
        let seen = self.leases_in(&self.0.home.leases(key))?;
        Ok(self.living(seen.iter()))
    }

    /// This process as a holder.
    pub(crate) fn holder(&self, who: &Who, attempt: u32) -> Holder {
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
    pub(crate) fn living<'a>(&self, seen: impl Iterator<Item = &'a Seen>) -> Option<Holder> {
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
