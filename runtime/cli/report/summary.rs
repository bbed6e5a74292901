//! The end of a run: what failed and why, what ran, what was a hit, how long, and what the hits saved.
use crate::format::{duration, exact, plural, visible};
use crate::paint::Paint;
use muse_runtime::event::{Event, EventKind, Outcome, RunOutcome};
use muse_runtime::run::tail;
use std::path::PathBuf;

/// Lines of a failed stage's log that are shown.
const LOG_LINES: usize = 12;
/// Failed stages that are told in full.
const TOLD: usize = 10;
/// Names of blocked stages that are told.
const NAMED: usize = 6;

/// What the summary needs to remember of a run.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    failed: Vec<Failure>,
    blocked: Vec<String>,
    interrupted: Vec<String>,
}

#[derive(Debug)]
struct Failure {
    stage: String,
    seconds: f64,
    error: String,
    help: Option<String>,
    log: Option<String>,
}

impl Summary {
    /// Remembers what an event says.
    pub(crate) fn observe(&mut self, event: &Event) {
        let EventKind::StageFinished { stage, outcome, seconds, error, help, log, .. } = &event.kind else {
            return;
        };
        match outcome {
            Outcome::Failed => self.failed.push(Failure {
                stage: stage.clone(),
                seconds: *seconds,
                error: error.clone().unwrap_or_default(),
                help: help.clone(),
                log: log.clone(),
            }),
            Outcome::Blocked => self.blocked.push(stage.clone()),
            Outcome::Interrupted => self.interrupted.push(stage.clone()),
            Outcome::Hit | Outcome::Ran => {}
        }
    }

    /// The summary for the event that ends the run; empty for any other.
    pub(crate) fn text(&self, end: &Event, paint: Paint) -> String {
        let EventKind::RunFinished { outcome, ran, hit, failed, blocked, seconds, saved_seconds } = &end.kind
        else {
            return String::new();
        };
        let mut text = String::new();
        for failure in self.failed.iter().take(TOLD) {
            text += &failure.text(paint);
        }
        if let Some(more) = self.failed.len().checked_sub(TOLD).filter(|more| *more > 0) {
            text += &format!("… and {} more\n", plural(more, "failed stage"));
        }
        text += &names("interrupted", &self.interrupted, paint);
        text += &names("blocked", &self.blocked, paint);
        let counts = [(*ran, "ran"), (*failed, "failed"), (*blocked, "blocked")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut parts: Vec<String> =
            counts.map(|(count, what)| format!("{} {what}", exact(count as u64))).collect();
        if *hit > 0 {
            let saved = if *saved_seconds >= 0.5 {
                format!(" (saved {})", duration(*saved_seconds))
            } else {
                String::new()
            };
            parts.push(plural(*hit, "hit") + &saved);
        }
        let parts = parts.join(", ");
        let colon = if parts.is_empty() { "" } else { ": " };
        let time = duration(*seconds);
        text += &match outcome {
            RunOutcome::Done if *ran == 0 => format!("{}{colon}{parts}\n", paint.good("nothing to do")),
            RunOutcome::Done => format!("{} in {time}{colon}{parts}\n", paint.good("done")),
            RunOutcome::Failed => format!("{} after {time}{colon}{parts}\n", paint.bad("failed")),
            RunOutcome::Interrupted => {
                let stopped = paint.warn("interrupted");
                format!("{stopped} after {time}{colon}{parts}; the same command goes on from here\n")
            }
        };
        text
    }
}

impl Failure {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!(
            "{} {} after {}: {}\n",
            paint.bad("failed:"),
            paint.strong(&self.stage),
            duration(self.seconds),
            visible(&self.error).replace('\n', "\n  ")
        );
        if let Some(help) = &self.help {
            text += &format!("  {} {}\n", paint.live("help:"), visible(help).replace('\n', "\n  "));
        }
        if let Some(log) = &self.log {
            text += &format!("  {} {log}\n", paint.live("log:"));
            for line in tail(&PathBuf::from(log), LOG_LINES) {
                text += &format!("  {} {}\n", paint.faint("|"), visible(line.trim_end_matches('\r')));
            }
        }
        text
    }
}

fn names(what: &str, stages: &[String], paint: Paint) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let named = stages.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match stages.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {} more", exact(more as u64)),
    };
    format!("{} {named}{more}\n", paint.warn(&format!("{what}:")))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, finished, run_finished};
    use super::*;

    fn end(outcome: RunOutcome, counts: [usize; 4], saved: f64) -> String {
        Summary::default().text(&at(0, run_finished(outcome, counts, 83.0, saved)), Paint::default())
    }

    #[test]
    fn one_line_says_how_it_went() {
        assert_eq!(
            end(RunOutcome::Done, [2, 1038, 0, 0], 4320.0),
            "done in 1 min 23 s: 2 ran, 1,038 hits (saved 1 h 12 min)\n"
        );
        assert_eq!(end(RunOutcome::Done, [0, 1, 0, 0], 0.1), "nothing to do: 1 hit\n");
        assert_eq!(end(RunOutcome::Done, [0, 0, 0, 0], 0.0), "nothing to do\n");
        assert_eq!(
            end(RunOutcome::Failed, [1, 0, 2, 3], 0.0),
            "failed after 1 min 23 s: 1 ran, 2 failed, 3 blocked\n"
        );
        assert_eq!(
            end(RunOutcome::Interrupted, [1, 0, 0, 0], 0.0),
            "interrupted after 1 min 23 s: 1 ran; the same command goes on from here\n"
        );
    }

    #[test]
    fn a_failure_tells_its_error_its_help_and_the_end_of_its_log() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..100).map(|number| format!("line {number}\x1b[2J\n")).collect();
        std::fs::write(log.path(), lines).unwrap();
        let mut event = at(1, finished("base", Outcome::Failed, 12.0, Some("exit code 1")));
        let path = log.path().display().to_string();
        if let EventKind::StageFinished { log, .. } = &mut event.kind {
            *log = Some(path.clone());
        }
        let mut summary = Summary::default();
        summary.observe(&event);
        for number in 0..8 {
            let blocked = finished(&format!("eval{number}"), Outcome::Blocked, 0.0, None);
            summary.observe(&at(1, blocked));
        }
        let text =
            summary.text(&at(2, run_finished(RunOutcome::Failed, [0, 0, 1, 8], 12.0, 0.0)), Paint::default());
        let expected = format!(
            "failed: base after 12 s: exit code 1\n  help: look at the last lines of its log\n  log: {path}\n  | line 88"
        );
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains(
            "  | line 99\\u{1b}[2J\nblocked: eval0, eval1, eval2, eval3, eval4, eval5 and 2 more\n"
        ));
        assert_eq!(text.matches("\n  | ").count(), LOG_LINES);
    }
}
