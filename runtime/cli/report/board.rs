//! What is on the screen while stages run. Events change it, a ticker moves it.
use super::figures::{self, Metrics};
use super::going::Going;
use super::lines;
use super::screen::{bar, columns, fit, line};
use crate::format::{clock, exact, pad, visible, width};
use crate::signals::stopping;
use crate::terminal::{self, Terminal, Verbosity};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use muse_runtime::event::{Event, EventKind, Outcome};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A stage's name takes at most so many columns.
const NAME: usize = 28;

/// What is on the screen.
pub(super) struct Board {
    terminal: Terminal,
    interrupts: Arc<AtomicU32>,
    screen: MultiProgress,
    total: ProgressBar,
    began: Instant,
    stages: usize,
    ended: usize,
    hits: usize,
    failed: usize,
    /// Running stages, the longest-running first. Those beyond the screen's height have no line.
    going: Vec<Going>,
    name_columns: usize,
}

impl Board {
    pub(super) fn new(
        terminal: Terminal,
        target: ProgressDrawTarget,
        interrupts: Arc<AtomicU32>,
    ) -> Arc<Mutex<Self>> {
        let screen = MultiProgress::with_draw_target(target);
        let total = screen.add(line());
        Arc::new(Mutex::new(Self {
            terminal,
            interrupts,
            screen,
            total,
            began: Instant::now(),
            stages: 0,
            ended: 0,
            hits: 0,
            failed: 0,
            going: Vec::new(),
            name_columns: 8,
        }))
    }

    pub(super) fn take(&mut self, event: &Event) {
        let paint = self.terminal.paint;
        let verbose = self.terminal.verbosity == Verbosity::Verbose;
        match &event.kind {
            EventKind::RunStarted { pipeline, stages, work, .. } => {
                self.stages = *stages;
                self.began = Instant::now();
                // A run with nothing to do is over before a bar could be read.
                if *work > 0 {
                    self.above(&lines::begun(&paint.strong(pipeline), *stages, *work));
                    self.draw_total();
                }
            }
            EventKind::Pinning { stage, .. } => {
                self.going(stage);
                self.draw(stage);
            }
            EventKind::Pinned { stage, id, value } => {
                self.remove(stage);
                let pinned = format!("pinned {} to {}", visible(id), visible(value));
                self.above(&format!("{} {} {pinned}", paint.good("✓"), paint.strong(stage)));
            }
            EventKind::StageWaiting { stage, holder, .. } => {
                self.going(stage).waiting = Some(visible(holder));
                self.draw(stage);
            }
            EventKind::StageStarted { stage, attempt, .. } => {
                let going = self.going(stage);
                (going.waiting, going.progress, going.attempt) = (None, None, *attempt);
                going.began = Instant::now();
                self.draw(stage);
            }
            EventKind::Progress { stage, done, total, unit } => {
                self.going(stage).advance(*done, *total, unit);
                self.draw(stage);
            }
            EventKind::Metric { stage, step, name, value } => {
                let going = self.going(stage);
                let happened = figures::happened(*step, name, *value, &going.metrics);
                going.metrics.insert(name.clone(), *value);
                // The last evaluation stands in the stage's own lines.
                if let Some(happened) = happened.filter(|_| name != "val_loss") {
                    self.above(&format!("{}: {} {happened}", paint.strong(stage), paint.warn("note:")));
                }
            }
            EventKind::Note { stage, message } => {
                let stage =
                    stage.as_deref().map(|stage| format!("{}: ", paint.strong(stage))).unwrap_or_default();
                self.above(&format!("{stage}{} {}", paint.warn("note:"), visible(message)));
            }
            EventKind::StageFinished { stage, outcome, .. } => {
                let metrics = self.remove(stage);
                self.ended += 1;
                self.hits += usize::from(*outcome == Outcome::Hit);
                self.failed += usize::from(*outcome == Outcome::Failed);
                if let Some(ended) = lines::ended(event, &metrics, paint, verbose) {
                    let mark = match outcome {
                        Outcome::Ran | Outcome::Hit => paint.good("✓"),
                        Outcome::Failed => paint.bad("✗"),
                        Outcome::Blocked | Outcome::Interrupted => paint.warn("-"),
                    };
                    self.above(&format!("{mark} {} {ended}", pad(&paint.strong(stage), self.name_columns)));
                }
                self.draw_total();
            }
            EventKind::RunFinished { .. } => self.clear(),
        }
    }

    /// The stage's entry, made where there is none.
    fn going(&mut self, stage: &str) -> &mut Going {
        let place = self.going.iter().position(|going| going.stage == stage).unwrap_or(self.going.len());
        if place == self.going.len() {
            self.name_columns = self.name_columns.max(width(stage).min(NAME));
            self.going.push(Going::new(stage));
            self.fill();
        }
        // The place was found or made above.
        &mut self.going[place]
    }

    /// Takes a stage's lines off the screen; answers with its figures.
    fn remove(&mut self, stage: &str) -> Metrics {
        let Some(place) = self.going.iter().position(|going| going.stage == stage) else {
            return Metrics::new();
        };
        let gone = self.going.remove(place);
        if let Some(line) = gone.line {
            line.finish_and_clear();
            self.screen.remove(&line);
        }
        self.fill();
        gone.metrics
    }

    /// Gives lines to the stages that have none, as many as the screen holds.
    fn fill(&mut self) {
        let shown = self.going.iter().filter(|going| going.line.is_some()).count();
        let free = rows().saturating_sub(shown);
        for going in self.going.iter_mut().filter(|going| going.line.is_none()).take(free) {
            going.line = Some(self.screen.insert_before(&self.total, line()));
        }
    }

    /// Whether every stage may have two lines.
    fn room(&self) -> bool {
        self.going.len() * 2 <= rows()
    }

    pub(super) fn tick(&mut self) {
        let (columns, room) = (columns(), self.room());
        for going in &self.going {
            going.draw(self.terminal, self.name_columns, columns, room);
        }
        if self.stages > 0 && !self.total.is_finished() {
            self.draw_total();
        }
    }

    fn draw(&mut self, stage: &str) {
        if let Some(going) = self.going.iter().find(|going| going.stage == stage) {
            going.draw(self.terminal, self.name_columns, columns(), self.room());
        }
    }

    fn draw_total(&self) {
        let paint = self.terminal.paint;
        let hidden = self.going.iter().filter(|going| going.line.is_none()).count();
        let mut parts = vec![format!("{} running", self.going.len())];
        if hidden > 0 {
            parts.push(format!("{hidden} not shown"));
        }
        if self.hits > 0 {
            parts.push(crate::format::plural(self.hits, "hit"));
        }
        if self.failed > 0 {
            parts.push(paint.bad(&format!("{} failed", self.failed)));
        }
        let stopping = paint.warn(stopping(self.interrupts.load(Ordering::Relaxed)));
        let share = self.ended as f64 / self.stages.max(1) as f64;
        let done = format!("{}/{}", exact(self.ended as u64), exact(self.stages as u64));
        let bar = paint.faint(&bar(share.min(1.0)));
        let text = format!(
            "  {bar} {done} stages, {}  {}  {stopping}",
            parts.join(", "),
            paint.faint(&self.elapsed())
        );
        self.total.set_message(fit(&text, columns()));
    }

    fn elapsed(&self) -> String {
        clock(self.began.elapsed().as_secs())
    }

    /// Writes a line that stays, above the bars.
    fn above(&self, line: &str) {
        // A closed standard error has no reader to disappoint.
        let _ = self.screen.println(line);
    }

    pub(super) fn clear(&mut self) {
        for going in self.going.drain(..) {
            going.line.inspect(ProgressBar::finish_and_clear);
        }
        self.total.finish_and_clear();
        let _ = self.screen.clear();
    }
}

/// Rows that stages may take.
fn rows() -> usize {
    terminal::size().map_or(24, |(_, rows)| rows).saturating_sub(4).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_board_follows_the_run_and_ends_empty() {
        let board = Board::new(Terminal::default(), ProgressDrawTarget::hidden(), Arc::default());
        let mut board = board.lock().unwrap();
        let events = sample::run();
        for event in &events[..events.len() - 4] {
            board.take(event);
        }
        let going: Vec<_> = board.going.iter().map(|going| (going.stage.as_str(), going.attempt)).collect();
        assert_eq!(going, [("packed", 1), ("base", 2)]);
        assert_eq!((board.ended, board.hits, board.stages), (2, 1, 6));
        events[events.len() - 4..].iter().for_each(|event| board.take(event));
        assert!(board.going.is_empty() && board.total.is_finished());
        assert_eq!((board.ended, board.failed), (5, 1));
    }

    #[test]
    fn more_stages_than_rows_are_counted() {
        let board = Board::new(Terminal::default(), ProgressDrawTarget::hidden(), Arc::default());
        let mut board = board.lock().unwrap();
        board.take(&sample::at(0, sample::run_started(900, 900)));
        for number in 0..900 {
            board.take(&sample::at(0, sample::started(&format!("s{number}"), 1)));
        }
        let shown = board.going.iter().filter(|going| going.line.is_some()).count();
        assert!((1..900).contains(&shown), "{shown}");
        let first = board.going[0].stage.clone();
        board.take(&sample::at(1, sample::finished(&first, Outcome::Ran, 1.0, None)));
        assert_eq!(
            board.going.iter().filter(|going| going.line.is_some()).count(),
            shown,
            "the next one moves up"
        );
    }
}
