//! `muse exec-stage`: one job file in one process, as a batch system starts it.
use crate::support::{Output, TestContext};
use serde_json::{Value, json};

/// A job of the `command` kind whose fields `change` may change.
fn job(change: &Value) -> (TestContext, Output) {
    let context = TestContext::new();
    std::fs::create_dir_all(context.path("work/out")).unwrap();
    let mut job = json!({
        "job": 1, "mode": "run", "kind": "command", "version": 1, "stage": "a", "key": "b3:0", "attempt": 1,
        "params": { "run": "echo said; pwd; echo made > ${out.x}", "outputs": ["x"] },
        "work": context.path("work"), "inputs": {}, "outputs": { "x": "any" }, "threads": 1,
    });
    for (name, value) in change.as_object().unwrap() {
        job[name] = value.clone();
    }
    context.write("job.json", job.to_string());
    let output = context.muse(["exec-stage", "job.json"]);
    (context, output)
}

#[test]
fn a_job_runs_in_its_folder_and_tells_events() {
    let (context, output) = job(&json!({}));
    assert_eq!(output.ok().events(), [json!({ "event": "done" })]);
    assert_eq!(context.read("work/out/x"), "made\n");
    // What the command prints is its log, beside the events.
    let (context, output) = job(&json!({}));
    assert_eq!(output.stderr, format!("said\n{}\n", context.path("work").display()));
}

#[test]
fn a_job_that_is_not_for_this_muse_is_refused() {
    for (change, word) in [
        (json!({ "version": 7 }), "version 7"),
        (json!({ "kind": "pretrian" }), "pretrian"),
        (json!({ "job": 2 }), "2"),
        (json!({ "work": "/no/such/folder" }), "/no/such/folder"),
        (json!({ "params": { "rnu": "true" } }), "rnu"),
        (json!({ "params": [] }), "parameters"),
    ] {
        let (context, output) = job(&change);
        let last = output.ends(1).events().pop().unwrap();
        assert_eq!(last["event"], "failed", "{change}");
        assert!(last["message"].as_str().unwrap().contains(word), "{change}: {last}");
        assert!(!context.path("work/out/x").exists(), "{change}");
    }
}

#[test]
fn a_file_that_is_no_job_is_told_as_an_event_too() {
    let context = TestContext::new();
    context.write("job.json", "{");
    let output = context.muse(["exec-stage", "job.json"]).ends(1);
    assert!(output.events()[0]["message"].as_str().unwrap().contains("job.json"), "{output}");
    assert_eq!(context.muse(["exec-stage", "none.json"]).ends(1).events()[0]["event"], "failed");
}
