//! One line for each change, where there is no terminal: CI logs, batch systems, files.
use super::Reporter;
use super::figures::{self, Metrics};
use super::lines;
use super::summary::Summary;
use crate::format::visible;
use crate::terminal::{Terminal, Verbosity};
use muse_runtime::event::{Event, EventKind};
use std::collections::HashMap;

/// Progress of one stage is told at most this often, in seconds; less often where it takes hours.
const EVERY: f64 = 10.0;
const SELDOM: f64 = 60.0;
/// A stage is old when it is so many times older than the time between its lines.
const OLD: f64 = 20.0;

/// Tells changes line by line.
pub(crate) struct Plain {
    terminal: Terminal,
    summary: Summary,
    stages: HashMap<String, Going>,
}

/// A stage that goes on.
#[derive(Default)]
struct Going {
    /// When it began, and when the last line about it was written.
    began: f64,
    told: f64,
    /// When its progress was first heard of, and how far it was.
    first: Option<(f64, u64)>,
    metrics: Metrics,
}

impl Plain {
    /// For this terminal.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, summary: Summary::default(), stages: HashMap::new() }
    }

    /// What there is to say of an event, if anything.
    fn line(&mut self, event: &Event) -> Option<String> {
        let paint = self.terminal.paint;
        let verbose = self.terminal.verbosity == Verbosity::Verbose;
        let name = |stage: &str| paint.strong(stage);
        match &event.kind {
            // The summary says the same, and comes at once.
            EventKind::RunStarted { work: 0, .. } if !verbose => None,
            EventKind::RunStarted { run, pipeline, stages, work, .. } => {
                let begun = lines::begun(pipeline, *stages, *work);
                Some(if verbose {
                    format!("{begun} {}", paint.faint(&format!("(run {run})")))
                } else {
                    begun
                })
            }
            EventKind::Pinning { stage, id } => Some(format!("{}: looking up {}", name(stage), visible(id))),
            EventKind::Pinned { stage, id, value } => {
                Some(format!("{}: pinned {} to {}", name(stage), visible(id), visible(value)))
            }
            EventKind::StageWaiting { stage, holder, .. } => {
                Some(format!("{}: {} for {}", name(stage), paint.warn("waiting"), visible(holder)))
            }
            EventKind::StageStarted { stage, key, attempt } => {
                let told = lines::seconds(event).unwrap_or(0.0);
                self.stages.insert(stage.clone(), Going { began: told, told, ..Going::default() });
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let key = if verbose { format!(" {}", paint.faint(key)) } else { String::new() };
                Some(format!("{}: started{again}{key}", name(stage)))
            }
            EventKind::Progress { stage, done, total, unit } => {
                let progress = self.progress(event, stage, *done, *total, unit)?;
                Some(format!("{}: {progress}", name(stage)))
            }
            EventKind::Metric { stage, step, name: figure, value } => {
                let metrics = &mut self.stages.entry(stage.clone()).or_default().metrics;
                let happened = figures::happened(*step, figure, *value, metrics);
                metrics.insert(figure.clone(), *value);
                Some(format!("{}: {}", name(stage), happened?))
            }
            EventKind::Note { stage, message } => {
                let stage = stage.as_deref().map(|stage| format!("{}: ", name(stage))).unwrap_or_default();
                Some(format!("{stage}{} {}", paint.warn("note:"), visible(message)))
            }
            EventKind::StageFinished { stage, .. } => {
                let metrics = self.stages.remove(stage).unwrap_or_default().metrics;
                let ended = lines::ended(event, &metrics, paint, verbose)?;
                Some(format!("{}: {ended}", name(stage)))
            }
            EventKind::RunFinished { .. } => {
                Some(self.summary.text(event, paint).trim_end_matches('\n').to_owned())
            }
        }
    }

    fn progress(
        &mut self,
        event: &Event,
        stage: &str,
        done: u64,
        total: Option<u64>,
        unit: &str,
    ) -> Option<String> {
        let now = lines::seconds(event)?;
        let going = self.stages.entry(stage.to_owned()).or_default();
        let (since, at_first) = *going.first.get_or_insert((now, done));
        if now - going.told < ((now - going.began) / OLD).clamp(EVERY, SELDOM) {
            return None;
        }
        going.told = now;
        let rate = done.saturating_sub(at_first) as f64 / (now - since);
        let left = total.map(|total| total.saturating_sub(done));
        let mut parts = vec![lines::how_far(done, total, unit)];
        if let Some((speed, left)) = lines::speed(rate, left, unit) {
            // Tokens a second say more than steps do.
            parts.extend(Some(speed).filter(|_| !going.metrics.contains_key("tokens_per_second")));
            parts.extend(left);
        }
        parts.extend(figures::parts(&going.metrics));
        Some(parts.join(", "))
    }
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        self.summary.observe(event);
        if let Some(line) = self.line(event) {
            self.terminal.tell(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn told(verbosity: Verbosity) -> String {
        let mut plain = Plain::new(Terminal { verbosity, ..Terminal::default() });
        let events = sample::run();
        let lines = events.iter().filter_map(|event| {
            plain.summary.observe(event);
            plain.line(event)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_run_in_which_everything_happens() {
        insta::assert_snapshot!(told(Verbosity::Normal));
    }

    #[test]
    fn verbose_tells_hits_and_keys_too() {
        let (normal, verbose) = (told(Verbosity::Normal), told(Verbosity::Verbose));
        let more: Vec<&str> = verbose.lines().filter(|line| !normal.contains(line)).collect();
        insta::assert_snapshot!(more.join("\n"));
    }

    #[test]
    fn a_run_with_nothing_to_do_is_one_line() {
        let mut plain = Plain::new(Terminal::default());
        assert_eq!(plain.line(&sample::at(0, sample::run_started(9, 0))), None);
        let end = sample::run_finished(muse_runtime::event::RunOutcome::Done, [0, 9, 0, 0], 0.1, 60.0);
        assert_eq!(plain.line(&sample::at(0, end)).as_deref(), Some("nothing to do: 9 hits (saved 1 min)"));
    }

    #[test]
    fn times_that_are_none_hide_progress_and_nothing_else() {
        let mut plain = Plain::new(Terminal::default());
        let mut event = sample::at(0, sample::progress("a", 1, Some(2), "steps"));
        event.time = "yesterday".into();
        assert_eq!(plain.line(&event), None);
        event.kind = sample::started("a", 1);
        assert_eq!(plain.line(&event).as_deref(), Some("a: started"));
    }
}
