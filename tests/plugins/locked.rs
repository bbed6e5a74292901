//! The lock file: what the outside world may change, pinned by a plugin that looks there.
use super::{line_count, link};
use crate::support::TestContext;
use serde_json::json;

/// A feed outside of the project, and a stage that counts its lines.
fn project() -> Option<TestContext> {
    let plugin = line_count()?;
    let context = TestContext::new();
    std::fs::create_dir_all(context.outside("")).unwrap();
    feed(&context, "one\ntwo\n");
    context.edit(&format!(
        "plugins: {{ line-count: ../bin/muse-stage-line-count }}
stages:
  n: {{ uses: line-count, with: {{ feed: 'file://{}' }} }}
  sum: {{ uses: command, inputs: {{ n: n }}, with: {{ run: cp in/n out/s, outputs: [s] }} }}
",
        context.outside("feed").display()
    ));
    link(&context, &plugin);
    Some(context)
}

fn feed(context: &TestContext, text: &str) {
    std::fs::write(context.outside("feed"), text).unwrap();
}

#[test]
fn what_is_not_pinned_has_no_key_and_plan_does_not_look() {
    let Some(context) = project() else { return };
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["n"].action.as_str(), plan["n"].key()), ("run", None));
    assert!(plan["n"].causes.iter().any(|cause| cause["kind"] == "unpinned"), "{:?}", plan["n"].causes);
    assert_eq!(plan["sum"].action, "maybe");
    context.muse(["why", "pipelines/p.yaml", "n"]).ok();
    context.muse(["validate", "pipelines/p.yaml"]).ok();
    assert!(!context.path("pipelines/p.lock").exists());
}

#[test]
fn a_run_pins_and_the_next_one_is_a_hit() {
    let Some(context) = project() else { return };
    context.run::<&str>([]).ok();
    assert_eq!(context.result("sum"), "{\"lines\": 2}");
    let lock = context.read("pipelines/p.lock");
    assert!(lock.contains("sha256:") && lock.contains("/outside/feed"), "{lock}");
    assert_eq!(context.run::<&str>([]).ok().stages("hit"), ["n", "sum"]);
    // The world moves, the pipeline does not.
    feed(&context, "one\ntwo\nthree\n");
    assert!(context.run(["--locked", "--offline"]).ok().ran().is_empty());
    assert_eq!(context.read("pipelines/p.lock"), lock);
}

#[test]
fn locked_and_offline_refuse_what_is_not_pinned() {
    let Some(context) = project() else { return };
    for flag in ["--locked", "--offline"] {
        context.muse(["run", "pipelines/p.yaml", flag]).ends(2).says("/outside/feed");
        context.muse(["plan", "pipelines/p.yaml", flag]).ends(2).says("/outside/feed");
    }
    assert!(!context.path("pipelines/p.lock").exists());
}

#[test]
fn update_renews_and_the_plan_says_what_that_means() {
    let Some(context) = project() else { return };
    context.run::<&str>([]).ok();
    feed(&context, "one\ntwo\nthree\n");
    // A pinned thing that is no longer to be had is a failure, not another result.
    let output = context.muse(["run", "pipelines/p.yaml", "--force", "n"]).ends(1);
    output.says("is not what the lock file pins").says("muse update");
    context.muse(["update", "pipelines/p.yaml"]).ok().prints("sha256:");
    let plan = context.plan::<&str>([]);
    assert_eq!(plan["n"].action, "run");
    assert!(plan["n"].key().is_some());
    let cause = &plan["n"].causes[0];
    assert!(cause.to_string().contains("/outside/feed"), "{cause}");
    assert!(cause["old"] != cause["new"] && cause["old"] != json!(null), "{cause}");
    assert_eq!(context.run::<&str>([]).ok().ran(), ["n", "sum"]);
    assert_eq!(context.result("sum"), "{\"lines\": 3}");
    // The same content under the same name is the same pin.
    let lock = context.read("pipelines/p.lock");
    context.muse(["update", "pipelines/p.yaml", "n"]).ok();
    assert_eq!(context.read("pipelines/p.lock"), lock);
    context.muse(["update", "pipelines/p.yaml", "sum"]).ok();
    context.muse(["update", "pipelines/p.yaml", "nn"]).ends(2).says("`n`");
}

#[test]
fn a_lock_file_merges_line_by_line_and_is_checked() {
    let Some(context) = project() else { return };
    context.run::<&str>([]).ok();
    let lock = context.read("pipelines/p.lock");
    context.write("pipelines/p.lock", format!("{lock}\"another\": \"pin\"\n"));
    assert!(context.run::<&str>([]).ok().ran().is_empty());
    context.write("pipelines/p.lock", format!("{lock}<<<<<<< HEAD\n"));
    context.muse(["run", "pipelines/p.yaml"]).ends(2).says("p.lock:");
}

#[test]
fn an_outside_thing_that_cannot_be_had_is_an_error_before_anything_runs() {
    let Some(context) = project() else { return };
    std::fs::remove_file(context.outside("feed")).unwrap();
    let output = context.muse(["run", "pipelines/p.yaml"]).ends(1);
    assert!(output.stderr.contains("`n`"), "{output}");
    assert!(!context.path("pipelines/p.lock").exists());
}
