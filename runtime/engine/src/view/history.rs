//! Past and present runs, read back from the events that they wrote.
use crate::event::{Event, EventKind, Outcome, OutputInfo, RunOutcome};
use crate::run::{file_name, live_key};
use muse_store::{Digest, Key, Record, Store, StoreError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// One run, as far as it has got.
#[derive(Clone, Debug, Serialize)]
pub struct RunHistory {
    /// Its name: the folder below `runs/`.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The pipeline's name.
    pub pipeline: String,
    /// The pipeline's file.
    pub file: String,
    /// When it began.
    pub started: String,
    /// How long it took; nothing while it goes on, or where it was killed.
    pub seconds: Option<f64>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// It goes on.
    pub live: bool,
    /// Stages that ran, were hits, failed, were blocked.
    pub ran: usize,
    /// Stages whose results were there.
    pub hit: usize,
    /// Stages that failed.
    pub failed: usize,
    /// Stages that a failure kept from running.
    pub blocked: usize,
    /// By stage, in the order in which they came up.
    pub stages: Vec<StageHistory>,
}

/// One stage of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StageHistory {
    /// The stage.
    pub stage: String,
    /// How it ended; nothing while it runs.
    pub outcome: Option<Outcome>,
    /// How long it took.
    pub seconds: f64,
    /// Its key.
    pub key: Option<String>,
    /// Attempts that were begun.
    pub attempts: u32,
    /// What it made.
    pub outputs: BTreeMap<String, OutputInfo>,
    /// Why it failed.
    pub error: Option<String>,
    /// The last value of each figure.
    pub metrics: BTreeMap<String, f64>,
    /// The last word on how far it is: done, total, unit.
    pub progress: Option<(u64, Option<u64>, String)>,
    /// Its log.
    pub log: Option<String>,
    /// A picture of its figures. `metrics.jsonl` and TensorBoard's events stand beside it.
    pub curves: Option<PathBuf>,
}

/// The names of all runs, the newest first.
pub fn names(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut names = store.names("runs")?;
    names.reverse();
    Ok(names)
}

/// Reads a run back. Lines that were cut by a crash are passed over.
pub fn read(store: &Store, run: &str) -> Option<RunHistory> {
    let folder = store.root().join("runs").join(run);
    let file = File::open(folder.join("events.jsonl")).ok()?;
    let mut history: Option<RunHistory> = None;
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
        match (history.as_mut(), event.kind) {
            (None, EventKind::RunStarted { run, pipeline, file, .. }) => {
                history = Some(RunHistory {
                    live: false,
                    run,
                    folder: folder.clone(),
                    pipeline,
                    file,
                    started: event.time,
                    seconds: None,
                    outcome: None,
                    ran: 0,
                    hit: 0,
                    failed: 0,
                    blocked: 0,
                    stages: Vec::new(),
                });
            }
            (Some(history), kind) => take(history, &mut places, kind),
            (None, _) => {}
        }
    }
    let mut history = history?;
    if history.outcome.is_none() {
        history.live = store.holder_of(&live_key(run)).ok().flatten().is_some();
    }
    for stage in history.stages.iter_mut().filter(|stage| stage.outcome != Some(Outcome::Hit)) {
        stage.curves = curves(store, run, &stage.stage);
    }
    Some(history)
}

fn curves(store: &Store, run: &str, stage: &str) -> Option<PathBuf> {
    let picture = store.root().join("runs").join(run).join(file_name(stage)).join("curves.png");
    picture.is_file().then_some(picture)
}

/// Gives stages whose results were there the figures and curves of the runs that made them.
pub fn add_figures_of_hits(store: &Store, run: &mut RunHistory) {
    for stage in run.stages.iter_mut().filter(|stage| stage.outcome == Some(Outcome::Hit)) {
        let Some(record) = record(store, stage) else { continue };
        stage.curves = curves(store, &record.run, &record.stage);
        // Most results are of stages that told nothing, and there may be many.
        if stage.curves.is_some() {
            stage.metrics = told(store, &record);
        }
    }
}

/// A stage's figures. A hit told none; the run that made its result did.
pub(super) fn metrics(store: &Store, stage: &StageHistory) -> BTreeMap<String, f64> {
    if stage.outcome != Some(Outcome::Hit) {
        return stage.metrics.clone();
    }
    record(store, stage).map(|record| told(store, &record)).unwrap_or_default()
}

/// What was told when a result was made.
fn told(store: &Store, record: &Record) -> BTreeMap<String, f64> {
    let run = read(store, &record.run);
    let made = run.and_then(|run| run.stages.into_iter().find(|stage| stage.stage == record.stage));
    made.map(|stage| stage.metrics).unwrap_or_default()
}

/// The record of a stage's result.
pub(super) fn record(store: &Store, stage: &StageHistory) -> Option<Record> {
    let key: Key = stage.key.as_ref()?.parse::<Digest>().ok()?.into();
    store.record(&key).ok().flatten()
}

fn take(history: &mut RunHistory, places: &mut BTreeMap<String, usize>, kind: EventKind) {
    if let EventKind::RunFinished { outcome, ran, hit, failed, blocked, seconds, .. } = kind {
        (history.outcome, history.seconds) = (Some(outcome), Some(seconds));
        (history.ran, history.hit, history.failed, history.blocked) = (ran, hit, failed, blocked);
        return;
    }
    let (EventKind::StageStarted { stage: name, .. }
    | EventKind::Progress { stage: name, .. }
    | EventKind::Metric { stage: name, .. }
    | EventKind::StageFinished { stage: name, .. }) = &kind
    else {
        return;
    };
    let place = *places.entry(name.clone()).or_insert_with(|| {
        history.stages.push(StageHistory { stage: name.clone(), ..StageHistory::default() });
        history.stages.len() - 1
    });
    let Some(stage) = history.stages.get_mut(place) else { return };
    match kind {
        EventKind::StageStarted { key, attempt, .. } => {
            (stage.key, stage.attempts, stage.outcome) = (Some(key), attempt, None);
        }
        EventKind::Progress { done, total, unit, .. } => stage.progress = Some((done, total, unit)),
        EventKind::Metric { name, value, .. } => drop(stage.metrics.insert(name, value)),
        EventKind::StageFinished { outcome, seconds, key, outputs, error, log, .. } => {
            (stage.outcome, stage.seconds, stage.outputs) = (Some(outcome), seconds, outputs);
            (stage.error, stage.log) = (error, log);
            stage.key = key.or(stage.key.take());
        }
        _ => {}
    }
}

/// The newest run of the pipeline at `path`.
pub fn last_of(store: &Store, path: &Path) -> Result<Option<RunHistory>, StoreError> {
    Ok(names(store)?.iter().filter(|run| is_of(store, run, path)).find_map(|run| read(store, run)))
}

/// Whether a run was of the pipeline at `path`: its first line says so.
pub fn is_of(store: &Store, run: &str, path: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Ok(file) = File::open(store.root().join("runs").join(run).join("events.jsonl")) else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(file).read_until(b'\n', &mut line);
    match serde_json::from_slice::<Event>(&line) {
        Ok(Event { kind: EventKind::RunStarted { file, .. }, .. }) if read.is_ok() => {
            real(Path::new(&file)) == real(path)
        }
        _ => false,
    }
}

/// The newest log of a stage in the runs of the pipeline at `path`: a stage that was a hit has its log in the run
/// that made it.
pub fn log_of(store: &Store, path: &Path, stage: &str) -> Result<Option<PathBuf>, StoreError> {
    for run in names(store)? {
        let folder = store.root().join("runs").join(&run).join(file_name(stage));
        if folder.is_dir() && is_of(store, &run, path) {
            return Ok(newest_attempt(&folder));
        }
    }
    Ok(None)
}

fn newest_attempt(folder: &Path) -> Option<PathBuf> {
    let number = |path: &PathBuf| {
        let stem = path.file_stem()?.to_str()?;
        stem.strip_prefix("attempt-")?.parse::<u32>().ok()
    };
    let logs = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    logs.filter_map(|path| Some((number(&path)?, path))).max().map(|(_, path)| path)
}

/// The run that `word` means: its name, the beginning of it, `last`, or `last~2`.
pub fn find(store: &Store, word: &str) -> Result<Option<String>, StoreError> {
    let names = names(store)?;
    let back = match word.strip_prefix("last") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('~').and_then(|steps| steps.parse::<usize>().ok()),
        None => None,
    };
    Ok(match back {
        Some(back) => names.get(back).cloned(),
        None => names.into_iter().find(|name| name.starts_with(word) && !word.is_empty()),
    })
}
