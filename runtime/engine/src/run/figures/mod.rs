//! What stages tell of themselves, kept in the run's folder: `STAGE/metrics.jsonl`, TensorBoard's event file, and the
//! curves as SVG and PNG.
//!
//! All of it happens in a thread of its own, so that neither a slow disk nor a picture holds up the dispatcher, and
//! what cannot be written is not: no figure is worth a stage.
mod earlier;
mod row;
mod tensorboard;
mod trail;

#[cfg(test)]
mod tests;

use super::file_name;
use crate::event::{Event, EventKind};
use muse_store::Store;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use trail::Trail;

/// After this time without a word a line is written, although its step may not be over.
const QUIET: Duration = Duration::from_millis(500);

/// Keeps figures. When it is dropped all of them are written.
pub(crate) struct Figures {
    store: Store,
    run: String,
    pipeline: String,
    thread: Option<(Sender<Said>, JoinHandle<()>)>,
}

impl Figures {
    /// For a run that begins now.
    pub(crate) fn new(store: &Store, run: &str) -> Self {
        Self { store: store.clone(), run: run.to_owned(), pipeline: String::new(), thread: None }
    }

    /// Something happened.
    pub(crate) fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::RunStarted { pipeline, .. } => self.pipeline.clone_from(pipeline),
            EventKind::StageStarted { .. } if self.thread.is_none() => self.start(),
            _ => {}
        }
        let about_a_stage = matches!(
            event.kind,
            EventKind::StageStarted { .. } | EventKind::Metric { .. } | EventKind::StageFinished { .. }
        );
        if let Some((sender, _)) = self.thread.as_ref().filter(|_| about_a_stage) {
            // A thread that is gone keeps no figures; the run goes on.
            let _ = sender.send(Said::Event(event.clone()));
        }
    }

    /// A stage that runs goes on from what stage `made` of the run `run` made.
    pub(crate) fn goes_on(&self, stage: &str, run: String, made: String) {
        if let Some((sender, _)) = &self.thread {
            let _ = sender.send(Said::GoesOn { stage: stage.to_owned(), from: (run, made) });
        }
    }

    fn start(&mut self) {
        let (sender, receiver) = channel();
        let keeper = Keeper {
            store: self.store.clone(),
            run: self.run.clone(),
            pipeline: self.pipeline.clone(),
            stages: HashMap::new(),
        };
        let thread = std::thread::Builder::new().name("figures".into()).spawn(|| keeper.work(receiver));
        self.thread = thread.ok().map(|thread| (sender, thread));
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// What the thread is told.
enum Said {
    Event(Event),
    GoesOn { stage: String, from: (String, String) },
}

/// The thread's own.
struct Keeper {
    store: Store,
    run: String,
    pipeline: String,
    stages: HashMap<String, Stage>,
}

/// A stage that runs.
struct Stage {
    key: String,
    attempt: u32,
    /// The run and the stage that made what it goes on from.
    from: Option<(String, String)>,
    /// From its first figure on.
    trail: Option<Trail>,
}

impl Keeper {
    fn work(mut self, receiver: Receiver<Said>) {
        loop {
            match receiver.recv_timeout(QUIET) {
                Ok(Said::Event(event)) => self.take(event),
                Ok(Said::GoesOn { stage, from }) => {
                    self.stages.entry(stage).and_modify(|stage| stage.from = Some(from));
                }
                Err(RecvTimeoutError::Timeout) => self.trails().for_each(Trail::write),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.trails().for_each(Trail::draw_if_due);
        }
        self.trails().for_each(Trail::end);
    }

    fn trails(&mut self) -> impl Iterator<Item = &mut Trail> {
        self.stages.values_mut().filter_map(|stage| stage.trail.as_mut())
    }

    fn take(&mut self, event: Event) {
        match event.kind {
            EventKind::StageStarted { stage, key, attempt } => {
                let trail = self.stages.remove(&stage).and_then(|stage| stage.trail);
                self.stages.insert(stage, Stage { key, attempt, from: None, trail });
            }
            EventKind::Metric { stage: name, step, name: figure, value } => {
                let Some(stage) = self.stages.get_mut(&name) else { return };
                let trail = stage.trail.get_or_insert_with(|| {
                    let folder = format!("runs/{}/{}", self.run, file_name(&name));
                    let mut trail = Trail::new(&self.store, folder, &format!("{}:{name}", self.pipeline));
                    // What an interrupted run left, and what the stage was offered: whichever is nearer.
                    let left = earlier::of_key(&self.store, &self.run, &name, &stage.key);
                    let offered = stage.from.as_ref().map(|from| earlier::lines(&self.store, from));
                    let nearest = left.into_iter().chain(offered);
                    if let Some(lines) = nearest.max_by_key(|lines| earlier::reach(lines, step)) {
                        earlier::carry_over(&lines, step, &mut trail);
                    }
                    trail
                });
                trail.take(stage.attempt, &event.time, step, &figure, value);
            }
            EventKind::StageFinished { stage, .. } => {
                if let Some(mut trail) = self.stages.remove(&stage).and_then(|stage| stage.trail) {
                    trail.end();
                }
            }
            _ => {}
        }
    }
}
