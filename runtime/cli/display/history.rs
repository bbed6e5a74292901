//! Runs: one with its stages, many as a list, two compared.
use super::causes;
use crate::format::{Table, duration, moment, plural, visible};
use crate::paint::Paint;
use crate::report::{figures, lines};
use muse_runtime::event::{Outcome, RunOutcome};
use muse_runtime::view::compare::StageDifference;
use muse_runtime::view::history::{RunHistory, StageHistory};

/// Pictures of curves that are named.
const PICTURES: usize = 8;

/// The last run of a pipeline: what `muse status` prints. Hits are counted, unless `all`.
pub(crate) fn status(run: &RunHistory, paint: Paint, all: bool) -> String {
    let mut text =
        format!("{}  {}, began {}\n", paint.strong(&run.run), state(run, paint), moment(&run.started));
    let mut table = Table::new(&[2]);
    for stage in run.stages.iter().filter(|stage| all || stage.outcome != Some(Outcome::Hit)) {
        let (word, detail) = describe(stage, run.live, paint);
        let took = stage.outcome.map(|_| duration(stage.seconds)).unwrap_or_default();
        table.row([word, visible(&stage.stage), took, paint.faint(&detail)]);
    }
    text += &table.draw("  ");
    let hits = run.stages.iter().filter(|stage| stage.outcome == Some(Outcome::Hit)).count();
    if hits > 0 && !all {
        text += &format!("  {} there already\n", plural(hits, "result"));
    }
    text += &format!("folder  {}\n", run.folder.display());
    let curves: Vec<_> = run.stages.iter().filter_map(|stage| stage.curves.as_ref()).collect();
    for picture in curves.iter().take(PICTURES) {
        text += &format!("curves  {}\n", picture.display());
    }
    if let Some(more) = curves.len().checked_sub(PICTURES).filter(|more| *more > 0) {
        text += &format!("        and {more} more\n");
    }
    text
}

fn describe(stage: &StageHistory, live: bool, paint: Paint) -> (String, String) {
    let progress = || {
        let far = stage.progress.as_ref().map(|(done, total, unit)| lines::how_far(*done, *total, unit));
        let parts = far.into_iter().chain(Some(figures::line(&stage.metrics)));
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    };
    match stage.outcome {
        Some(Outcome::Ran) => (paint.good("ran"), figures::line(&stage.metrics)),
        Some(Outcome::Hit) => (paint.good("hit"), figures::line(&stage.metrics)),
        Some(Outcome::Failed) => (paint.bad("failed"), visible(stage.error.as_deref().unwrap_or_default())),
        Some(Outcome::Blocked) => {
            (paint.warn("blocked"), visible(stage.error.as_deref().unwrap_or_default()))
        }
        Some(Outcome::Interrupted) => (paint.warn("interrupted"), progress()),
        None if live => (paint.live("running"), progress()),
        None => (paint.bad("killed"), progress()),
    }
}

fn state(run: &RunHistory, paint: Paint) -> String {
    match run.outcome {
        Some(RunOutcome::Done) => paint.good("done"),
        Some(RunOutcome::Failed) => paint.bad("failed"),
        Some(RunOutcome::Interrupted) => paint.warn("interrupted"),
        None if run.live => paint.live("running"),
        None => paint.bad("killed"),
    }
}

/// Many runs, the newest first: what `muse runs` prints.
pub(crate) fn list(runs: &[RunHistory], paint: Paint) -> String {
    let mut table = Table::new(&[3]);
    for run in runs {
        let seconds = run.seconds.map(duration).unwrap_or_default();
        let mut counts = Vec::new();
        for (count, word) in
            [(run.ran, "ran"), (run.hit, "hit"), (run.failed, "failed"), (run.blocked, "blocked")]
        {
            if count > 0 {
                counts.push(format!("{count} {word}"));
            }
        }
        let counts = paint.faint(&counts.join(", "));
        let result = headline(run).unwrap_or_default();
        table.row([run.run.clone(), visible(&run.pipeline), state(run, paint), seconds, counts, result]);
    }
    table.draw("")
}

/// How well the last model of a run came out, as far as it got: `base val 1.8812`.
fn headline(run: &RunHistory) -> Option<String> {
    let stages = run.stages.iter().rev();
    stages
        .filter_map(|stage| Some(format!("{} {}", visible(&stage.stage), figures::headline(&stage.metrics)?)))
        .next()
}

/// Two runs: what `muse diff` prints.
pub(crate) fn compare(differences: &[StageDifference], paint: Paint) -> String {
    let mut text = String::new();
    for stage in differences {
        let note = match stage.in_runs {
            (true, false) => " only in the first run",
            (false, true) => " only in the second run",
            _ => "",
        };
        text += &format!("{}{note}\n", paint.strong(&visible(&stage.stage)));
        for cause in &stage.inputs {
            text += &format!("  {}\n", causes::phrase(cause));
        }
        if !stage.outputs.is_empty() && note.is_empty() {
            text += &format!("  made other content: {}\n", visible(&stage.outputs.join(", ")));
        }
        let mut table = Table::new(&[1, 2, 3]);
        let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"));
        for (name, (a, b)) in &stage.metrics {
            let change = a.zip(*b).map(|(a, b)| format!("{:+.6}", b - a)).unwrap_or_default();
            table.row([visible(name), figure(*a), figure(*b), change]);
        }
        text += &table.draw("  ");
    }
    if differences.is_empty() { "no difference\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::plan::Cause;

    fn stage(name: &str, outcome: Option<Outcome>, seconds: f64) -> StageHistory {
        StageHistory { stage: name.into(), outcome, seconds, ..StageHistory::default() }
    }

    fn run(live: bool) -> RunHistory {
        let loss = [("loss".to_owned(), 3.25)];
        let going = StageHistory {
            progress: Some((u64::MAX, Some(u64::MAX), "bytes".into())),
            metrics: loss.clone().into(),
            ..stage("日本語", None, 0.0)
        };
        RunHistory {
            run: "20260131-120000-1a2b".into(),
            folder: "cache/runs/20260131-120000-1a2b".into(),
            pipeline: "tiny".into(),
            file: "pipelines/tiny.yaml".into(),
            started: "2026-01-31T12:00:00.000Z".into(),
            seconds: (!live).then_some(4321.0),
            outcome: (!live).then_some(RunOutcome::Failed),
            live,
            ran: 1,
            hit: 1,
            failed: 1,
            blocked: 0,
            stages: vec![
                stage("corpus", Some(Outcome::Hit), 60.0),
                StageHistory {
                    metrics: loss.into(),
                    curves: Some("cache/runs/20260131-120000-1a2b/base/curves.png".into()),
                    ..stage("base", Some(Outcome::Ran), 4000.0)
                },
                StageHistory {
                    error: Some("exit 1\u{1b}".into()),
                    ..stage("eval", Some(Outcome::Failed), 2.0)
                },
                going,
            ],
        }
    }

    #[test]
    fn a_run_that_goes_on_and_one_that_failed() {
        let paint = Paint::default();
        let text = status(&run(true), paint, false) + "\n" + &status(&run(false), paint, true);
        insta::assert_snapshot!(text + "\n" + &list(&[run(true), run(false)], paint));
    }

    #[test]
    fn two_runs_side_by_side() {
        assert_eq!(compare(&[], Paint::default()), "no difference\n");
        let difference = StageDifference {
            stage: "base".into(),
            in_runs: (true, true),
            inputs: vec![Cause::Param { field: "lr".into(), old: 0.1.into(), new: 0.2.into() }],
            outputs: vec!["model".into()],
            metrics: [("loss".to_owned(), (Some(3.5), Some(3.25))), ("acc".to_owned(), (None, Some(0.5)))]
                .into(),
            seconds: (60.0, 90.0),
        };
        let gone = StageDifference {
            stage: "old".into(),
            in_runs: (true, false),
            inputs: vec![],
            outputs: vec![],
            metrics: [].into(),
            seconds: (1.0, 0.0),
        };
        insta::assert_snapshot!(compare(&[difference, gone], Paint::default()));
    }
}
