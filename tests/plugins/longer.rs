//! A longer run goes on from what a shorter one ended in, and ends as if it had not.
use super::example;
use crate::support::TestContext;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const PIPELINE: &str = "params: { steps: 20, seed: 7 }
stages:
  world: { uses: life, with: { steps: '${params.steps}', seed: '${params.seed}' } }
";

fn project(pipeline: &str) -> TestContext {
    let context = TestContext::with(example("muse-with-life"));
    context.edit(pipeline);
    context
}

/// What a run of `world` came to.
#[derive(Debug, PartialEq)]
struct Made {
    key: String,
    digest: String,
    /// The step at which it began.
    from: u64,
}

fn run(context: &TestContext, more: &[&str]) -> (Made, Vec<String>) {
    let output = context.run(more).ok();
    assert!(output.ran().contains(&"world".to_owned()), "{output}");
    let metric = output.events_of("metric").into_iter().find(|metric| metric["name"] == "from").unwrap();
    let finished =
        output.events_of("stage_finished").into_iter().find(|stage| stage["stage"] == "world").unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let made = Made {
        key: text(&finished["key"]),
        digest: text(&finished["outputs"]["world"]["digest"]),
        from: metric["step"].as_u64().unwrap(),
    };
    (made, output.events_of("note").iter().map(|note| text(&note["message"])).collect())
}

fn steps(context: &TestContext, steps: u64) -> (Made, Vec<String>) {
    run(context, &["--set", &format!("steps={steps}")])
}

/// What the plan says of going on.
fn resume(context: &TestContext, more: &[&str]) -> serde_json::Value {
    context.plan(more)["world"].json["resume"].clone()
}

fn blob(context: &TestContext, made: &Made) -> PathBuf {
    let hex = made.digest.strip_prefix("b3:").unwrap();
    context.cache().join("blobs-v1").join(&hex[..2]).join(&hex[2..])
}

/// Changes content in the store without changing its size.
fn damage(context: &TestContext, made: &Made) {
    let path = blob(context, made);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let size = fs::read(&path).unwrap().len();
    fs::write(&path, vec![b'#'; size]).unwrap();
}

#[test]
fn a_longer_run_goes_on_and_nobody_can_tell() {
    let context = project(PIPELINE);
    let (short, notes) = steps(&context, 20);
    assert_eq!((short.from, notes.len()), (0, 0));
    // The plan says so, in both forms, and only of what will run.
    let plan = context.plan(["--set", "steps=50"]);
    assert_eq!(plan["world"].json["resume"], json!({ "from": short.key, "step": 20 }));
    assert_eq!(plan["world"].why(), ["param steps"]);
    assert!(context.plan(["--set", "steps=20"])["world"].json.get("resume").is_none());
    let people = context.muse(["plan", "pipelines/p.yaml", "--set", "steps=50"]).ok();
    people.prints("goes on from step 20 of b3:");
    let (long, notes) = steps(&context, 50);
    assert_eq!(long.from, 20);
    assert!(notes.iter().any(|note| note.starts_with("it goes on from step 20")), "{notes:?}");
    // Its figures begin with those of the shorter run.
    let folder = context.muse(["status", "pipelines/p.yaml", "--folder"]).ok().stdout;
    let lines = fs::read_to_string(format!("{}/world/metrics.jsonl", folder.trim_end())).unwrap();
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&Value> = told.iter().map(|line| &line["step"]).collect();
    assert_eq!(told, [0, 20]);
    // The same run where there is nothing to go on from: the same key, the same bytes.
    let (whole, _) = steps(&project(PIPELINE), 50);
    assert_eq!(Made { from: 0, ..long }, whole);
    assert_ne!(whole.digest, short.digest, "the world stands still, and the test shows nothing");
    // And it is what it says it is.
    context.replace("pipelines/p.yaml", "steps: 20", "steps: 50");
    context.muse(["verify", "--rerun", "pipelines/p.yaml:world"]).ok();
}

#[test]
fn it_goes_on_from_the_furthest_that_is_of_its_family_and_not_beyond() {
    let context = project(PIPELINE);
    let made = [10, 20, 40].map(|count| steps(&context, count).0);
    assert_eq!(made.each_ref().map(|made| made.from), [0, 10, 20]);
    assert_eq!(resume(&context, &["--set", "steps=30"]), json!({ "from": made[1].key, "step": 20 }));
    assert_eq!(resume(&context, &["--set", "steps=5"]), json!(null));
    assert_eq!(resume(&context, &["--set", "steps=60", "--set", "seed=8"]), json!(null));
    // A field that is no part of the key parts no family.
    context.replace("pipelines/p.yaml", "seed: '", "save_every: 3, seed: '");
    assert_eq!(resume(&context, &["--set", "steps=60"]), json!({ "from": made[2].key, "step": 40 }));
}

#[test]
fn a_damaged_offer_is_dropped_and_the_next_one_taken() {
    let context = project(PIPELINE);
    let made = [10, 20].map(|count| steps(&context, count).0);
    damage(&context, &made[1]);
    let (long, notes) = steps(&context, 50);
    assert_eq!(long.from, 10);
    assert!(notes.iter().any(|note| note.contains("step 20 is damaged")), "{notes:?}");
    assert!(!blob(&context, &made[1]).exists(), "it is dropped");
    // Without any the run begins from nothing.
    let context = project(PIPELINE);
    damage(&context, &steps(&context, 20).0);
    let (alone, _) = steps(&context, 50);
    assert_eq!(alone, Made { from: 0, ..long });
}

#[test]
fn what_gc_took_is_not_offered() {
    let context = project(PIPELINE);
    steps(&context, 20);
    let (other, _) = run(&context, &["--set", "steps=3", "--set", "seed=8"]);
    // No last run names the first any more.
    context.muse(["gc"]).ok();
    assert_eq!(resume(&context, &["--set", "steps=50"]), json!(null));
    let left = resume(&context, &["--set", "steps=50", "--set", "seed=8"]);
    assert_eq!(left, json!({ "from": other.key, "step": 3 }));
    assert_eq!(steps(&context, 50).0.from, 0);
}

#[test]
fn a_forced_run_begins_from_nothing() {
    let context = project(PIPELINE);
    steps(&context, 20);
    let (long, _) = steps(&context, 50);
    let words = ["--set", "steps=50", "--force", "world"];
    assert_eq!(resume(&context, &words), json!(null));
    let (again, notes) = run(&context, &words);
    assert_eq!(again, Made { from: 0, ..long });
    assert_eq!(notes, [""; 0]);
}

#[test]
fn projects_that_share_a_store_go_on_from_each_other() {
    let (ours, theirs) = (project(PIPELINE), project(PIPELINE));
    let (short, _) = steps(&ours, 20);
    let cache = ours.cache().display().to_string();
    let words = ["--cache-dir", &cache, "--set", "steps=50"];
    assert_eq!(resume(&theirs, &words), json!({ "from": short.key, "step": 20 }));
    assert_eq!(run(&theirs, &words).0.from, 20);
    // Each store knows its own results.
    assert_eq!(resume(&theirs, &["--set", "steps=60"]), json!(null));
    assert_eq!(resume(&ours, &["--set", "steps=60"])["step"], 50);
}

#[test]
fn a_stage_whose_key_comes_late_goes_on_too() {
    let context = project(
        "params: { steps: 20, note: a }
stages:
  first: { uses: command, with: { run: 'printf \".....\\n.###.\\n.#...\\n..#..\\n.....\\n\" > out/w', env: { NOTE: '${params.note}' }, outputs: [w] } }
  world: { uses: life, inputs: { start: first }, with: { steps: '${params.steps}', width: 5 } }
",
    );
    let (short, _) = steps(&context, 20);
    // Its input is made again, so nobody knows its key yet; then the input comes out the same.
    let words = ["--set", "steps=50", "--set", "note=b"];
    let plan = context.plan(words);
    assert_eq!((plan["world"].action.as_str(), plan["world"].key()), ("maybe", None));
    assert_eq!(plan["world"].json.get("resume"), None);
    let (long, _) = run(&context, &words);
    assert_eq!((short.from, long.from), (0, 20));
}
