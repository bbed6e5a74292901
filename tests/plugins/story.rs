//! Kinds that say something of their results, and kinds that are told how their inputs came to be.
use crate::support::TestContext;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Two plugins of a few shell lines. `say` writes `text`, whatever it takes, and says its `note` of that; `card` writes
/// down the story that it is told. Job files have one field a line.
fn project(stages: &str) -> TestContext {
    let context = TestContext::new();
    let note = context.path("note");
    let say = format!(
        r#"#!/bin/sh
if [ "$1" = --describe ]; then
  echo '{{"muse_stage": 1, "name": "say", "version": 1, "outputs": [{{"name": "x", "type": "file"}}],
    "inputs": [{{"name": "from", "types": ["any"], "many": true}}],
    "params": {{"type": "object", "properties": {{"note": {{"type": "string"}}, "text": {{"type": "string"}}}}}}}}' | tr -d '\n'
  exit
fi
field() {{ sed -n "s/^    \"$1\": \"\(.*\)\",\{{0,1\}}$/\1/p" "$job"; }}
job=$1
note=$(field note)
case "$note" in
  outside) note=$(cat "{}") ;;
  process) note=$$ ;;
  large) note=$(head -c 70000 /dev/zero | tr '\0' x) ;;
esac
field text > out/x
[ -n "$note" ] && printf '{{"event": "fact", "name": "licence", "value": ["%s", 0.1]}}\n' "$note"
echo '{{"event": "done"}}'
"#,
        note.display()
    );
    context.write_program("bin/muse-stage-say", say);
    let card = r#"#!/bin/sh
if [ "$1" = --describe ]; then
  echo '{"muse_stage": 1, "name": "card", "version": 1, "story": true, "outputs": [{"name": "card", "type": "file"}], "inputs": [{"name": "one", "types": ["any"]}, {"name": "many", "types": ["any"], "many": true}], "params": {"type": "object", "properties": {}}}'
  exit
fi
sed -n '/^  "story": {/,/^  }/p' "$1" > out/card
echo '{"event": "done"}'
"#;
    context.write_program("bin/muse-stage-card", card);
    edit(&context, stages);
    context
}

fn edit(context: &TestContext, stages: &str) {
    let plugins = "plugins: { say: ../bin/muse-stage-say, card: ../bin/muse-stage-card }";
    context.edit(&format!("{plugins}\nstages:\n{stages}"));
}

/// What the stage `card` was told.
fn story(context: &TestContext) -> Value {
    let text = context.result("card");
    let object = text.trim().trim_end_matches(',').trim_start_matches("\"story\":");
    serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What every result says, in the story's order.
fn licences(story: &Value) -> Vec<&str> {
    let stages = story["stages"].as_array().unwrap();
    stages.iter().map(|told| told["facts"]["licence"][0].as_str().unwrap_or("-")).collect()
}

fn ran(context: &TestContext) -> Vec<String> {
    let ran = context.run::<&str>([]).ok().ran();
    // There is one planner: what was just run is there.
    let plan = context.plan::<&str>([]);
    assert!(plan.values().all(|planned| planned.action == "hit"), "{plan:?}");
    ran
}

const DIAMOND: &str = "  a: { uses: say, with: { note: mit, text: a } }
  b: { uses: say, with: { note: gpl, text: b }, inputs: { from: a } }
  c: { uses: say, with: { text: c }, inputs: { from: a } }
  card: { uses: card, inputs: { one: b.x, many: [c, b] } }
";

#[test]
fn a_story_has_every_result_once_behind_what_it_is_made_of() {
    let context = project(DIAMOND);
    assert_eq!(ran(&context), ["a", "b", "c", "card"]);
    let plan = context.plan::<&str>([]);
    let told = |stage: &str, params: Value, facts: Value, inputs: Value| {
        json!({
            "kind": "say", "version": 1, "key": plan[stage].key().unwrap(), "params": params, "pins": {},
            "facts": facts, "adopted": false, "inputs": inputs,
        })
    };
    let from = |name: &str, stage: usize| json!([{ "name": name, "stage": stage, "output": "x" }]);
    let says = |note: &str| json!({ "licence": [note, 0.1] });
    // Ports go by name: `many` comes first, and in it `c`.
    let expected = json!({
        "inputs": {
            "many": [{ "name": "c", "stage": 1, "output": "x" }, { "name": "b", "stage": 2, "output": "x" }],
            "one": from("", 2),
        },
        "stages": [
            told("a", json!({ "note": "mit", "text": "a" }), says("mit"), json!({})),
            told("c", json!({ "text": "c" }), json!({}), json!({ "from": from("", 0) })),
            told("b", json!({ "note": "gpl", "text": "b" }), says("gpl"), json!({ "from": from("", 0) })),
        ],
    });
    assert_eq!(story(&context), expected);
    // Neither names nor the order in the file are part of it, but for names in lists, which the stage sees.
    let other = "  card: { uses: card, inputs: { many: [c, b], one: b.x } }
  c: { uses: say, with: { text: c }, inputs: { from: first } }
  b: { uses: say, with: { note: gpl, text: b }, inputs: { from: first } }
  first: { uses: say, with: { note: mit, text: a } }
";
    edit(&context, other);
    assert!(ran(&context).is_empty());
    let why = context.muse(["why", "pipelines/p.yaml", "b", "--json"]).ok().json();
    assert_eq!(why["facts"], says("gpl"));
    context.muse(["verify", "--rerun", "pipelines/p.yaml:card"]).ok();
}

#[test]
fn it_is_made_again_where_anything_above_differs_though_the_bytes_do_not() {
    let context = project(DIAMOND);
    ran(&context);
    let first = context.plan::<&str>([])["card"].key().unwrap().to_owned();
    context.replace("pipelines/p.yaml", "note: mit", "note: bsd");
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["card"].action.as_str(), plan["card"].key()), ("maybe", None));
    assert_eq!(plan["card"].causes[0]["root"], "a");
    // `a` says something else of the same bytes, so `b` and `c` are what they were.
    assert_eq!(ran(&context), ["a", "card"]);
    assert_eq!(licences(&story(&context)), ["bsd", "-", "gpl"]);
    assert_ne!(context.plan::<&str>([])["card"].key().unwrap(), first);
    // Equal stories have equal keys.
    context.replace("pipelines/p.yaml", "note: bsd", "note: mit");
    assert!(ran(&context).is_empty());
    assert_eq!(context.plan::<&str>([])["card"].key().unwrap(), first);
    // Where what is above was made before, the key is known, and so is the cause.
    context.replace("pipelines/p.yaml", "note: mit", "note: apache");
    context.run(["b", "c"]).ok();
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["card"].action.as_str(), plan["card"].why()), ("run", vec!["input story".to_owned()]));
    assert_eq!(plan["card"].causes[0]["root"], "b");
    assert_eq!(ran(&context), ["card"]);
}

#[test]
fn results_of_one_way_are_one() {
    let context = project(
        "  a: { uses: say, matrix: { k: [1, 2, 3] }, with: { note: mit, text: same } }
  card: { uses: card, inputs: { many: a } }
",
    );
    let plan = context.plan::<&str>([]);
    assert_eq!(plan["a[k=2]"].json["same_as"], "a[k=1]");
    assert_eq!(ran(&context), ["a[k=1]", "card"]);
    let story = story(&context);
    assert_eq!(licences(&story), ["mit"]);
    let entries = story["inputs"]["many"].as_array().unwrap();
    let places: Vec<&Value> = entries.iter().map(|entry| &entry["stage"]).collect();
    assert_eq!((places.len(), entries[1]["name"].as_str().is_some()), (3, true));
    assert!(places.iter().all(|place| **place == 0), "{entries:?}");
}

#[test]
fn one_result_that_came_to_be_in_two_ways_is_told_with_both() {
    // `b` and `c` have one key: they take the same bytes, of which different things are true.
    let context = project(
        "  mit: { uses: say, with: { note: mit, text: a } }
  gpl: { uses: say, with: { note: gpl, text: a } }
  b: { uses: say, with: { text: b }, inputs: { from: mit } }
  c: { uses: say, with: { text: b }, inputs: { from: gpl } }
  card: { uses: card, inputs: { many: [b, c] } }
",
    );
    ran(&context);
    let plan = context.plan::<&str>([]);
    assert_eq!(plan["b"].key(), plan["c"].key());
    assert_eq!(licences(&story(&context)), ["mit", "-", "gpl", "-"]);
}

#[test]
fn adopted_results_and_results_whose_content_is_gone_are_told_of() {
    let context = project(&DIAMOND.replace("note: mit, text: a }", "note: mit, text: a }, keep: temp"));
    context.write("by-hand", "a\n");
    context.muse(["adopt", "pipelines/p.yaml", "a", "by-hand"]).ok();
    assert_eq!(ran(&context), ["b", "c", "card"]);
    let told = story(&context);
    assert_eq!((&told["stages"][0]["adopted"], licences(&told)), (&json!(true), vec!["-", "-", "gpl"]));
    assert_eq!(told["stages"][0]["params"], json!({ "note": "mit", "text": "a" }));
    // Made by the stage it is another way to the same bytes.
    context.muse(["run", "pipelines/p.yaml", "a", "--force", "a"]).ok();
    assert_eq!(ran(&context), ["card"]);
    let told = story(&context);
    assert_eq!(licences(&told), ["mit", "-", "gpl"]);
    // Its content goes, and its record stays.
    context.muse(["gc"]).ok();
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["a"].json["stored"].as_bool(), plan["card"].action.as_str()), (Some(false), "hit"));
    assert_eq!(context.run(["--force", "card"]).ok().ran(), ["card"]);
    assert_eq!(story(&context), told);
}

#[test]
fn a_story_that_changes_while_it_is_told_is_told_again() {
    let context = project(&DIAMOND.replace("note: mit", "note: outside"));
    context.write("note", "mit");
    ran(&context);
    // A stage that is not honest: made again, it says something else. And that happens in the middle of a run, when the
    // card is settled already.
    context.write("note", "bsd");
    let a = context.run::<&str>([]).ok().events_of("stage_finished");
    let a = a.iter().find(|event| event["stage"] == "a").unwrap();
    let hex = a["outputs"]["x"]["digest"].as_str().unwrap().trim_start_matches("b3:").to_owned();
    let blob = context.cache().join("blobs-v1").join(&hex[..2]).join(&hex[2..]);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&blob, "#\n").unwrap();
    let text = context.read("pipelines/p.yaml");
    context.write(
        "pipelines/p.yaml",
        format!("{text}  d: {{ uses: say, with: {{ text: d }}, inputs: {{ from: a }} }}\n"),
    );
    let plan = context.plan::<&str>([]);
    assert_eq!((plan["a"].action.as_str(), plan["card"].action.as_str()), ("hit", "hit"));
    assert_eq!(ran(&context), ["a", "card", "d"]);
    assert_eq!(licences(&story(&context)), ["bsd", "-", "gpl"]);
}

#[test]
fn facts_have_a_limit_and_are_the_same_every_time() {
    let context = project("  a: { uses: say, with: { note: large, text: a } }\n");
    let error = context.run::<&str>([]).ends(1).events_of("stage_finished")[0]["error"].clone();
    assert!(error.as_str().unwrap().contains("64 KiB"), "{error}");
    context.replace("pipelines/p.yaml", "note: large", "note: process");
    let rerun = context.muse(["verify", "--rerun", "pipelines/p.yaml:a"]).ends(1);
    rerun.says("the fact `licence`");
}
