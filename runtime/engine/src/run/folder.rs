//! A run's own folder, `runs/RUN/`: its events as they come, and the logs and figures of its stages. Never part of a
//! result.
//!
//! A store that cannot be written to is enough for a run that has nothing to do, so nothing here fails such a
//! run: the folder is made with the first line, and what cannot be written is not.
use super::diary::Diary;
use super::figures::Figures;
use crate::event::Event;
use muse_store::{Acquired, Digest, Key, Lease, Store, StoreError, Who};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The folder of one run.
pub struct RunFolder {
    name: String,
    told: Mutex<(Diary, Figures)>,
    live: OnceLock<Lease>,
}

impl RunFolder {
    /// A folder for a run that begins now.
    pub(crate) fn new(store: &Store) -> Self {
        let name = crate::time::run_name();
        let told = Mutex::new((Diary::new(store, &name), Figures::new(store, &name)));
        Self { name, told, live: OnceLock::new() }
    }

    /// The run's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From here on work is done, so the store must take it, and gc must know that somebody is at work.
    pub(crate) fn begin(&self, who: &Who, store: &Store) -> Result<(), StoreError> {
        store.folder(&format!("runs/{}", self.name))?;
        if let Acquired::Lease(lease) = store.lease(&live_key(&self.name), who)? {
            let _ = self.live.set(lease);
        }
        Ok(())
    }

    /// The run still lives, for those on other hosts who cannot see the process.
    pub(crate) fn heartbeat(&self) {
        if let Some(lease) = self.live.get() {
            let _ = lease.heartbeat();
        }
    }

    /// The run is over.
    pub(crate) fn end(mut self) {
        let (mut diary, figures) = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        diary.flush();
        // Figures are written to the last before the run no longer lives.
        drop(figures);
        if let Some(lease) = self.live.take() {
            lease.release();
        }
    }

    /// Writes an event down, and the figure that it may tell.
    pub(crate) fn event(&self, event: &Event) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.0.take(event, self.live.get().is_some());
        told.1.take(event);
    }

    /// A stage that runs goes on from what stage `made` of an earlier run made: its figures begin with those.
    pub(crate) fn goes_on(&self, stage: &str, run: String, made: String) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.1.goes_on(stage, run, made);
    }

    /// The log of an attempt, with its folder made.
    pub(crate) fn log(&self, store: &Store, stage: &str, attempt: u32) -> Result<PathBuf, StoreError> {
        let folder = store.folder(&format!("runs/{}/{}", self.name, file_name(stage)))?;
        Ok(folder.join(format!("attempt-{attempt}.log")))
    }
}

/// Under this key a run holds a lease for as long as it lives: gc then knows what is in use.
pub fn live_key(run: &str) -> Key {
    Key::new(Digest::of_bytes(format!("muse run {run}").as_bytes()))
}

/// A stage's name as the name of a folder: a matrix value may hold a slash.
pub fn file_name(stage: &str) -> String {
    stage.replace('%', "%25").replace('/', "%2F")
}
