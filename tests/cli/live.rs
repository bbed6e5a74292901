//! A run that goes on, seen from beside it, and what its end tells.
use crate::support::TestContext;
use crate::support::wait::{LONG, until};

#[test]
fn status_and_runs_show_a_run_that_goes_on() {
    let context = TestContext::new();
    std::fs::create_dir_all(context.outside("")).unwrap();
    let (at, go) = (context.outside("at"), context.outside("go"));
    context.edit(&format!(
        "stages:
  done: {{ uses: command, with: {{ run: echo > out/x, outputs: [x] }} }}
  busy:
    uses: command
    inputs: {{ x: done }}
    with: {{ run: 'touch {}; while test ! -e {}; do sleep 0.02; done; echo > out/y', outputs: [y] }}
",
        at.display(),
        go.display()
    ));
    let mut run = context.command(["run", "pipelines/p.yaml", "-q"]).spawn().unwrap();
    until("the stage begins", LONG, || at.exists());
    let status = context.muse(["status", "pipelines/p.yaml", "--json"]).ok().json();
    assert_eq!(status["live"], true, "{status:#}");
    let stages = status["stages"].as_array().unwrap();
    let of = |name: &str| stages.iter().find(|stage| stage["stage"] == name).unwrap();
    assert_eq!((&of("done")["outcome"], &of("busy")["outcome"]), (&"ran".into(), &serde_json::json!(null)));
    context.muse(["status", "pipelines/p.yaml"]).ok().prints("busy");
    assert_eq!(context.muse(["runs", "--json"]).ok().json()[0]["live"], true);
    std::fs::write(go, "").unwrap();
    assert!(run.wait().unwrap().success());
    let status = context.muse(["status", "pipelines/p.yaml", "--json"]).ok().json();
    assert_eq!((&status["live"], &status["outcome"]), (&false.into(), &"done".into()), "{status:#}");
}

#[test]
fn the_end_says_what_ran_what_was_a_hit_and_what_that_saved() {
    let context = TestContext::pipeline(
        "params: { v: 1 }
stages:
  slow: { uses: command, with: { run: sleep 1.2; echo > out/x, outputs: [x] } }
  fast: { uses: command, inputs: { x: slow }, with: { run: 'echo ${params.v} > out/y', outputs: [y] } }
",
    );
    context.muse(["run", "pipelines/p.yaml"]).ok().says("2 ran");
    let output = context.muse(["run", "pipelines/p.yaml", "--set", "v=2"]).ok().says("1 ran").says("1 hit");
    output.says("saved");
    let events = context.run(["--set", "v=2"]).ok();
    let saved = events.events_of("run_finished")[0]["saved_seconds"].as_f64().unwrap();
    assert!((1.2..60.0).contains(&saved), "{saved}");
    // What a hit took is what it took when it was made.
    let slow = events.events_of("stage_finished").into_iter().find(|event| event["stage"] == "slow").unwrap();
    assert!(slow["seconds"].as_f64().unwrap() >= 1.2, "{slow}");
}

#[test]
fn a_mistake_in_an_included_file_is_told_at_its_place_there() {
    let context = TestContext::pipeline(
        "include: [../common/stages.yaml]
stages: { a: { uses: command, inputs: { x: shared }, with: { run: 'true', outputs: [y] } } }
",
    );
    context.write(
        "common/stages.yaml",
        "stages:\n  shared: { uses: command, with: { run: 'true', output: [x] } }\n",
    );
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    output.says("common/stages.yaml:2:").says("`outputs`");
    context.remove("common/stages.yaml");
    context
        .muse(["validate", "pipelines/p.yaml"])
        .ends(2)
        .says("pipelines/p.yaml:2:")
        .says("common/stages.yaml");
}
