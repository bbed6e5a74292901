//! Reporters: the events of a run as bars, as plain lines, as JSON, or not at all. All tell the same summary.
mod bars;
mod board;
mod bytes;
mod echo;
pub(crate) mod figures;
mod going;
mod json;
pub(crate) mod lines;
mod plain;
mod quiet;
mod screen;
mod summary;

pub(crate) use bars::Bars;
pub(crate) use bytes::BytesBar;
pub(crate) use json::Json;
pub(crate) use plain::Plain;
pub(crate) use quiet::Quiet;

use crate::out::Out;
use crate::terminal::{Terminal, Verbosity};
use muse_runtime::event::Event;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Something that tells people or programs what happens.
pub(crate) trait Reporter {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// Nobody reads any more, so the run should end.
    fn closed(&self) -> bool {
        false
    }
}

/// The reporter for this terminal and these flags. With `json`, events go to `out`, and people see bars all the
/// same where they sit before a terminal and the events go elsewhere.
pub(crate) fn choose<'a>(
    terminal: Terminal,
    json: Option<&'a mut Out<'_>>,
    out_is_terminal: bool,
    interrupts: Arc<AtomicU32>,
) -> Box<dyn Reporter + 'a> {
    let people: Box<dyn Reporter> = match terminal.verbosity {
        Verbosity::Quiet => Box::new(Quiet::new(terminal)),
        _ if json.is_some() && (out_is_terminal || !terminal.live) => Box::new(Quiet::new(terminal)),
        _ if terminal.live => Box::new(Bars::new(terminal, interrupts)),
        _ => Box::new(Plain::new(terminal)),
    };
    match json {
        Some(out) => Box::new(Both { json: Json::new(out), people }),
        None => people,
    }
}

/// Events for a program, and the rest for people.
struct Both<'a> {
    json: Json<'a>,
    people: Box<dyn Reporter>,
}

impl Reporter for Both<'_> {
    fn event(&mut self, event: &Event) {
        self.json.event(event);
        // Who closed the pipe has seen enough, and is not told how the rest went either.
        if !self.json.closed() {
            self.people.event(event);
        }
    }

    fn closed(&self) -> bool {
        self.json.closed()
    }
}

/// Events of a made-up run, for the tests of all reporters.
#[cfg(test)]
pub(crate) mod sample {
    use muse_runtime::event::{Event, EventKind, Outcome, OutputInfo, RunOutcome};
    use std::collections::BTreeMap;

    pub(crate) fn at(second: u32, kind: EventKind) -> Event {
        Event { time: format!("2026-01-31T12:{:02}:{:02}.000Z", second / 60, second % 60), kind }
    }

    pub(crate) fn started(stage: &str, attempt: u32) -> EventKind {
        EventKind::StageStarted { stage: stage.into(), key: format!("b3:{stage}"), attempt }
    }

    pub(crate) fn progress(stage: &str, done: u64, total: Option<u64>, unit: &str) -> EventKind {
        EventKind::Progress { stage: stage.into(), done, total, unit: unit.into() }
    }

    pub(crate) fn finished(stage: &str, outcome: Outcome, seconds: f64, error: Option<&str>) -> EventKind {
        let output = OutputInfo { digest: "b3:00".into(), bytes: 3 << 20 };
        let made = matches!(outcome, Outcome::Ran | Outcome::Hit);
        EventKind::StageFinished {
            stage: stage.into(),
            outcome,
            seconds,
            key: Some(format!("b3:{stage}")),
            outputs: made.then(|| ("out".to_owned(), output)).into_iter().collect::<BTreeMap<_, _>>(),
            error: error.map(str::to_owned),
            help: error.map(|_| "look at the last lines of its log".to_owned()),
            log: None,
        }
    }

    pub(crate) fn run_started(stages: usize, work: usize) -> EventKind {
        EventKind::RunStarted {
            run: "20260131-120000-1a2b".into(),
            pipeline: "tiny".into(),
            file: "pipelines/tiny.yaml".into(),
            stages,
            work,
            files: 0,
            hashed: 0,
        }
    }

    pub(crate) fn run_finished(
        outcome: RunOutcome,
        counts: [usize; 4],
        seconds: f64,
        saved: f64,
    ) -> EventKind {
        let [ran, hit, failed, blocked] = counts;
        EventKind::RunFinished { outcome, ran, hit, failed, blocked, seconds, saved_seconds: saved }
    }

    /// A run in which everything happens.
    pub(crate) fn run() -> Vec<Event> {
        let mut events = vec![
            at(0, run_started(6, 5)),
            at(0, EventKind::Note { stage: None, message: "the lock file was renewed".into() }),
            at(0, finished("corpus", Outcome::Hit, 4320.0, None)),
            at(1, started("tokenizer", 1)),
        ];
        for second in 1..=25 {
            let done = u64::from(second) * 1600;
            events.push(at(second, progress("tokenizer", done, Some(40_000), "documents")));
        }
        events.extend([
            at(26, finished("tokenizer", Outcome::Ran, 25.0, None)),
            at(
                26,
                EventKind::StageWaiting {
                    stage: "packed".into(),
                    key: "b3:packed".into(),
                    holder: "pid 12 on host a (user b), since 11:59:03".into(),
                },
            ),
            at(30, started("base", 1)),
            at(31, progress("base", 10, None, "bytes")),
            at(40, EventKind::Metric { stage: "base".into(), step: 10, name: "loss".into(), value: 3.25 }),
            at(42, progress("base", 5 << 20, None, "bytes")),
            at(
                43,
                EventKind::Note {
                    stage: Some("base".into()),
                    message: "attempt 1 failed: exit code 7".into(),
                },
            ),
            at(44, started("base", 2)),
            at(61, finished("base", Outcome::Failed, 17.0, Some("exit code 7"))),
            at(61, finished("eval", Outcome::Blocked, 0.0, Some("`base` failed"))),
            at(62, finished("packed", Outcome::Interrupted, 36.0, None)),
            at(62, run_finished(RunOutcome::Failed, [1, 1, 1, 1], 62.0, 4320.0)),
        ]);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_events_and_people_need_not() {
        let mut bytes = Vec::new();
        let mut out = Out::to(&mut bytes);
        let mut reporter =
            choose(Terminal { live: true, ..Terminal::default() }, Some(&mut out), true, Arc::default());
        for event in sample::run().iter().take(5) {
            reporter.event(event);
        }
        assert!(!reporter.closed());
        drop(reporter);
        drop(out);
        assert_eq!(String::from_utf8(bytes).unwrap().lines().count(), 5);
    }
}
