//! Executables `muse-stage-NAME`, in Rust and in Python, on the path or under `plugins:`.
use super::{example, line_count, link};
use crate::support::TestContext;
use serde_json::{Value, json};
use std::process::Command;

const WORDS: &str = "plugins: { word-count: ../bin/muse-stage-word-count }
stages:
  text: { uses: command, with: { run: 'echo a b a > out/t', outputs: [t] } }
  words: { uses: word-count, inputs: { text: text } }
";

#[test]
fn an_executable_runs_as_the_linked_kind_does_and_shares_its_results() {
    let context = TestContext::pipeline(WORDS);
    link(&context, &example("muse-stage-word-count"));
    assert_eq!(context.run::<&str>([]).ok().ran(), ["text", "words"]);
    let report: Value = serde_json::from_str(&context.result("words")).unwrap();
    assert_eq!(report["words"], 3);
    // The key knows kind, version and parameters, and not how the kind reached muse.
    let linked = TestContext::with(example("my-muse"));
    linked.edit(&WORDS.replace("plugins: { word-count: ../bin/muse-stage-word-count }\n", ""));
    let cache = context.cache().display().to_string();
    assert_eq!(linked.run(["--cache-dir", &cache]).ok().stages("hit"), ["text", "words"]);
    // A binary that has the kind wants no second one.
    linked.edit(WORDS);
    linked.muse(["validate", "pipelines/p.yaml"]).ends(2).says("built in");
}

#[test]
fn an_executable_on_the_path_needs_no_line_in_the_file() {
    let mut context =
        TestContext::pipeline("stages: { n: { uses: line-count, with: { feed: 'file:///dev/null' } } }\n");
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("there is no stage kind `line-count`");
    let Some(plugin) = line_count() else { return };
    link(&context, &plugin);
    let path = format!("{}:{}", context.path("bin").display(), crate::support::caller_path());
    context.set("PATH", path);
    context.run::<&str>([]).ok();
    assert_eq!(context.result("n"), "{\"lines\": 0}");
    // Its page is as for a kind that is built in.
    context.muse(["stages", "line-count"]).ok().prints("Count empty lines too.").prints("feed");
    context.muse(["stages", "line-cuont"]).ends(2);
}

#[test]
fn describe_is_one_json_object() {
    for program in line_count().into_iter().chain([example("muse-stage-word-count")]) {
        let said = Command::new(&program).arg("--describe").output().unwrap();
        assert!(said.status.success());
        let description: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!((&description["muse_stage"], &description["version"]), (&json!(1), &json!(1)));
        assert!(description["params"]["properties"].is_object());
    }
    let usage = Command::new(example("muse-stage-word-count")).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("--describe"));
}

#[test]
fn parameters_of_a_plugin_are_checked_at_their_place() {
    let context = TestContext::pipeline(
        "plugins: { line-count: ../bin/muse-stage-line-count }
stages: { n: { uses: line-count, with: { fed: 'file:///dev/null', blank: maybe } } }
",
    );
    let Some(plugin) = line_count() else { return };
    link(&context, &plugin);
    let output = context.muse(["validate", "pipelines/p.yaml"]).ends(2);
    output.says("pipelines/p.yaml:3:").says("`feed`").says("maybe");
}

/// A plugin of a few shell lines, for the ways in which one can be wrong.
fn broken(describe: &str, job: &str) -> TestContext {
    let context = TestContext::pipeline(
        "plugins: { odd: ../bin/muse-stage-odd }
stages: { a: { uses: odd } }
",
    );
    let script = format!("#!/bin/sh\nif [ \"$1\" = --describe ]; then\n{describe}\nelse\n{job}\nfi\n");
    context.write_program("bin/muse-stage-odd", script);
    context
}

const GOOD: &str = r#"echo '{"muse_stage": 1, "name": "odd", "version": 1, "outputs": [{"name": "x", "type": "file"}], "params": {"type": "object", "properties": {}}}'"#;

#[test]
fn a_plugin_that_cannot_say_what_it_is_is_an_error_of_the_file() {
    for (describe, words) in [
        ("echo hello", vec!["muse-stage-odd", "description"]),
        ("echo cannot load libodd >&2; exit 3", vec!["muse-stage-odd", "cannot load libodd"]),
        (&GOOD.replace("odd\"", "even\""), vec!["`even`", "`odd`"]),
        (&GOOD.replace("stage\": 1", "stage\": 2"), vec!["2", "1"]),
    ] {
        let context = broken(describe, "true");
        let mut output = context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("pipelines/p.yaml:2:");
        for word in words {
            output = output.says(word);
        }
    }
    let context = broken(GOOD, "true");
    context.remove("bin/muse-stage-odd");
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("muse-stage-odd");
}

#[test]
fn a_plugin_that_fails_is_asked_once() {
    let context = TestContext::new();
    let asked = context.counter("asked");
    context.write_program("bin/muse-stage-odd", format!("#!/bin/sh\n{}\nexit 3\n", asked.mark()));
    context.edit(
        "plugins: { odd: ../bin/muse-stage-odd }
stages: { a: { uses: odd }, b: { uses: odd }, c: { uses: odd } }
",
    );
    context.muse(["validate", "pipelines/p.yaml"]).ends(2).says("does not answer").says("1 error");
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_plugin_that_does_not_say_done_has_made_nothing() {
    let done = r#"echo '{"event": "done"}'"#;
    for (job, reason) in [
        ("echo x > out/x".to_owned(), "without saying `done`"),
        (format!("echo x > out/x; {done}; exit 5"), "5"),
        (done.to_owned(), "out/x"),
        (r#"echo '{"event": "failed", "message": "no luck", "help": "try"}'; exit 1"#.to_owned(), "no luck"),
    ] {
        let context = broken(GOOD, &job);
        let output = context.run::<&str>([]).ends(1);
        let error = output.events_of("stage_finished")[0]["error"].as_str().unwrap().to_owned();
        assert!(error.contains(reason), "{job}: {error}");
    }
    // What it prints besides is nobody's harm, and what it says on standard error is its log.
    let context = broken(GOOD, &format!("echo stray; echo logged >&2; echo x > out/x; {done}"));
    context.run::<&str>([]).ok();
    context.muse(["log", "pipelines/p.yaml", "a"]).ok().prints("logged");
}

#[test]
fn what_a_plugin_leaves_running_is_not_waited_for() {
    for last in [r#"echo '{"event": "done"}'"#, "exit 3"] {
        let context = broken(GOOD, &format!("echo x > out/x; sleep 1000 & {last}"));
        let began = std::time::Instant::now();
        let output = context.run::<&str>([]);
        assert_eq!(output.code, i32::from(last == "exit 3"), "{output}");
        assert!(began.elapsed().as_secs() < 100, "it waited for a program that the plugin left running");
    }
}

#[test]
fn a_job_file_may_lie_anywhere() {
    let context = broken(GOOD, r#"cp "$1" out/x; echo '{"event": "done"}'"#);
    std::fs::create_dir_all(context.path("work/out")).unwrap();
    let job = json!({
        "job": 1, "mode": "run", "kind": "odd", "plugin": context.path("bin/muse-stage-odd"), "version": 1,
        "stage": "a", "key": "b3:0", "attempt": 1, "params": {}, "work": context.path("work"), "inputs": {},
        "outputs": { "x": "file" }, "threads": 1,
    });
    context.write("jobs/17.json", job.to_string());
    context.muse(["exec-stage", "jobs/17.json"]).ok();
    assert_eq!(context.read("work/out/x"), job.to_string());
}

#[test]
fn a_plugin_sees_no_more_of_the_environment_than_a_stage() {
    let done = r#"echo '{"event": "done"}'"#;
    let mut context =
        broken(&format!("test -z \"$STRAY\" || exit 9\n{GOOD}"), &format!("env > out/x; {done}"));
    context.set("STRAY", "1");
    context.set("HTTPS_PROXY", "http://proxy");
    context.set("NCCL_NVLS_ENABLE", "0");
    context.run::<&str>([]).ok();
    let seen = context.result("a");
    assert!(!seen.contains("STRAY"), "{seen}");
    // A kind that did not ask for a clean environment may use the network as its caller does, and GPUs.
    assert!(seen.contains("HTTPS_PROXY=http://proxy") && seen.contains("NCCL_NVLS_ENABLE=0"), "{seen}");
}

#[test]
fn a_raised_version_is_a_cause() {
    let done = r#"echo '{"event": "done"}'"#;
    let context = broken(GOOD, &format!("echo x > out/x; {done}"));
    context.run::<&str>([]).ok();
    assert!(context.run::<&str>([]).ok().ran().is_empty());
    let script = context.read("bin/muse-stage-odd");
    context.write_program("bin/muse-stage-odd", script.replace("\"version\": 1", "\"version\": 2"));
    let plan = context.plan::<&str>([]);
    assert_eq!(plan["a"].causes, [json!({ "kind": "code", "old": 1, "new": 2 })]);
    context.run::<&str>([]).ok();
    // The old version's result is not forgotten.
    context.write_program("bin/muse-stage-odd", script);
    assert!(context.run::<&str>([]).ok().ran().is_empty());
}
