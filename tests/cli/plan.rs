//! `muse plan`: the JSON that scripts are written against, exit codes, causes.
use crate::support::TestContext;
use serde_json::json;

const TINY: &str = "name: tiny
params: { vocab: 4096, keep: 1d }
stages:
  corpus: { uses: command, with: { run: cp in/x out/text, files: { x: ../data }, outputs: [text] } }
  tokenizer:
    uses: command
    inputs: { corpus: corpus }
    with: { run: 'echo $SIZE > out/t', env: { SIZE: '${params.vocab}' }, outputs: [t] }
    keep: ${params.keep}
  packed:
    uses: command
    inputs: { tokenizer: tokenizer }
    with: { run: 'cp in/tokenizer out/p; echo packed >> out/p', outputs: [p] }
";

fn tiny() -> TestContext {
    let context = TestContext::pipeline(TINY);
    context.write("data", "some text\n");
    context
}

#[test]
fn the_json_is_the_contract() {
    let context = tiny();
    context.run::<&str>([]).ok();
    let plan = context.muse(["plan", "pipelines/p.yaml", "--json", "--set", "vocab=8192"]).ok().json();
    assert_eq!(plan["schema"], 1);
    assert_eq!(plan["pipeline"], "tiny");
    assert_eq!(plan["summary"], json!({ "stages": 3, "hit": 1, "run": 1, "maybe": 1 }));
    let stages = plan["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["corpus", "tokenizer", "packed"]);
    assert_eq!(stages[1]["uses"], "command");
    assert!(stages[1]["key"].as_str().unwrap().starts_with("b3:"));
    assert_eq!(
        stages[1]["causes"],
        json!([{ "kind": "param", "field": "env.SIZE", "old": "4096", "new": "8192" }])
    );
    assert_eq!(stages[2]["key"], json!(null));
    assert_eq!(stages[2]["causes"], json!([{ "kind": "input", "field": "tokenizer", "root": "tokenizer" }]));
}

#[test]
fn exit_code_says_whether_there_is_work() {
    let context = tiny();
    let code = |more: &[&str]| {
        let words = [&["plan", "pipelines/p.yaml", "--exit-code"], more].concat();
        context.muse(words).code
    };
    assert_eq!(code(&[]), 3);
    context.run::<&str>([]).ok();
    assert_eq!((code(&[]), code(&["--set", "vocab=1"]), code(&["--json", "--force", "packed"])), (0, 3, 3));
    // Without the flag work is no failure.
    context.muse(["plan", "pipelines/p.yaml", "--set", "vocab=1"]).ok();
}

#[test]
fn plan_makes_nothing() {
    let context = tiny();
    context.muse(["plan", "pipelines/p.yaml"]).ok();
    assert!(!context.path("pipelines/p.lock").exists());
    // All it may leave is what it learned of input files.
    assert_eq!(context.muse(["runs", "--json"]).ok().json(), json!([]));
    assert_eq!(context.plan::<&str>([])["corpus"].why(), ["new"]);
}

#[test]
fn each_edit_is_named_and_what_stands_below_names_its_root() {
    let context = tiny();
    assert_eq!(context.plan::<&str>([])["corpus"].why(), ["new"]);
    context.run::<&str>([]).ok();
    context.write("data", "another text\n");
    let plan = context.plan::<&str>([]);
    assert_eq!(plan["corpus"].why(), ["file x"]);
    assert_eq!(
        (plan["packed"].action.as_str(), &plan["packed"].causes[0]["root"]),
        ("maybe", &json!("corpus"))
    );
    // Its own edits stand among the causes of a stage that waits.
    let plan = context.plan(["--set", "vocab=7"]);
    assert_eq!(plan["tokenizer"].action, "maybe");
    let why = plan["tokenizer"].why();
    assert!(why.contains(&"param env.SIZE".into()) && why.contains(&"input corpus".into()), "{why:?}");
}

#[test]
fn a_result_that_the_store_lost_is_missing() {
    let context = tiny();
    context.run::<&str>([]).ok();
    context.remove("cache/blobs-v1");
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["corpus"].action.as_str(), plan["corpus"].why()), ("run", vec!["missing".into()]));
    // What comes of what is made again is known then, and no sooner.
    for below in ["tokenizer", "packed"] {
        assert_eq!((plan[below].action.as_str(), plan[below].key()), ("maybe", None));
    }
    assert_eq!(context.run::<&str>([]).ok().ran().len(), 3);
    assert_eq!(context.run::<&str>([]).ok().stages("hit").len(), 3);
}

#[test]
fn an_edit_below_what_gc_took_waits_for_it() {
    let context = tiny();
    context.replace("pipelines/p.yaml", "outputs: [text] }", "outputs: [text] }, keep: temp");
    context.run::<&str>([]).ok();
    context.muse(["gc"]).ok();
    let plan = context.plan(["--set", "vocab=7"]);
    assert_eq!((plan["corpus"].action.as_str(), plan["corpus"].why()), ("run", vec!["missing".into()]));
    let tokenizer = &plan["tokenizer"];
    assert_eq!((tokenizer.action.as_str(), tokenizer.key()), ("maybe", None));
    assert!(tokenizer.why().contains(&"param env.SIZE".into()), "{tokenizer:?}");
    assert_eq!(context.run(["--set", "vocab=7"]).ok().ran(), ["corpus", "packed", "tokenizer"]);
    // Forced it runs, and its key is not known either.
    context.muse(["gc"]).ok();
    let forced = &context.plan(["--set", "vocab=7", "--force", "tokenizer"])["tokenizer"];
    assert_eq!((forced.action.as_str(), forced.key()), ("run", None));
}

#[test]
fn a_target_that_is_there_needs_nothing_above_it() {
    let context = tiny();
    context.run::<&str>([]).ok();
    context.replace("pipelines/p.yaml", "keep: ${params.keep}", "keep: temp");
    context.run::<&str>([]).ok();
    context.muse(["gc"]).ok();
    let plan = context.plan::<&str>([]);
    assert_eq!(plan["packed"].action, "hit");
    // The content is gone, and nothing needs it.
    assert_eq!(plan["tokenizer"].action, "hit");
    assert_eq!(plan["tokenizer"].json["stored"], false);
    assert!(context.run::<&str>([]).ok().ran().is_empty());
    // Asked for by name it is made again, and comes out the same.
    let plan = context.plan(["tokenizer"]);
    assert_eq!((plan["tokenizer"].action.as_str(), plan["tokenizer"].why()), ("run", vec!["missing".into()]));
    assert_eq!(context.run(["tokenizer"]).ok().ran(), ["tokenizer"]);
}

#[test]
fn people_see_old_and_new() {
    let context = tiny();
    context.run::<&str>([]).ok();
    let output = context.muse(["plan", "pipelines/p.yaml", "--set", "vocab=8192"]).ok();
    assert!(output.stdout.contains("4096") && output.stdout.contains("8192"), "{output}");
    assert!(output.stdout.contains("env.SIZE"), "{output}");
}

#[test]
fn a_changed_file_is_named() {
    let context = TestContext::pipeline(
        "stages:\n  n: { uses: command, with: { run: 'cat in/text/* > out/n', files: { text: '../data/*.txt' }, outputs: [n] } }\n",
    );
    for name in ["a", "b", "c", "d", "e"] {
        context.write(format!("data/{name}.txt"), name);
    }
    context.run::<&str>([]).ok();
    for name in ["a", "b", "c", "d"] {
        context.write(format!("data/{name}.txt"), "other");
    }
    context.remove("data/e.txt");
    context.write("data/f.txt", "new");
    let cause = context.plan::<&str>([])["n"].causes[0].clone();
    assert_eq!(cause["field"], "text");
    assert_eq!(cause["changed"], serde_json::json!(["a.txt", "b.txt", "c.txt", "d.txt"]));
    assert_eq!((&cause["added"][0], &cause["removed"][0]), (&"f.txt".into(), &"e.txt".into()));
    let people = context.muse(["plan", "pipelines/p.yaml"]).ok();
    people.prints("input files text: a.txt, b.txt, c.txt and 1 more changed, f.txt added, e.txt removed");
    context.run::<&str>([]).ok();
    // Without the note there is no name, and no harm.
    context.remove("cache/files-v1");
    context.write("data/a.txt", "more");
    context.muse(["plan", "pipelines/p.yaml"]).ok().prints("input files text changed");
}
