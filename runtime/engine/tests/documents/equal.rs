//! What changes nothing in a key, and what does.
use crate::kinds::{KINDS, good, read, told};
use muse_runtime::document::{Options, Pipeline, expand, load};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// What a key is made of, as far as the document knows.
fn identity(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    let stages = pipeline.stages.iter().map(|stage| {
        let inputs: Vec<Value> = stage
            .inputs
            .iter()
            .map(|port| {
                let entries: Vec<_> = port
                    .entries
                    .iter()
                    .map(|entry| json!([entry.name, pipeline.stages[entry.stage].name, entry.output]))
                    .collect();
                json!([port.name, port.list, entries])
            })
            .collect();
        let files: Vec<_> = stage
            .files
            .iter()
            .map(|file| {
                let set = file.expand().unwrap();
                let names: Vec<&str> = set.files.iter().map(|(name, _)| name.as_str()).collect();
                json!([file.name, file.pointer, set.single, names])
            })
            .collect();
        let value = json!({
            "kind": stage.kind.name(), "identity": stage.identity, "inputs": inputs, "files": files,
            "outputs": stage.outputs, "pins": stage.pins,
        });
        (stage.name.clone(), value)
    });
    stages.collect()
}

#[test]
fn comments_order_and_spelling_change_nothing() {
    let one = good(
        "muse: 1\nparams: { v: 300 }\nstages:\n  w: { uses: download, with: { limit: 1024MiB, urls: [a] } }\n  \
         t: { uses: tokenizer, inputs: { corpus: w }, with: { vocab_size: \"${params.v}\", algorithm: bpe, special_tokens: [x] } }\n",
    );
    let other = good(
        "# Of another mind.\nstages:\n  t:\n    with: # all of it\n      special_tokens:\n        - \"x\"\n      vocab_size: 0x12C\n      sample:\n    \
         inputs: {\"corpus\": 'w'}\n    uses: tokenizer\n    retries: 5\n    timeout: 1h\n  w: { with: { urls: ['a'], limit: 1GiB }, uses: download }\nmuse: 1\n",
    );
    assert_eq!(identity(&one), identity(&other));
}

#[test]
fn a_default_is_as_good_as_nothing() {
    let with = |with: &str| {
        let pipeline = good(&format!(
            "muse: 1\nstages:\n  w: {{ uses: download }}\n  t: {{ uses: tokenizer, inputs: {{ corpus: w }}, with: {with} }}\n"
        ));
        pipeline.stages[1].identity.clone()
    };
    assert_eq!(with("{}"), json!({}));
    assert_eq!(with("{ algorithm: bpe, vocab_size: 4096.0, special_tokens: [], sample: ~ }"), json!({}));
    assert_eq!(with("{ vocab_size: 4097 }"), json!({ "vocab_size": 4097 }));
}

#[test]
fn numbers_have_the_type_of_their_field() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("m.yaml"),
        "layers: 4 # four\nrope: { base: 10000, scaled: true }\nwidth: 0\n",
    )
    .unwrap();
    let with = |with: &str| {
        let text = format!(
            "muse: 1\nstages:\n  w: {{ uses: download }}\n  t: {{ uses: pretrain, inputs: {{ data: w }}, with: {{ model: m.yaml, {with} }} }}\n"
        );
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, text).unwrap();
        let pipeline = read(&path).unwrap_or_else(|problems| panic!("{}", told(&problems)));
        let stage = pipeline.stages.into_iter().nth(1).unwrap();
        (stage.identity, stage.execution)
    };
    let model = json!({ "layers": 4, "rope": { "scaled": true } });
    assert_eq!(with("lr: 1"), (json!({ "model": model, "lr": 1.0 }), Value::Null));
    assert_eq!(with("lr: 1e-3, seed: 3.0").0, json!({ "model": model, "seed": 3 }));
    assert_eq!(with("tokens: 2B").0, with("tokens: 2_000M").0);
    assert_eq!(with("tokens: 2B").0, json!({ "model": model, "tokens": 2_000_000_000 }));
    assert_eq!(with("validation: none").0["validation"], "none");
    assert_eq!(with("validation: { tail: 1 }").0["validation"], json!({ "tail": 1.0 }));
    assert_eq!(
        with("save_every: 5m, log: { every: 3 }"),
        (json!({ "model": model }), json!({ "save_every": 300, "log": { "every": 3 } }))
    );
}

#[test]
fn parameters_come_together_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/x.txt"), "").unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, "muse: 1\nstages:\n  c: { uses: command, with: { run: ls, files: { all: d, one: d/x.txt }, note: hello, env: { A: b } } }\n").unwrap();
    let pipeline = read(&path).unwrap();
    let stage = &pipeline.stages[0];
    assert_eq!(
        stage.identity,
        json!({ "run": "ls", "files": { "all": null, "one": null }, "env": { "A": "b" } })
    );
    assert_eq!(stage.execution, json!({ "note": "hello" }));
    let params = stage.params(|file| format!("in/{}", file.name).into());
    assert_eq!(
        params,
        json!({ "run": "ls", "files": { "all": "in/all", "one": "in/one" }, "env": { "A": "b" }, "note": "hello" })
    );
    let sets: Vec<_> = stage.files.iter().map(|file| file.expand().unwrap()).collect();
    assert_eq!((sets[0].single, sets[0].files[0].0.as_str()), (false, "x.txt"));
    assert_eq!(
        (sets[1].single, sets[1].files[0].0.as_str()),
        (true, ""),
        "a single file's name is no part of a key"
    );
}

/// Loads with `--set` and a preset.
fn with_sets(path: &Path, preset: Option<&str>, sets: &[&str]) -> BTreeMap<String, Value> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let options = Options { preset, sets: &sets, ..Options::new(&KINDS) };
    load(path, &options).unwrap_or_else(|problems| panic!("{}", told(&problems))).params
}

#[test]
fn the_stronger_wins() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("low.yaml"), "params: { a: low, b: low, c: low, d: low }\n").unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, "muse: 1\ninclude: [low.yaml]\nparams: { b: file, c: file, d: file, e: \"${params.d}!\" }\npresets: { p: { c: preset, d: preset } }\n").unwrap();
    assert_eq!(with_sets(&path, None, &[])["b"], "file");
    let all = with_sets(&path, Some("p"), &["d=set", "d=last"]);
    assert_eq!(json!(all), json!({ "a": "low", "b": "file", "c": "preset", "d": "last", "e": "last!" }));
    assert_eq!(with_sets(&path, None, &["d=[1, 2.0]", "e=~"])["d"], json!([1, 2.0]));
}

#[test]
fn the_environment_reaches_execution_fields_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, "muse: 1\nstages:\n  c: { uses: command, with: { run: ls, note: \"on ${env.HOST}\" }, resources: { cpu: \"${env.CPUS}\" }, pass_env: [\"${env.NAME}\"] }\n").unwrap();
    let without = read(&path).unwrap();
    assert_eq!(without.stages[0].resources.cpu, None);
    let env = [("HOST", "here"), ("CPUS", "8"), ("NAME", "HOME")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = BTreeMap::from(env);
    let options = Options { env: Some(&env), ..Options::new(&KINDS) };
    let pipeline = load(&path, &options).unwrap();
    let stage = &pipeline.stages[0];
    assert_eq!((stage.resources.cpu, &stage.execution), (Some(8), &json!({ "note": "on here" })));
    assert_eq!(stage.pass_env, ["HOME"]);
    assert_eq!(stage.identity, without.stages[0].identity);
    let text = expand(&path, &options).unwrap();
    assert!(text.contains("${env.HOST}") && text.contains("${env.CPUS}") && !text.contains("here"), "{text}");
}

/// `expand` writes a file that means the same.
fn expands(path: &Path) {
    let options = Options::new(&KINDS);
    let before = load(path, &options).unwrap_or_else(|problems| panic!("{}", told(&problems)));
    let text = expand(path, &options).unwrap();
    let flat = path.with_file_name("expanded.yaml");
    std::fs::write(&flat, &text).unwrap();
    let after = load(&flat, &options).unwrap_or_else(|problems| panic!("{}\n{text}", told(&problems)));
    assert_eq!(identity(&before), identity(&after), "{text}");
    assert_eq!(before.name, after.name);
    for (before, after) in before.stages.iter().zip(&after.stages) {
        assert_eq!(
            (before.resources, before.timeout, before.retries, before.keep),
            (after.resources, after.timeout, after.retries, after.keep)
        );
        assert_eq!((&before.base, &before.execution), (&after.base, &after.execution));
    }
    assert_eq!(
        expand(&flat, &options).unwrap().lines().skip(1).collect::<Vec<_>>(),
        text.lines().skip(1).collect::<Vec<_>>()
    );
}

#[test]
fn a_pipeline_of_several_files_expands_into_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("data/a.txt", "");
    write("configs/m.yaml", "layers: 3\n");
    write(
        "common/more/low.yaml",
        "params: { model: ../../configs/m.yaml, rate: 1e-3 }\nstages:\n  low: { uses: command, with: { run: [cat, \"$${x}\", \"${HOME:-${params.rate}}\"], files: { t: \"../../data/*.txt\" }, outputs: [a.b, c] } }\n",
    );
    write("pipelines/p.yaml", "muse: 1\nname: big\ninclude: [../common/more/low.yaml]\nparams: { names: [a/b, \"x,y\", \"${params.rate}\", true, \"]\" ] }\nstages:
  w: { uses: download, with: { urls: [\"$${literal}\", \"https://${params.rate}\", \"a: b # c\", \"\\u0085\\t\\\"\", \"1\"], paths: [../data/a.txt] } }
  m:
    uses: pretrain
    inputs: { data: w }
    matrix: { n: \"${params.names}\", seed: [1, 0x2] }
    with: { model: \"${params.model}\", seed: \"${matrix.seed}\", save_every: 90s }
    resources: { cpu: 2, memory: 8GiB }
    timeout: 1.5h
    keep: forever
  all: { uses: command, inputs: { x: m.checkpoint, y: \"m[n=x,y,seed=1].report\", z: [m.report, low.a.b] }, with: { run: \"echo ${in.x} $${in.x}\" }, keep: 3d, retries: 1 }
");
    expands(&folder.path().join("pipelines/p.yaml"));
}

/// Any text that a YAML file may hold.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[$}{ina.tx]{0,12}",
        any::<String>()
            .prop_map(|text| text.chars().filter(|c| !c.is_control() && *c != '\u{feff}').collect()),
        "[ ab#:\t\n|-]{0,12}",
        "[a-c]{1,3}(\n *[a-c#]{0,3}){1,4}\n?",
        Just("null".to_owned()),
        Just("1e3".to_owned()),
        Just("~".to_owned()),
        Just("- a".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pipeline_expands_into_the_same(texts in prop::collection::vec(any_text(), 1..5), seeds in prop::collection::btree_set("[a-zA-Z0-9 =,./:#'\"$-]{1,8}", 1..4)) {
        let quoted = |text: &str| Value::from(text).to_string();
        let urls: Vec<String> = texts.iter().map(|text| quoted(&text.replace("${", "$${"))).collect();
        let env: Vec<String> = texts.iter().enumerate().map(|(at, text)| format!("E{at}: {}", quoted(&text.replace("${", "$${")))).collect();
        let seeds: Vec<String> = seeds.iter().map(|seed| quoted(seed)).collect();
        let mut text = String::from("muse: 1\n");
        let _ = writeln!(text, "params: {{ p: [{}] }}", urls.join(", "));
        let _ = writeln!(text, "stages:\n  w: {{ uses: download, with: {{ urls: \"${{params.p}}\" }} }}");
        let _ = writeln!(text, "  c: {{ uses: command, matrix: {{ s: [{}] }}, inputs: {{ x: w }}, with: {{ run: [echo, \"${{matrix.s}}\"], outputs: [o], env: {{ {} }} }} }}", seeds.join(", "), env.join(", "));
        let _ = writeln!(text, "  d: {{ uses: command, inputs: {{ x: c, y: [c, w] }}, with: {{ run: ls }} }}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, text).unwrap();
        expands(&path);
    }
}
