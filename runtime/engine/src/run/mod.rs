//! Carries out a plan: `muse run`.
//!
//! One dispatcher owns all state and hands each stage that must run to a thread of its own; they exchange
//! messages and share nothing else, so events come in one order that never contradicts itself.
mod attempt;
mod diary;
mod dispatch;
mod environment;
mod facts;
mod figures;
mod files;
mod folder;
mod pin;
mod process;
mod rerun;
mod room;
mod secrets;
mod slots;

pub(crate) use attempt::{draft, resume_key};
pub use environment::{Environment, KERNELS};
pub use folder::{RunFolder, file_name, live_key};
pub use pin::{Renewed, update};
pub use process::tail;
pub use rerun::{Rerun, rerun};
pub use room::above;
pub use slots::Machine;

use crate::diagnostic::Diagnostic;
use crate::document::{Lock, Pipeline};
use crate::event::{Event, EventKind, Outcome, RunOutcome};
use crate::last::{self, LastResult, LastResults};
use crate::last_files::LastFiles;
use crate::plan::{Plan, Planner};
use muse_store::{Store, StoreError, Who};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// How to run.
pub struct RunOptions {
    /// Stages at once; as many as there are processors where nothing is said.
    pub jobs: Option<usize>,
    /// Go on with what does not depend on a failure.
    pub keep_going: bool,
    /// How long a stage that is told to stop may take.
    pub grace: Duration,
    /// Refuse what is not pinned, and keep stages off the network.
    pub offline: bool,
    /// Refuse what is not pinned.
    pub locked: bool,
    /// What there is to share out.
    pub machine: Machine,
    /// Asks for the memory of each GPU of `machine` in bytes, in order; 0 where it is not known. Only asked where a
    /// stage is to compute on one, for the driver takes its time.
    pub gpu_memory: Box<dyn Fn() -> Vec<u64> + Send + Sync>,
    /// The caller's environment; a stage sees what it declares of it.
    pub environment: Environment,
    /// The program that `exec-stage` is asked of: this one.
    pub program: PathBuf,
    /// Who runs.
    pub user: String,
}

/// What every part of a run needs.
pub(crate) struct Context<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) store: &'a Store,
    pub(crate) lock: &'a Lock,
    pub(crate) plan: &'a Plan,
    pub(crate) force: &'a HashSet<usize>,
    pub(crate) options: &'a RunOptions,
    pub(crate) program: &'a std::path::Path,
    pub(crate) environment: &'a Environment,
    pub(crate) run_folder: &'a RunFolder,
    pub(crate) who: Who,
    /// How often the user asked to stop: once is politely, twice is at once.
    pub(crate) interrupts: &'a AtomicU32,
}

/// Why a run could not be carried out at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file, or what it asks for, is wrong.
    #[error("the pipeline cannot be run")]
    Wrong(Vec<Diagnostic>),
    /// A process that was started for it failed.
    #[error("a stage failed")]
    Failed(Vec<Diagnostic>),
    /// The user asked to stop before there was a plan.
    #[error("interrupted")]
    Interrupted,
    /// The store is damaged, full or out of reach.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a run ended.
pub struct RunReport {
    /// In one word.
    pub outcome: RunOutcome,
    /// The store gave out on the way.
    pub store_error: Option<StoreError>,
    /// By stage: how it ended, where it came to an end.
    pub stages: Vec<Option<Outcome>>,
    /// What was planned.
    pub plan: Plan,
}

/// What is run: a pipeline with all that its plan was made from.
pub struct Work<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The store.
    pub store: &'a Store,
    /// Stages that were asked for.
    pub targets: Vec<usize>,
    /// Stages to run whatever the store has.
    pub force: HashSet<usize>,
    /// What outside things are pinned to. Grows by what the run pins.
    pub lock: &'a mut Lock,
    /// The last known results, best read ahead.
    pub last: LastResults,
}

/// Plans and carries out. Every event goes to `tell` and into the run's folder.
pub fn run(
    work: Work<'_>,
    options: &RunOptions,
    interrupts: &AtomicU32,
    tell: &mut dyn FnMut(&Event),
) -> Result<RunReport, RunError> {
    let began = Instant::now();
    let Work { pipeline, store, targets, force, lock, mut last } = work;
    let folder = RunFolder::new(store);
    let mut emit = |kind: EventKind| {
        let event = Event { time: crate::time::now(), kind };
        folder.event(&event);
        tell(&event);
    };
    let pins = pin::Pins { pipeline, store, options, interrupts, folder: &folder };
    pins.pin_all(&targets, lock, &mut emit)?;
    let planner = Planner { pipeline, store, lock, last: &last, force: &force };
    let plan = planner.plan(targets).map_err(RunError::Wrong)?;
    declared(pipeline, &plan, options)?;
    room::check(pipeline, &plan, options)?;

    if plan.has_work() {
        let who = Who { user: options.user.clone(), run: folder.name().to_owned(), stage: String::new() };
        folder.begin(&who, store)?;
    }
    emit(EventKind::RunStarted {
        run: folder.name().to_owned(),
        pipeline: pipeline.name.clone(),
        file: pipeline.path.display().to_string(),
        stages: plan.order.len(),
        work: plan.iter().filter(|(_, planned)| planned.is_work()).count(),
        files: plan.files.total,
        hashed: plan.files.hashed,
    });
    for message in store.complaints() {
        emit(EventKind::Note { stage: None, message });
    }
    let context = Context {
        pipeline,
        store,
        lock,
        plan: &plan,
        force: &force,
        options,
        program: &options.program,
        environment: &options.environment,
        run_folder: &folder,
        who: Who { user: options.user.clone(), run: folder.name().to_owned(), stage: String::new() },
        interrupts,
    };
    let ended = dispatch::dispatch(&context, &mut emit);

    let count =
        |wanted: Outcome| ended.outcomes.iter().flatten().filter(|outcome| **outcome == wanted).count();
    let made = |stage: &usize| matches!(ended.outcomes[*stage], Some(Outcome::Hit | Outcome::Ran));
    let outcome = if ended.interrupted {
        RunOutcome::Interrupted
    } else if plan.order.iter().all(made) && ended.store_error.is_none() {
        RunOutcome::Done
    } else {
        RunOutcome::Failed
    };
    // Notes for later: a store that cannot take them still served the run. Before the run says that it is over,
    // because gc takes what neither a live run nor these notes name.
    remember(&mut last, pipeline, &folder, &ended);
    if last.changed {
        let _ = last.save(store, &pipeline.path);
        let made = plan.order.iter().filter(|stage| made(stage));
        let made = made.map(|&stage| (stage, pipeline.stages[stage].name.as_str()));
        LastFiles::note(store, &pipeline.path, &plan, made, |name| pipeline.index.contains_key(name));
    }
    emit(EventKind::RunFinished {
        outcome,
        ran: count(Outcome::Ran),
        hit: count(Outcome::Hit),
        failed: count(Outcome::Failed),
        blocked: count(Outcome::Blocked),
        seconds: began.elapsed().as_secs_f64(),
        saved_seconds: ended.saved_seconds,
    });
    store.index().save();
    folder.end();
    Ok(RunReport { outcome, store_error: ended.store_error, stages: ended.outcomes, plan })
}

/// Variables that stages declare and the caller does not have: an error before anything runs.
fn declared(pipeline: &Pipeline, plan: &Plan, options: &RunOptions) -> Result<(), RunError> {
    let mut problems = Vec::new();
    for (stage, planned) in plan.iter() {
        let spec = &pipeline.stages[stage];
        for name in environment::missing(spec, &options.environment) {
            if planned.is_work() {
                let message = format!(
                    "stage `{}` needs the environment variable `{name}`, which is not set",
                    spec.name
                );
                let help = format!("set it: `{name}=… muse run …`");
                problems.push(Diagnostic::at(spec.place.clone(), message).help(help));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(RunError::Wrong(problems)) }
}

/// Notes the key of every stage that has a result now, and forgets stages that the pipeline lost.
fn remember(last: &mut LastResults, pipeline: &Pipeline, folder: &RunFolder, ended: &dispatch::Ended) {
    last.pipeline = pipeline.name.clone();
    let gone: Vec<String> =
        last.stages.keys().filter(|name| !pipeline.index.contains_key(*name)).cloned().collect();
    gone.iter().for_each(|name| last.forget(name));
    for (spec, key) in pipeline.stages.iter().zip(&ended.keys) {
        if let Some(key) = key {
            last.note(&spec.name, LastResult::of(spec, *key, folder.name()));
        } else if let Some(known) = last.stages.get_mut(&spec.name) {
            let keep = last::keep(spec);
            last.changed |= known.keep != keep;
            known.keep = keep;
        }
    }
}
