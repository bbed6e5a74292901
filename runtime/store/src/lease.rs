//! Who works on a key: one process at a time, also across hosts, with files and links alone.
//!
//! `leases-v1/<key>/<n>` is the holder as attempt `n`; its modification time is the heartbeat. The highest
//! number counts. A holder that is gone is taken over by the next number, and its late publish is refused.
use crate::holder::{Holder, Who};
use crate::sealed::{seal, unseal};
use crate::store::Store;
use crate::{Key, Op, Result, StoreError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a lost race for the next number is run again.
const TRIES: u32 = 16;

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
