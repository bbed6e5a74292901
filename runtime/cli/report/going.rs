//! A running stage and the line that tells of it.
use super::figures::{self, Metrics};
use super::lines;
use super::screen::{bar, fit};
use crate::format::{clock, pad, shorten, visible};
use crate::paint::Paint;
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};

/// How often the lines move by themselves. Slow enough to read, quick enough to be alive.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// A running stage.
pub(super) struct Going {
    pub(super) stage: String,
    pub(super) began: Instant,
    pub(super) waiting: Option<String>,
    pub(super) progress: Option<Progress>,
    pub(super) metrics: Metrics,
    pub(super) attempt: u32,
    pub(super) line: Option<ProgressBar>,
}

/// How far a stage is, and how fast.
pub(super) struct Progress {
    done: u64,
    total: Option<u64>,
    unit: String,
    /// When it was first heard of, and how far it was then: a stage that resumes does not begin at nothing.
    first: (Instant, u64),
}

impl Going {
    /// One that begins now.
    pub(super) fn new(stage: &str) -> Self {
        Self {
            stage: stage.to_owned(),
            began: Instant::now(),
            waiting: None,
            progress: None,
            metrics: Metrics::new(),
            attempt: 1,
            line: None,
        }
    }

    /// It got so far.
    pub(super) fn advance(&mut self, done: u64, total: Option<u64>, unit: &str) {
        let first = self.progress.as_ref().map_or((Instant::now(), done), |before| before.first);
        self.progress = Some(Progress { done, total, unit: visible(unit), first });
    }

    /// Draws its line. Where there is `room` its figures have a line of their own below.
    pub(super) fn draw(&self, terminal: Terminal, name_columns: usize, columns: usize, room: bool) {
        if let Some(line) = &self.line {
            line.set_message(self.text(terminal, name_columns, columns, room));
        }
    }

    fn text(&self, terminal: Terminal, name_columns: usize, columns: usize, room: bool) -> String {
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
                // Tokens a second say more than steps do.
                parts.extend(progress.speed(!self.metrics.contains_key("tokens_per_second")));
                parts.push(clock);
                parts.extend(figures::parts(&self.metrics).into_iter().filter(|_| !room));
                let parts = parts.join("  ");
                format!("{} {} {parts}", self.spinner(elapsed, terminal), paint.strong(&name))
            }
            (None, None) => {
                let again =
                    if self.attempt > 1 { format!("attempt {}  ", self.attempt) } else { String::new() };
                format!("{} {} {again}{clock}", self.spinner(elapsed, terminal), paint.strong(&name))
            }
        };
        let indent = name_columns + 3;
        let below = figures::fitting(&self.metrics, columns.saturating_sub(indent));
        if !room || below.is_empty() || self.waiting.is_some() {
            return fit(&text, columns);
        }
        format!("{}\n{}{below}", fit(&text, columns), " ".repeat(indent))
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

    /// Units a second since it was first heard of, where they are `told`, and the time that is left at that rate.
    fn speed(&self, told: bool) -> Vec<String> {
        let (since, at_first) = self.first;
        let seconds = since.elapsed().as_secs_f64();
        // The first moments tell nothing of the rest.
        if seconds < 1.0 {
            return Vec::new();
        }
        let rate = self.done.saturating_sub(at_first) as f64 / seconds;
        let left = self.total.map(|total| total.saturating_sub(self.done));
        match lines::speed(rate, left, &self.unit) {
            Some((speed, left)) => Some(speed).filter(|_| told).into_iter().chain(left).collect(),
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training() -> Going {
        let mut going = Going::new("base");
        going.advance(760, Some(2000), "steps");
        let told = [("loss", 2.3142), ("val_loss", 2.4205), ("best_val_loss", 2.4011)];
        let more = [("tokens_per_second", 36_123.0), ("lr", 3e-4), ("mfu", 0.41), ("memory", 1.3e9)];
        going.metrics = told.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect();
        going
    }

    #[test]
    fn figures_stand_below_where_there_is_room_and_fit() {
        let going = training();
        let text = |columns, room| going.text(Terminal::default(), 8, columns, room);
        assert_eq!(
            text(79, true).split_once('\n').unwrap(),
            (
                "⠋ base     ━━━━━━━╸────────────  38% 760/2k steps  0:00",
                "           loss 2.3142  val 2.4205 (best 2.4011)  36.1k tokens/s  lr 3e-4"
            )
        );
        assert!(text(119, true).ends_with("lr 3e-4  41% of peak  1.21 GiB"));
        assert_eq!(text(79, false).lines().count(), 1);
        assert!(text(119, false).contains("0:00  loss 2.3142  val"));
        for columns in [20, 40, 80, 120] {
            let longest = text(columns, true).lines().map(crate::format::width).max();
            assert!(longest.is_some_and(|longest| longest <= columns), "{columns}: {longest:?}");
        }
    }
}
