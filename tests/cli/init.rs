//! `muse init` from outside: pages that validate, plan and run, and files that stay as they are.
use crate::support::TestContext;

/// What no terminal is needed for.
const SMALL: [&str; 4] = ["--device", "cpu", "--memory", "8GiB"];

fn init(context: &TestContext, words: &[&str]) -> crate::support::Output {
    context.muse([&["init"], words, &SMALL].concat())
}

#[test]
fn a_page_to_try_runs_to_its_end() {
    let context = TestContext::new();
    init(&context, &["first"]).ok().says("wrote pipelines/first.yaml").says("muse run pipelines/first.yaml");
    let page = "pipelines/first.yaml";
    context.muse(["validate", page]).ok();
    context.muse(["plan", page, "--preset", "smoke"]).ok().prints("first: 11 stages, 2 to run");
    let ran = context.muse(["run", page, "--preset", "smoke", "--json"]).ok().ran();
    assert!(
        ["base", "chat", "eval", "model"].iter().all(|stage| ran.iter().any(|name| name == stage)),
        "{ran:?}"
    );
    context.muse(["get", page, "model", "--preset", "smoke", "--to", "model"]).ok();
    let said = ["generate", "model", "--prompt", "むかし", "--max-tokens", "4", "--json"];
    assert_eq!(context.muse(said).ok().json()["prompt"], "むかし");
}

#[test]
fn a_page_of_own_files_runs_and_takes_the_memory_that_was_said() {
    let context = TestContext::new();
    let text: String = (0..400).map(|number| format!("{number} stones stand in the river.\n\n")).collect();
    context.write("texts/one.txt", &text);
    context.write("src/a.py", "print('a program')\n".repeat(40));
    context.write("src/b.py", "print('another program')\n".repeat(40));
    let flags = ["own", "--goal", "real", "--languages", "en", "--form", "base", "--json", "--mix", "code"];
    let data = ["--data", "texts/one.txt", "--data", "code:src/*.py"];
    let said = init(&context, &[&flags[..], &data].concat()).ok().json();
    assert_eq!((&said["model"], &said["texts"][1]["name"]), (&"tiny_1m".into(), &"src".into()));
    assert!((said["texts"][1]["share"].as_f64().unwrap() - 0.7 / 0.85).abs() < 1e-9, "{said}");
    let page = "pipelines/own.yaml";
    let counted =
        context.muse(["params", "pipelines/own.yaml:base", "--device", "cpu", "--json"]).ok().json();
    assert_eq!(counted["cost"]["training"]["total"], said["memory"]["takes"], "one planner");
    context.muse(["run", page, "--preset", "smoke", "-q"]).ok();
}

#[test]
fn one_text_alone_is_measured_on_its_end() {
    let context = TestContext::new();
    context.write("novel.txt", "It was a day like any other, and it rained.\n".repeat(600));
    init(&context, &["novel", "--data", "novel.txt", "--form", "base", "--languages", "en"]).ok();
    assert!(context.read("pipelines/novel.yaml").contains("validation: { tail: 0.05 }"));
    context.muse(["run", "pipelines/novel.yaml", "--preset", "smoke", "-q"]).ok();
}

#[test]
fn a_smoke_run_of_a_page_for_the_hub_needs_no_network() {
    let context = TestContext::new();
    let data = [
        "--data",
        "hub:wikimedia/wikipedia:20231101.ja",
        "--data",
        "hub:HuggingFaceFW/fineweb-edu:sample-10BT",
    ];
    init(&context, &[&["wiki", "--goal", "real", "--languages", "ja,en"], &data[..]].concat()).ok();
    let planned = context.muse(["plan", "pipelines/wiki.yaml"]).ok();
    planned.prints("is not pinned in the lock file");
    let run = ["run", "pipelines/wiki.yaml", "--preset", "smoke", "--offline", "--json"];
    assert!(context.muse(run).ok().ran().iter().any(|stage| stage == "chat"));
}

#[test]
fn what_is_there_stays() {
    let context = TestContext::new();
    context.write("pipelines/a.yaml", "mine\n");
    init(&context, &["a"]).ends(2).says("`pipelines/a.yaml` is there already").says("--force");
    assert_eq!(context.read("pipelines/a.yaml"), "mine\n");
    assert!(!context.path("configs").exists(), "nothing is written beside it");
    init(&context, &["a", "--force"]).ok();
    assert!(context.read("pipelines/a.yaml").starts_with("# a: a model of 1.28M parameters"));
    let printed = init(&context, &["b", "--print"]).ok();
    assert!(printed.stdout.contains("name: b") && printed.stderr.is_empty(), "{printed}");
    assert!(!context.path("pipelines/b.yaml").exists());
}

#[test]
fn without_a_terminal_what_is_missing_is_named() {
    let context = TestContext::new();
    init(&context, &["--goal", "real"]).ends(2).says("nothing says what to learn from").says("--data");
    init(&context, &["--goal", "rael"]).ends(2).says("real");
    init(&context, &["--languages", "fr"]).ends(2).says("ja, en");
    init(&context, &["--data", "no/*.txt"]).ends(2).says("there is no folder `no`");
    init(&context, &["--data", "hub:nothing"]).ends(2).says("hub:OWNER/NAME");
    init(&context, &["--data", "base=a.txt"]).ends(2).says("a stage `base` of its own");
    init(&context, &["--share", "2"]).ends(2).says("above 0 and up to 1");
    init(&context, &["--model", "tiny"]).ends(2).says("tiny_1m");
    init(&context, &["a/b"]).ends(2).says("letters, digits");
    assert!(!context.path("configs").exists());
}
