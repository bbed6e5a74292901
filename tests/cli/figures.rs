//! What a stage that tells figures shows while it runs, and what stays of it in the run's folder.
use crate::support::TestContext;
use serde_json::Value;
use std::path::PathBuf;

/// A stage of 40 steps with an evaluation at every tenth. The first run of it dies at step 25, the next goes on from 20.
fn training() -> TestContext {
    let context = TestContext::pipeline(
        "plugins: { train: ../bin/muse-stage-train }
stages: { base: { uses: train } }
",
    );
    let died = context.outside("died");
    std::fs::create_dir_all(context.outside("")).unwrap();
    context.write_program("bin/muse-stage-train", SCRIPT.replace("DIED", &died.display().to_string()));
    context
}

const SCRIPT: &str = r#"#!/bin/sh
if [ "$1" = --describe ]; then
    echo '{"muse_stage": 1, "name": "train", "version": 1, "outputs": [{"name": "model", "type": "folder"}],
        "params": {"type": "object", "properties": {}}}' | tr -d '\n'
    exit
fi
metric() { printf '{"event": "metric", "step": %s, "name": "%s", "value": %s}\n' "$1" "$2" "$3"; }
from=1
if test -e DIED; then from=21; fi
for step in $(seq $from 40); do
    printf '{"event": "progress", "done": %s, "total": 40, "unit": "steps"}\n' $step
    metric $step loss $((50 - step)).5
    metric $step lr 0.0003
    metric $step tokens_per_second 36000
    if [ $((step % 10)) = 0 ]; then
        metric $step val_loss $((60 - step)).25
        metric $step best_val_loss $((60 - step)).25
    fi
    if [ $step = 15 ]; then metric 15 skipped 1; fi
    if [ $step = 25 ] && ! test -e DIED; then touch DIED; exit 3; fi
done
mkdir out/model
echo weights > out/model/weights
echo '{"event": "done"}'
"#;

/// The folder of the stage in the last run.
fn base(context: &TestContext) -> PathBuf {
    let folder = context.muse(["status", "pipelines/p.yaml", "--folder"]).ok().stdout;
    PathBuf::from(folder.trim_end()).join("base")
}

/// Names of the files in it, the varying one shortened.
fn names(folder: &PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.map(|name| name.split("tfevents").next().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn figures_are_told_kept_and_drawn_and_a_run_that_goes_on_has_them_all() {
    let context = training();
    let first = context.muse(["run", "pipelines/p.yaml"]).ends(1);
    let first = first.says("base: step 10: validation loss 50.2500, the best so far\n");
    first.says("base: step 15 was skipped: its loss or gradient is not finite\n");
    let died = base(&context);
    let files = ["attempt-1.log", "curves.png", "curves.svg", "events.out.", "metrics.jsonl"];
    assert_eq!(names(&died), files);

    let second = context.muse(["run", "pipelines/p.yaml"]).ok();
    second.says("base: done in").says(", loss 10.5000, best val 20.2500\n");
    let base = base(&context);
    assert_ne!(base, died);
    assert_eq!(names(&base), files);
    let lines = std::fs::read_to_string(base.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<u64> = lines.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=40).collect::<Vec<_>>());
    assert_eq!((&lines[9]["loss"], &lines[9]["val_loss"]), (&40.5.into(), &50.25.into()));
    assert_eq!(lines[10]["val_loss"], Value::Null);
    let svg = std::fs::read_to_string(base.join("curves.svg")).unwrap();
    assert!(svg.contains("best 20.2500 at step 40") && svg.contains("1 skipped"), "{svg}");

    // None of it is part of the result.
    assert_eq!(names(&context.get("base")), ["weights"]);
}

#[test]
fn status_runs_and_diff_tell_figures_also_of_results_that_were_there() {
    let context = training();
    context.run::<&str>([]).ends(1);
    context.run::<&str>([]).ok();
    let made = base(&context).join("curves.png").display().to_string();
    let figures = "loss 10.5000, val 20.2500, 36k tokens/s, lr 3e-4";
    context.muse(["status", "pipelines/p.yaml"]).ok().prints(figures).prints(&format!("curves  {made}\n"));
    context.muse(["runs"]).ok().prints("1 ran     base val 20.2500\n").prints("base val 40.2500\n");
    context.muse(["diff", "last~1", "last"]).ok().prints("val_loss").prints("-20.000000");
    // Now it is a hit: its curves are where they were drawn.
    context.run::<&str>([]).ok();
    assert!(!base(&context).exists());
    context.muse(["status", "pipelines/p.yaml"]).ok().prints(&format!("curves  {made}\n"));
    let status = context.muse(["status", "pipelines/p.yaml", "--json"]).ok().json();
    assert_eq!(
        (&status["stages"][0]["curves"], &status["stages"][0]["metrics"]["loss"]),
        (&made.into(), &10.5.into())
    );
}
