//! What a newcomer does first: the bundled pipeline, then one changed parameter.
use crate::support::TestContext;
use serde_json::json;
use std::path::Path;

/// A copy of `pipelines/` and of the values that they name, as after a clone.
fn clone() -> TestContext {
    let context = TestContext::new();
    for folder in ["pipelines", "configs"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &context.path(folder));
    }
    context
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

const FILE: &str = "pipelines/quickstart.yaml";

#[test]
fn it_runs_once_and_then_what_depends_on_a_change() {
    let context = clone();
    let first = context.muse(["run", FILE, "--preset", "smoke", "--json"]).ok();
    let all =
        ["base", "chat", "chats", "clean", "corpus", "dialogues", "eval", "model", "packed", "tokenizer"];
    assert_eq!(first.ran(), all);
    assert!(context.muse(["run", FILE, "--preset", "smoke", "--json"]).ok().ran().is_empty());
    let second = context.muse(["run", FILE, "--preset", "smoke", "--set", "vocab=500", "--json"]).ok();
    for (stage, outcome) in
        [("corpus", "hit"), ("clean", "hit"), ("tokenizer", "ran"), ("packed", "ran"), ("base", "ran")]
    {
        assert_eq!(second.outcomes()[stage], outcome, "{stage}");
    }
    context.muse(["get", FILE, "eval", "--preset", "smoke", "--to", "out"]).ok();
    let report = context.read("out/report.md");
    assert!(report.contains("base") && report.contains("chat") && report.contains("bits"), "{report}");
    context.muse(["get", FILE, "model", "--preset", "smoke", "--to", "model"]).ok();
    let card = context.read("model/README.md");
    assert!(card.contains("MIT OR Apache-2.0") && card.contains("sft"), "{card}");
    let said =
        context.muse(["generate", "model", "--prompt", "むかし", "--max-tokens", "4", "--json"]).ok().json();
    assert!(said["usage"]["completion_tokens"].as_u64().unwrap() <= 4, "{said}");
    // What a stage says of its result stands beside it.
    let facts = |stage: &str| {
        let why = context.muse(["why", FILE, stage, "--preset", "smoke", "--json"]).ok().json();
        why["facts"].clone()
    };
    assert_eq!(facts("corpus"), json!({ "source": "synthetic", "licence": "MIT OR Apache-2.0" }));
    assert!(facts("base")["validation_loss"].as_f64().is_some_and(|loss| loss < 8.0), "{}", facts("base"));
    assert!(facts("base")["loss"].is_f64());
    // What each stage made can be looked at.
    let seen = context.muse(["inspect", "pipelines/quickstart.yaml:corpus", "--preset", "smoke"]).ok();
    seen.prints("synthetic").prints("first documents");
    let tokenizer = "pipelines/quickstart.yaml:tokenizer";
    let table =
        context.muse(["inspect", tokenizer, tokenizer, "--set", "vocab=500", "--preset", "smoke"]).ok();
    table.prints("characters/token").prints("500");
    context.muse(["inspect", tokenizer, "pipelines/quickstart.yaml:packed", "--preset", "smoke"]).ends(2);
}

#[test]
fn it_makes_the_same_bytes_wherever_it_runs() {
    let digests = |context: &TestContext| {
        let run = context.muse(["run", FILE, "--preset", "smoke", "--json"]).ok();
        let outputs = |event: &serde_json::Value| event["outputs"].to_string();
        let mut all: Vec<String> = run.events_of("stage_finished").iter().map(outputs).collect();
        all.sort();
        all
    };
    let mut other = clone();
    other.set("LC_ALL", "de_DE.UTF-8");
    other.set("TZ", "Asia/Tokyo");
    assert_eq!(digests(&clone()), digests(&other));
}

#[test]
fn pages_for_large_models_run_whole_in_small_and_offline() {
    let context = clone();
    let pages = [
        ("japanese_10b", "folder"),
        ("japanese_1b", "folder"),
        ("moai_2b", "base"),
        ("bit_llama", "folder"),
        ("nano_kimi", "folder"),
    ];
    for (name, last) in pages {
        let page = format!("pipelines/{name}.yaml");
        let ran = context.muse(["run", &page, "--preset", "smoke", "--offline", "--json"]).ok();
        assert!(ran.outcomes().values().all(|outcome| outcome == "ran" || outcome == "hit"), "{name}");
        assert!(ran.outcomes().contains_key(last), "{name}");
        // How uneven the work of experts is, is told with each evaluation, where there are any.
        let loads = ran.events_of("metric").into_iter().filter(|event| event["name"] == "expert_load");
        let loads: Vec<f64> = loads.map(|event| event["value"].as_f64().unwrap()).collect();
        assert_eq!(loads.len(), if name == "nano_kimi" { 2 } else { 0 }, "{name}");
        assert!(loads.iter().all(|load| (1.0..=4.0).contains(load)), "{loads:?}");
    }
    // The model that goes out is used as it is.
    for (name, prompt) in [("japanese_10b", "むかし"), ("bit_llama", "Once"), ("nano_kimi", "The")] {
        let page = format!("pipelines/{name}.yaml");
        context.muse(["get", &page, "folder", "--preset", "smoke", "--to", name]).ok();
        let said = context.muse(["generate", name, "--prompt", prompt, "--max-tokens", "4", "--json"]).ok();
        assert!(said.json()["usage"]["completion_tokens"].as_u64().is_some_and(|tokens| tokens <= 4));
    }
}
