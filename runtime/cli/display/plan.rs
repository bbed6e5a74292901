//! A plan as a table: what would run, what may, and why.
use super::causes;
use crate::format::{Table, duration, exact, plural, shorten, visible};
use crate::paint::Paint;
use muse_runtime::plan::Action;
use muse_runtime::view::plan::{PlanView, PlannedView};

/// So much of a key tells it from others.
const KEY: usize = 16;

/// The plan. Hits are counted; with `all` they are listed too.
pub(crate) fn draw(plan: &PlanView, paint: Paint, all: bool) -> String {
    let mut table = Table::new(&[]);
    for stage in
        plan.stages.iter().filter(|stage| all || stage.action != Action::Hit || stage.same_as.is_some())
    {
        let (mark, why) = row(stage, paint);
        table.row([mark, visible(&stage.name), paint.faint(&why)]);
        if let Some(resume) = &stage.resume {
            let from = shorten(&resume.from.to_string(), KEY);
            let text = format!("goes on from step {} of {from}", exact(resume.step));
            table.row([String::new(), String::new(), paint.faint(&text)]);
        }
    }
    let mut text = table.draw("");
    let summary = plan.summary;
    let mut parts = Vec::new();
    for (count, word) in [(summary.run, "to run"), (summary.maybe, "may run")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let hits = plan.stages.iter().filter(|stage| stage.action == Action::Hit);
    let saved: f64 = hits.filter_map(|stage| stage.seconds).sum();
    if summary.hit > 0 {
        let saved = if saved >= 1.0 { format!(" ({} saved)", duration(saved)) } else { String::new() };
        parts.push(format!("{} there already{saved}", summary.hit));
    }
    if summary.run + summary.maybe == 0 {
        parts.insert(0, "nothing to do".into());
    }
    text +=
        &format!("{}: {}, {}\n", visible(&plan.pipeline), plural(summary.stages, "stage"), parts.join(", "));
    text
}

fn row(stage: &PlannedView, paint: Paint) -> (String, String) {
    let why = match &stage.same_as {
        Some(twin) => format!("the same as {twin}"),
        None if stage.action == Action::Hit && stage.stored == Some(false) => {
            "content not kept, nor needed".into()
        }
        None if stage.adopted => "adopted".into(),
        None => causes::line(&stage.causes),
    };
    let mark = match stage.action {
        Action::Hit => paint.good("hit  "),
        Action::Run => paint.live("run  "),
        Action::Maybe => paint.warn("maybe"),
    };
    (mark, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::plan::{Cause, Resume};
    use muse_runtime::view::plan::PlanSummary;
    use muse_store::{Digest, Key};

    fn stage(name: &str, action: Action, causes: Vec<Cause>) -> PlannedView {
        PlannedView {
            name: name.into(),
            uses: "command".into(),
            action,
            key: None,
            stored: None,
            same_as: None,
            adopted: false,
            seconds: (action == Action::Hit).then_some(75.0),
            resume: None,
            causes,
        }
    }

    #[test]
    fn what_runs_stands_with_its_reason_and_hits_are_counted() {
        let edited = Cause::Param { field: "vocab_size".into(), old: 4096.into(), new: 8192.into() };
        let longer = Cause::Param { field: "steps".into(), old: 20_000.into(), new: 30_000.into() };
        let below = Cause::Input { field: "tokenizer".into(), root: "tokenizer".into() };
        let stages = vec![
            stage("corpus", Action::Hit, vec![]),
            stage("tokenizer", Action::Run, vec![edited]),
            stage("packed", Action::Maybe, vec![below]),
            PlannedView {
                resume: Some(Resume { from: Key::new(Digest::from_bytes([7; 32])), step: 20_000 }),
                ..stage("base", Action::Run, vec![longer])
            },
        ];
        let summary = PlanSummary { stages: 4, hit: 1, run: 2, maybe: 1 };
        let plan = PlanView { schema: 1, pipeline: "tiny".into(), summary, stages };
        insta::assert_snapshot!(draw(&plan, Paint::new(false), false), @r"
        run    tokenizer  vocab_size: 4096 -> 8192
        maybe  packed     input tokenizer, because of tokenizer
        run    base       steps: 20000 -> 30000
                          goes on from step 20,000 of b3:070707070707…
        tiny: 4 stages, 2 to run, 1 may run, 1 there already (1 min 15 s saved)
        ");
    }
}
