//! Pins what the outside world may change before there is a key: a branch to its commit, a URL to its digest.
use super::attempt::resume_key;
use super::environment::environment;
use super::process::{self, Control, Launch, Stop};
use super::{RunError, RunFolder, RunOptions};
use crate::diagnostic::Diagnostic;
use crate::document::{Lock, Pipeline};
use crate::event::{Event, EventKind};
use crate::plan::topological;
use muse_stage::{Job, JobMode, StageEvent};
use muse_store::{Acquired, Digest, Key, Op, Store, StoreError, Who};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;

/// What looking at outside things needs.
pub(super) struct Pins<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) store: &'a Store,
    pub(super) options: &'a RunOptions,
    pub(super) interrupts: &'a AtomicU32,
    pub(super) folder: &'a RunFolder,
}

impl Pins<'_> {
    /// Pins all that `targets` stand on and the lock file does not hold yet.
    pub(super) fn pin_all(
        &self,
        targets: &[usize],
        lock: &mut Lock,
        emit: &mut dyn FnMut(EventKind),
    ) -> Result<(), RunError> {
        let mut problems = Vec::new();
        let mut changed = false;
        let options = self.options;
        for stage in topological(self.pipeline, targets) {
            let spec = &self.pipeline.stages[stage];
            let missing: Vec<String> =
                spec.pins.iter().filter(|id| lock.get(id).is_none()).cloned().collect();
            if missing.is_empty() {
                continue;
            }
            if options.locked || options.offline {
                let flag = if options.locked { "--locked" } else { "--offline" };
                for id in &missing {
                    let message =
                        format!("stage `{}` needs `{id}` pinned, and {flag} forbids looking", spec.name);
                    let help = format!("run once without {flag}, and commit {}", lock.path().display());
                    problems.push(Diagnostic::at(spec.place.clone(), message).help(help));
                }
                continue;
            }
            for (id, value) in self.look(stage, &missing, emit)? {
                lock.set(&id, &value);
                changed = true;
            }
        }
        if !problems.is_empty() {
            return Err(RunError::Wrong(problems));
        }
        if changed {
            lock.save().map_err(|problem| RunError::Wrong(vec![problem]))?;
        }
        Ok(())
    }

    /// Asks one stage's kind what its outside things are today.
    fn look(
        &self,
        stage: usize,
        ids: &[String],
        emit: &mut dyn FnMut(EventKind),
    ) -> Result<BTreeMap<String, String>, RunError> {
        let Self { pipeline, store, options, interrupts, folder } = *self;
        let spec = &pipeline.stages[stage];
        let described = &spec.kind.description;
        let key = Key::new(Digest::of_bytes(format!("muse pin {} {}", folder.name(), spec.name).as_bytes()));
        let who = Who { user: options.user.clone(), run: folder.name().to_owned(), stage: spec.name.clone() };
        let wrong = |message: String, help: Option<String>| {
            let problem = Diagnostic::at(spec.place.clone(), message);
            RunError::Failed(vec![match help {
                Some(help) => problem.help(help),
                None => problem,
            }])
        };
        let Acquired::Lease(lease) = store.lease(&key, &who)? else {
            return Err(wrong(format!("`{}` is being pinned by another process", spec.name), None));
        };
        let work = store.work_dir(&lease)?;
        let job = Job {
            job: 1,
            mode: JobMode::Pin,
            kind: described.name.clone(),
            plugin: spec.kind.plugin().map(Path::to_owned),
            version: described.version,
            stage: spec.name.clone(),
            key: String::new(),
            attempt: 1,
            params: spec.params(|file| format!("in/{}", file.name).into()),
            work: work.join("cwd"),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            resume: described.resumes.then(|| store.resume_dir(&resume_key(spec, key))),
            offer: None,
            story: None,
            threads: 1,
            gpus: Vec::new(),
            pins: ids.iter().map(|id| (id.clone(), String::new())).collect(),
            secrets: spec.secrets.clone(),
        };
        let path = work.join("job.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&job).unwrap_or_default())
            .map_err(|source| StoreError::Io { path: path.clone(), op: Op::Write, source })?;
        let log = folder.log(store, &spec.name, 0)?;
        for id in ids {
            emit(EventKind::Pinning { stage: spec.name.clone(), id: id.clone() });
        }
        let pinned = RefCell::new((BTreeMap::new(), emit));
        let name = || spec.name.clone();
        let launch = Launch {
            program: &options.program,
            job: &path,
            folder: &job.work,
            environment: &environment(spec, &options.environment, options.offline, &work, &[]),
            log: &log,
            secrets: spec.secrets.iter().filter_map(|name| options.environment.get(name).cloned()).collect(),
            timeout: spec.timeout,
        };
        let hear = |event| {
            let (pinned, emit) = &mut *pinned.borrow_mut();
            match event {
                StageEvent::Pinned { id, value } => {
                    emit(EventKind::Pinned { stage: name(), id: id.clone(), value: value.clone() });
                    pinned.insert(id, value);
                }
                StageEvent::Progress { done, total, unit } => {
                    emit(EventKind::Progress { stage: name(), done, total, unit });
                }
                _ => {}
            }
        };
        let control = Control::default();
        let ended =
            control.watched(interrupts, options.grace, || process::run(launch, &control, &hear)).map_err(
                |error| wrong(format!("cannot start a process to pin `{}`: {error}", spec.name), None),
            )?;
        let _ = store.remove_work_dir(&work);
        lease.release();
        match ended.event {
            Some(StageEvent::Done) => {}
            _ if control.stopped() == Some(Stop::Interrupt) => return Err(RunError::Interrupted),
            Some(StageEvent::Failed { message, help }) => {
                return Err(wrong(format!("`{}` could not be pinned: {message}", spec.name), help));
            }
            _ => {
                return Err(wrong(
                    format!("`{}` could not be pinned; see {}", spec.name, log.display()),
                    None,
                ));
            }
        }
        let (pinned, _) = pinned.into_inner();
        match ids.iter().find(|id| !pinned.contains_key(*id)) {
            Some(id) => {
                Err(wrong(format!("kind `{}` did not say what `{id}` is today", described.name), None))
            }
            None => Ok(pinned),
        }
    }
}

/// What became of one pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The outside thing.
    pub id: String,
    /// What it was pinned to.
    pub old: Option<String>,
    /// What it is pinned to now.
    pub new: String,
}

/// Looks again at all outside things of `stages`, and writes the lock file where one has changed.
pub fn update(
    pipeline: &Pipeline,
    store: &Store,
    stages: &[usize],
    lock: &mut Lock,
    options: &RunOptions,
    interrupts: &AtomicU32,
    tell: &mut dyn FnMut(&Event),
) -> Result<Vec<Renewed>, RunError> {
    let folder = RunFolder::new(store);
    let looking = Pins { pipeline, store, options, interrupts, folder: &folder };
    let mut emit = |kind| tell(&Event { time: crate::time::now(), kind });
    let mut renewed = Vec::new();
    for &stage in stages {
        let pins = &pipeline.stages[stage].pins;
        if pins.is_empty() {
            continue;
        }
        for (id, new) in looking.look(stage, pins, &mut emit)? {
            let old = lock.get(&id).map(str::to_owned);
            lock.set(&id, &new);
            renewed.push(Renewed { id, old, new });
        }
    }
    folder.end();
    if renewed.iter().any(|pin| pin.old.as_ref() != Some(&pin.new)) {
        lock.save().map_err(|problem| RunError::Wrong(vec![problem]))?;
    }
    Ok(renewed)
}
