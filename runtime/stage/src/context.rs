//! What a running stage is handed: its inputs, where its outputs go, and whom to tell how far it is.
use crate::{Job, JobInput, Offer, StageError, StageEvent, Story};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Progress is told at most this often; the last word always passes.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// One attempt, seen from inside the stage.
pub struct Context {
    job: Job,
    variables: BTreeMap<String, String>,
    cancelled: Arc<AtomicBool>,
    tell: Box<dyn FnMut(&StageEvent) + Send>,
    told: Option<Instant>,
    resume: Option<File>,
}

impl Context {
    /// A context for `job`. Events go to `tell`; `cancelled` turns true when the stage should save and stop.
    pub fn new(job: Job, cancelled: Arc<AtomicBool>, tell: impl FnMut(&StageEvent) + Send + 'static) -> Self {
        Self { job, variables: BTreeMap::new(), cancelled, tell: Box::new(tell), told: None, resume: None }
    }

    /// The same, with the environment of the stage's process.
    #[must_use]
    pub fn with_variables(self, variables: BTreeMap<String, String>) -> Self {
        Self { variables, ..self }
    }

    /// A variable of the environment, which is what the engine lets a stage see: how to reach the outside, secrets that
    /// it declares. No result may depend on one.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The job as it was handed over.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The folder to work in; everything below it goes when the attempt is over.
    pub fn work(&self) -> &Path {
        &self.job.work
    }

    /// What stands at a port that takes one thing.
    pub fn input(&self, port: &str) -> Result<PathBuf, StageError> {
        self.optional(port).ok_or_else(|| StageError::new(format!("nothing is connected to `{port}`")))
    }

    /// What stands at a port that may be empty.
    pub fn optional(&self, port: &str) -> Option<PathBuf> {
        self.job.inputs.get(port).map(|input| self.work().join(&input.path))
    }

    /// Name and place of everything at a port, in the pipeline's order.
    pub fn entries(&self, port: &str) -> Vec<(String, PathBuf)> {
        let entries =
            self.job.inputs.get(port).map(|JobInput { entries, .. }| entries.as_slice()).unwrap_or_default();
        entries.iter().map(|(name, path)| (name.clone(), self.work().join(path))).collect()
    }

    /// Where an output goes: write a file or make a folder there.
    pub fn output(&self, name: &str) -> PathBuf {
        self.work().join("out").join(name)
    }

    /// A folder that outlives attempts at this key: what stands in it came from an earlier one. Made and locked
    /// when it is first asked for, so that an attempt that is still dying and the next one never meet in it.
    pub fn resume(&mut self) -> Result<PathBuf, StageError> {
        let Some(folder) = self.job.resume.clone() else {
            return Err(StageError::new("this kind did not say that it resumes"));
        };
        if self.resume.is_none() {
            fs::create_dir_all(&folder).map_err(StageError::io(&folder))?;
            let path = folder.with_extension("lock");
            let lock =
                File::options().create(true).append(true).open(&path).map_err(StageError::io(&path))?;
            lock.lock().map_err(StageError::io(&path))?;
            self.resume = Some(lock);
        }
        Ok(folder)
    }

    /// The result of another run that this one may go on from, its content checked. The result must be the same bytes
    /// without it. What an earlier attempt at this very key left in [`Context::resume`] comes first where it is further.
    pub fn offer(&self) -> Option<Offer> {
        let offer = self.job.offer.clone()?;
        Some(Offer { path: self.work().join(&offer.path), ..offer })
    }

    /// How the inputs came to be, for a kind with `story` among its habits.
    pub fn story(&self) -> Option<&Story> {
        self.job.story.as_ref()
    }

    /// The GPUs that are reserved for this stage; none where it computes on the processor. The process sees no others,
    /// and CUDA numbers them from 0 in this order.
    pub fn gpus(&self) -> &[String] {
        &self.job.gpus
    }

    /// How many threads to use.
    pub fn threads(&self) -> usize {
        self.job.threads.max(1) as usize
    }

    /// What an outside thing was pinned to.
    pub fn pinned(&self, id: &str) -> Result<&str, StageError> {
        self.job
            .pins
            .get(id)
            .map(String::as_str)
            .ok_or_else(|| StageError::new(format!("`{id}` is not pinned")))
    }

    /// True once the stage should save what it has and return [`StageError::Interrupted`].
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// What turns true once the stage should stop, for threads that it starts.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    /// `Err(Interrupted)` once the stage should stop: `context.go_on()?` in a loop.
    pub fn go_on(&self) -> Result<(), StageError> {
        if self.cancelled() { Err(StageError::Interrupted) } else { Ok(()) }
    }

    /// Tells how far the stage is. Cheap to call often.
    pub fn progress(&mut self, done: u64, total: Option<u64>, unit: &str) {
        let last = total == Some(done);
        if last || self.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
            self.told = Some(Instant::now());
            self.tell(&StageEvent::Progress { done, total, unit: unit.into() });
        }
    }

    /// Tells a figure.
    pub fn metric(&mut self, step: u64, name: &str, value: f64) {
        self.tell(&StageEvent::Metric { step, name: name.into(), value });
    }

    /// Tells something small that is true of the result: its licence, its last loss. See [`StageEvent::Fact`].
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.tell(&StageEvent::Fact { name: name.into(), value: value.into() });
    }

    /// Tells anything.
    pub fn tell(&mut self, event: &StageEvent) {
        (self.tell)(event);
    }
}
