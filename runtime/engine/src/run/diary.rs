//! `events.jsonl`: all that happened in a run, one event a line. Of progress and figures, which may come many times a
//! second for days, only every so often one is written down; `figures/` keeps every figure.
use crate::event::{Event, EventKind, Outcome};
use muse_store::Store;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

/// Progress, and each figure, of a stage is written at most so often: often while it is young, so that who looks is
/// not told of its first moments only.
const SOON: Duration = Duration::from_millis(200);
const EVERY: Duration = Duration::from_secs(5);
/// A stage is old when it is so many times older than the time between two lines.
const OLD: u32 = 20;

/// A run's events on disk.
pub(super) struct Diary {
    file: Option<BufWriter<File>>,
    /// By stage and figure; none is progress.
    latest: BTreeMap<(String, Option<String>), Latest>,
}

/// What comes again and again.
struct Latest {
    first: Instant,
    written: Instant,
    /// What came since.
    waits: Option<Event>,
}

impl Diary {
    /// For a run of this name. Without a file where the store cannot be written to.
    pub(super) fn new(store: &Store, run: &str) -> Self {
        let file = store.append(&format!("runs/{run}/events.jsonl")).ok();
        Self { file: file.map(BufWriter::new), latest: BTreeMap::new() }
    }

    /// Writes an event down, at once: gc reads there what a live run holds. Only where there is nothing to do, so
    /// that nothing is `held`, and hits come by the thousand, may they wait a little.
    pub(super) fn take(&mut self, event: &Event, held: bool) {
        match &event.kind {
            EventKind::Progress { stage, .. } => return self.often(event, stage, None),
            EventKind::Metric { stage, name, .. } => return self.often(event, stage, Some(name)),
            EventKind::StageStarted { stage, .. } | EventKind::StageFinished { stage, .. } => {
                self.last_words(stage)
            }
            _ => {}
        }
        let hit = matches!(&event.kind, EventKind::StageFinished { outcome: Outcome::Hit, .. });
        self.write(event, held || !hit);
    }

    fn often(&mut self, event: &Event, stage: &str, name: Option<&String>) {
        let now = Instant::now();
        let key = (stage.to_owned(), name.cloned());
        let mut is_new = false;
        let latest = self.latest.entry(key).or_insert_with(|| {
            is_new = true;
            Latest { first: now, written: now, waits: None }
        });
        let every = (now.duration_since(latest.first) / OLD).clamp(SOON, EVERY);
        if !is_new && now.duration_since(latest.written) < every {
            latest.waits = Some(event.clone());
            return;
        }
        (latest.written, latest.waits) = (now, None);
        self.write(event, true);
    }

    /// What waits of a stage, before the event that ends it or begins it anew.
    fn last_words(&mut self, stage: &str) {
        let first = (stage.to_owned(), None);
        let of_stage: Vec<_> = self
            .latest
            .range(first..)
            .map(|(key, _)| key.clone())
            .take_while(|(of, _)| of == stage)
            .collect();
        for key in of_stage {
            if let Some(event) = self.latest.remove(&key).and_then(|latest| latest.waits) {
                self.write(&event, false);
            }
        }
    }

    fn write(&mut self, event: &Event, at_once: bool) {
        let Some(file) = self.file.as_mut() else { return };
        let written = serde_json::to_writer(&mut *file, event).is_ok() && file.write_all(b"\n").is_ok();
        if !written || (at_once && file.flush().is_err()) {
            // The disk is full or gone. The results matter more than the diary.
            self.file = None;
        }
    }

    /// All that is written is on its way to the disk.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            let _ = file.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event { time: "2026-01-31T12:00:00.000Z".into(), kind }
    }

    fn loss(stage: &str, step: u64) -> Event {
        event(EventKind::Metric { stage: stage.into(), step, name: "loss".into(), value: step as f64 })
    }

    #[test]
    fn of_many_figures_the_first_and_the_last_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path());
        let mut diary = Diary::new(&store, "r");
        for step in 0..1000 {
            diary.take(&loss("base", step), true);
            diary.take(&loss("other", step), true);
            let progress =
                EventKind::Progress { stage: "base".into(), done: step, total: None, unit: "x".into() };
            diary.take(&event(progress), true);
        }
        diary.take(
            &event(EventKind::StageStarted { stage: "base".into(), key: "k".into(), attempt: 2 }),
            true,
        );
        diary.take(&loss("base", 7), true);
        let text = std::fs::read_to_string(folder.path().join("runs/r/events.jsonl")).unwrap();
        let told: Vec<String> = text
            .lines()
            .map(|line| match serde_json::from_str::<Event>(line).unwrap().kind {
                EventKind::Metric { stage, step, .. } => format!("{stage} loss {step}"),
                EventKind::Progress { stage, done, .. } => format!("{stage} progress {done}"),
                _ => "started".into(),
            })
            .collect();
        assert_eq!(
            told,
            [
                "base loss 0",
                "other loss 0",
                "base progress 0",
                "base progress 999",
                "base loss 999",
                "started",
                "base loss 7"
            ]
        );
    }
}
