//! The figures of one stage, on disk as they come: lines, TensorBoard's events, and the curves.
//!
//! Work may go back: an attempt begins again from its last checkpoint, or training is rolled back to one. The lines
//! keep all that was told; TensorBoard and the curves show what was told last.
use super::row::Row;
use super::tensorboard;
use crate::curves::{Curves, ROLLED_BACK};
use muse_store::Store;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Drawing takes at most one part in so many of the time.
const SHARE: u32 = 50;
/// Without evaluations the curves are drawn so often.
const EVERY: Duration = Duration::from_secs(60);

/// What a stage has told so far.
pub(super) struct Trail {
    store: Store,
    /// Its folder, as the store names it.
    folder: String,
    attempt: u32,
    /// What is told of the step at hand.
    row: Option<Row>,
    /// The first line, until there is one of another step: a figure told once is no curve.
    first: Option<Row>,
    lines: Sink,
    events: Sink,
    curves: Curves,
    /// An evaluation, or anything at all, that the picture does not show yet.
    evaluated: bool,
    changed: bool,
    drawn: Instant,
    not_before: Instant,
}

impl Trail {
    /// A trail below `folder`, for a stage of which nothing was told yet.
    pub(super) fn new(store: &Store, folder: String, title: &str) -> Self {
        let now = Instant::now();
        Self {
            store: store.clone(),
            folder,
            attempt: 1,
            row: None,
            first: None,
            lines: Sink::Closed,
            events: Sink::Closed,
            curves: Curves::new(title),
            evaluated: false,
            changed: false,
            drawn: now,
            not_before: now,
        }
    }

    /// A figure. Figures of one step share a line.
    pub(super) fn take(&mut self, attempt: u32, time: &str, step: u64, name: &str, value: f64) {
        if self.row.as_ref().is_some_and(|row| row.attempt != attempt || !row.takes(step, name)) {
            self.write();
        }
        self.row.get_or_insert_with(|| Row::new(step, time, attempt)).add(name, value);
    }

    /// Writes what is told of the step at hand: it is over, or nothing more is heard of it for a while.
    pub(super) fn write(&mut self) {
        if let Some(row) = self.row.take() {
            self.keep(&row, &row.line());
        }
    }

    /// One line more, which may be one of an earlier run.
    pub(super) fn keep(&mut self, row: &Row, line: &[u8]) {
        if row.attempt != self.attempt {
            self.attempt = row.attempt;
            self.back_to(row, row.step);
        }
        let open = || self.store.append(&format!("{}/metrics.jsonl", self.folder)).ok();
        self.lines.write(open, line);
        for (name, value) in &row.values {
            self.curves.take(row.step, name, *value);
        }
        self.changed = true;
        self.evaluated |= row.value("val_loss").is_some();
        match self.first.take() {
            None if matches!(self.events, Sink::Closed) => self.first = Some(row.clone()),
            Some(mut first) if first.step == row.step => {
                first.values.retain(|(name, _)| row.value(name).is_none());
                first.values.extend_from_slice(&row.values);
                self.first = Some(first);
            }
            first => first.iter().chain([row]).for_each(|row| self.scalars(row)),
        }
        if let Some(step) = row.value(ROLLED_BACK) {
            self.back_to(row, (step as u64).saturating_add(1));
        }
    }

    fn scalars(&mut self, row: &Row) {
        let seconds = seconds(&row.time);
        self.event(seconds, &tensorboard::scalars(seconds, row.step, &row.values));
    }

    fn back_to(&mut self, row: &Row, step: u64) {
        self.curves.back_to(step);
        if matches!(self.events, Sink::Open(_)) {
            let seconds = seconds(&row.time);
            self.event(seconds, &tensorboard::again(seconds, step));
        }
    }

    fn event(&mut self, seconds: f64, record: &[u8]) {
        let open = || {
            let name = format!("{}/events.out.tfevents.{:.0}.muse", self.folder, seconds.floor());
            let mut file = self.store.append(&name).ok()?;
            file.write_all(&tensorboard::head(seconds)).ok().map(|()| file)
        };
        self.events.write(open, record);
    }

    /// Draws the curves where there is something new to see, and drawing costs little.
    pub(super) fn draw_if_due(&mut self) {
        let now = Instant::now();
        let due = self.evaluated || (self.changed && now.duration_since(self.drawn) >= EVERY);
        if due && now >= self.not_before {
            self.draw();
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.write();
        self.draw();
    }

    /// Draws the curves as they are now.
    fn draw(&mut self) {
        if !self.changed || !self.curves.drawable() {
            return;
        }
        (self.evaluated, self.changed) = (false, false);
        let began = Instant::now();
        self.put("curves.svg", self.curves.svg().as_bytes());
        if let Some(png) = self.curves.png() {
            self.put("curves.png", &png);
        }
        self.drawn = Instant::now();
        self.not_before = self.drawn + began.elapsed() * SHARE;
    }

    /// A file that is there whole or not at all: who looks at it sees no half picture.
    fn put(&self, name: &str, content: &[u8]) {
        let Ok(folder) = self.store.folder(&self.folder) else { return };
        let part = folder.join(format!(".{name}.part"));
        let put = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, folder.join(name)));
        if put.is_err() {
            // The disk is full or gone. The next drawing may have more luck.
            let _ = std::fs::remove_file(&part);
        }
    }
}

/// A file that is opened with its first bytes, and given up where the disk refuses it: no figure is worth a stage.
enum Sink {
    Closed,
    Open(File),
    Refused,
}

impl Sink {
    /// Writes at once: what was told is there after a kill.
    fn write(&mut self, open: impl FnOnce() -> Option<File>, bytes: &[u8]) {
        if matches!(self, Self::Closed) {
            *self = open().map_or(Self::Refused, Self::Open);
        }
        if let Self::Open(file) = self
            && file.write_all(bytes).is_err()
        {
            *self = Self::Refused;
        }
    }
}

/// Seconds since 1970 of an event's time.
fn seconds(time: &str) -> f64 {
    time.parse::<jiff::Timestamp>().map_or(0.0, |time| time.as_millisecond() as f64 / 1000.0)
}
