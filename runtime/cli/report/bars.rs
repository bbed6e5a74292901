//! Bars, where somebody looks at a terminal: a line for each running stage, one for the whole, the past above.
use super::Reporter;
use super::echo::Silence;
use super::lines;
use super::summary::Summary;
use crate::format::{clock, exact, pad, shorten, visible, width};
use crate::paint::Paint;
use crate::signals::stopping;
use crate::terminal::{self, Terminal, Verbosity};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use muse_runtime::event::{Event, EventKind, Outcome};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the lines move by themselves. Slow enough to read, quick enough to be alive.
const TICK: Duration = Duration::from_millis(200);
/// Draws a second at most.
const DRAWS: u8 = 12;
/// Columns of a bar.
const BAR: usize = 20;
/// A stage's name takes at most so many columns.
const NAME: usize = 28;

/// Draws bars on standard error.
pub(crate) struct Bars {
    terminal: Terminal,
    summary: Summary,
    board: Arc<Mutex<Board>>,
    ticker: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    silence: Option<Silence>,
}

impl Bars {
    /// Bars on this terminal. `interrupts` counts how often the user asked to stop.
    pub(crate) fn new(terminal: Terminal, interrupts: Arc<AtomicU32>) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS);
        let board = Board::new(terminal, target, interrupts);
        Self { terminal, summary: Summary::default(), board, ticker: None, silence: None }
    }

    /// One thread moves all lines. It ends when its channel closes.
    fn start_ticking(&mut self) {
        let (stop, stopped) = mpsc::channel();
        let board = self.board.clone();
        let thread = std::thread::Builder::new().name("bars".into()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                board.lock().unwrap_or_else(PoisonError::into_inner).tick();
            }
        });
        // Without the thread lines move when something happens, and no other time.
        self.ticker = thread.ok().map(|thread| (stop, thread));
    }

    fn stop_ticking(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Reporter for Bars {
    fn event(&mut self, event: &Event) {
        self.summary.observe(event);
        if let EventKind::RunStarted { .. } = &event.kind {
            self.start_ticking();
            self.silence = Some(Silence::start());
        }
        let end = matches!(event.kind, EventKind::RunFinished { .. });
        if end {
            self.stop_ticking();
            self.silence = None;
        }
        self.board.lock().unwrap_or_else(PoisonError::into_inner).take(event);
        if end {
            self.terminal.tell(&self.summary.text(event, self.terminal.paint));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.stop_ticking();
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What is on the screen.
struct Board {
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

/// A running stage.
struct Going {
    stage: String,
    began: Instant,
    waiting: Option<String>,
    progress: Option<Progress>,
    metrics: BTreeMap<String, f64>,
    attempt: u32,
    line: Option<ProgressBar>,
}

/// How far a stage is, and how fast.
struct Progress {
    done: u64,
    total: Option<u64>,
    unit: String,
    /// When it was first heard of, and how far it was then: a stage that resumes does not begin at nothing.
    first: (Instant, u64),
}

impl Board {
    fn new(terminal: Terminal, target: ProgressDrawTarget, interrupts: Arc<AtomicU32>) -> Arc<Mutex<Self>> {
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

    fn take(&mut self, event: &Event) {
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
                let going = self.going(stage);
                let first = going.progress.as_ref().map_or((Instant::now(), *done), |before| before.first);
                let unit = visible(unit);
                going.progress = Some(Progress { done: *done, total: *total, unit, first });
                self.draw(stage);
            }
            EventKind::Metric { stage, name, value, .. } => {
                self.going(stage).metrics.insert(name.clone(), *value);
            }
            EventKind::Note { stage, message } => {
                let stage =
                    stage.as_deref().map(|stage| format!("{}: ", paint.strong(stage))).unwrap_or_default();
                self.above(&format!("{stage}{} {}", paint.warn("note:"), visible(message)));
            }
            EventKind::StageFinished { stage, outcome, .. } => {
                self.remove(stage);
                self.ended += 1;
                self.hits += usize::from(*outcome == Outcome::Hit);
                self.failed += usize::from(*outcome == Outcome::Failed);
                if let Some(ended) = lines::ended(event, paint, verbose) {
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
            self.going.push(Going {
                stage: stage.to_owned(),
                began: Instant::now(),
                waiting: None,
                progress: None,
                metrics: BTreeMap::new(),
                attempt: 1,
                line: None,
            });
            self.fill();
        }
        // The place was found or made above.
        &mut self.going[place]
    }

    fn remove(&mut self, stage: &str) {
        if let Some(place) = self.going.iter().position(|going| going.stage == stage) {
            if let Some(line) = self.going.remove(place).line {
                line.finish_and_clear();
                self.screen.remove(&line);
            }
            self.fill();
        }
    }

    /// Gives lines to the stages that have none, as many as the screen holds.
    fn fill(&mut self) {
        let rows = terminal::size().map_or(24, |(_, rows)| rows);
        let most = rows.saturating_sub(4).max(1);
        let shown = self.going.iter().filter(|going| going.line.is_some()).count();
        let free = most.saturating_sub(shown);
        for going in self.going.iter_mut().filter(|going| going.line.is_none()).take(free) {
            going.line = Some(self.screen.insert_before(&self.total, line()));
        }
    }

    fn tick(&mut self) {
        let columns = columns();
        for going in &self.going {
            going.draw(self.terminal, self.name_columns, columns);
        }
        if self.stages > 0 && !self.total.is_finished() {
            self.draw_total();
        }
    }

    fn draw(&mut self, stage: &str) {
        if let Some(going) = self.going.iter().find(|going| going.stage == stage) {
            going.draw(self.terminal, self.name_columns, columns());
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

    fn clear(&mut self) {
        for going in self.going.drain(..) {
            going.line.inspect(ProgressBar::finish_and_clear);
        }
        self.total.finish_and_clear();
        let _ = self.screen.clear();
    }
}

impl Going {
    fn draw(&self, terminal: Terminal, name_columns: usize, columns: usize) {
        let Some(line) = &self.line else { return };
        let paint = terminal.paint;
        let name = pad(&shorten(&self.stage, name_columns), name_columns);
        let elapsed = self.began.elapsed();
        let clock = paint.faint(&clock(elapsed.as_secs()));
        let text = match (&self.waiting, &self.progress) {
            (Some(holder), _) => {
                format!("{} {} {} {holder}", paint.warn("∙"), paint.strong(&name), paint.warn("waiting for"))
            }
            (None, Some(progress)) => {
                // What matters least stands last, where a narrow terminal cuts.
                let mut parts = vec![progress.gauge(paint)];
                parts.extend(progress.speed());
                parts.push(clock);
                parts.push(lines::figures(&self.metrics));
                let parts = parts.join("  ");
                format!("{} {} {parts}", self.spinner(elapsed, terminal), paint.strong(&name))
            }
            (None, None) => {
                let again =
                    if self.attempt > 1 { format!("attempt {}  ", self.attempt) } else { String::new() };
                format!("{} {} {again}{clock}", self.spinner(elapsed, terminal), paint.strong(&name))
            }
        };
        line.set_message(fit(&text, columns));
    }

    /// Turns while the stage lives.
    fn spinner(&self, elapsed: Duration, terminal: Terminal) -> String {
        const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let frame = elapsed.as_millis() / TICK.as_millis().max(1);
        let frame = usize::try_from(frame).unwrap_or(0) % FRAMES.len();
        terminal.paint.live(FRAMES.get(frame).unwrap_or(&" "))
    }
}

impl Progress {
    /// `━━━━━╸────── 46% 18.5k/40k documents`; without a total only how far it is.
    fn gauge(&self, paint: Paint) -> String {
        let far = lines::how_far_in_short(self.done, self.total, &self.unit);
        match self.total.filter(|total| *total > 0) {
            Some(total) => {
                let share = (self.done as f64 / total as f64).min(1.0);
                format!("{} {:3.0}% {far}", paint.live(&bar(share)), (share * 100.0).floor())
            }
            None => far,
        }
    }

    /// Units a second since it was first heard of, and the time that is left at that rate.
    fn speed(&self) -> Vec<String> {
        let (since, at_first) = self.first;
        let seconds = since.elapsed().as_secs_f64();
        // The first moments tell nothing of the rest.
        if seconds < 1.0 {
            return Vec::new();
        }
        let rate = self.done.saturating_sub(at_first) as f64 / seconds;
        let left = self.total.map(|total| total.saturating_sub(self.done));
        match lines::speed(rate, left, &self.unit) {
            Some((speed, left)) => std::iter::once(speed).chain(left).collect(),
            None => Vec::new(),
        }
    }
}

/// A line whose text we write whole: its parts know their units, and indicatif keeps the place.
pub(super) fn line() -> ProgressBar {
    ProgressBar::no_length().with_style(style())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// `━━━━━━╸───────` for a share from 0 to 1.
pub(super) fn bar(share: f64) -> String {
    let halves = (share * BAR as f64 * 2.0).floor() as usize;
    let (full, half) = (halves / 2, halves % 2);
    let rest = BAR.saturating_sub(full + half);
    format!("{}{}{}", "━".repeat(full), "╸".repeat(half), "─".repeat(rest))
}

pub(super) fn columns() -> usize {
    terminal::columns().saturating_sub(1).max(20)
}

/// A line that fits: one that wraps would leave its tail behind when it is drawn again.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let (mut used, mut in_code) = (1, false);
    for letter in text.chars() {
        in_code |= letter == '\x1b';
        if !in_code {
            used += width(letter.encode_utf8(&mut [0; 4]));
        }
        if used <= columns || in_code {
            short.push(letter);
        }
        in_code &= !letter.is_ascii_alphabetic();
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_bar_fills_from_left_to_right() {
        assert_eq!(bar(0.0), "─".repeat(20));
        assert_eq!(bar(0.525), format!("{}╸{}", "━".repeat(10), "─".repeat(9)));
        assert_eq!(bar(1.0), "━".repeat(20));
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_colours_closed() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("\x1b[32mabcdef\x1b[0m", 4), "\x1b[32mabc\x1b[0m…");
        assert_eq!(width(&fit("日本語日本語", 7)), 7);
    }

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
