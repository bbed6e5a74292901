//! The defaults and the bytes of a small result. Whoever changes one of these raises `VERSION`: other people's results
//! were made with them.
use super::support::*;
use muse_stage::{Stage, StageKind};
use muse_stage_pack::Pack;
use serde_json::{Value, json};

#[test]
fn defaults() {
    assert_eq!(Pack::VERSION, 1);
    let schema = Pack.describe().params;
    let defaults: Vec<(String, Value)> = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone())))
        .collect();
    assert_eq!(
        json!(defaults),
        json!([
            ["also", []],
            ["dtype", "u16"],
            ["mask", "all"],
            ["seed", 0],
            ["strategy", "concat"],
            ["tokens", null],
            ["validation", 0.1]
        ])
    );
    assert_eq!(schema["required"], json!(["context"]));
}

#[test]
fn bytes() {
    let folder = place();
    let texts: Vec<_> = (0..300).map(|at| text(&format!("物語 {at}: ").repeat(1 + at * at % 37))).collect();
    corpus(folder.path(), "a", &texts);
    corpus(folder.path(), "b", &[chat(&[("user", "なに？"), ("assistant", "これ。")]), text("")]);
    let mut made = Vec::new();
    for strategy in ["concat", "best-fit", "balanced"] {
        run(folder.path(), json!({ "context": 256, "strategy": strategy, "mask": "assistant", "seed": 1 }));
        for (name, digest) in digests(&folder.path().join("out/tokens")) {
            made.push(format!("{strategy} {name} {digest}"));
        }
    }
    let expected = "";
    assert_eq!(made.join("\n"), expected);
}
