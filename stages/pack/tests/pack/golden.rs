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
    let expected = [
        "concat meta.json 7d6293cb47148fb9",
        "concat report.json 9306cee65f816416",
        "concat train.bin 99e7c24b177ecbd7",
        "concat train.idx 934d544253a79024",
        "concat train.mask f9662e9c918acbe9",
        "concat validation.bin 37199319ae2248bc",
        "concat validation.idx ca3fb2f2a6c524ef",
        "concat validation.mask 498a82d68ab5fce8",
        "best-fit meta.json efb53f74fa0c6ca8",
        "best-fit report.json 8268bd926a9af0bd",
        "best-fit train.bin 99e7c24b177ecbd7",
        "best-fit train.idx 21b53536ed81de33",
        "best-fit train.mask f9662e9c918acbe9",
        "best-fit validation.bin 37199319ae2248bc",
        "best-fit validation.idx 1e8352ee09c4e97a",
        "best-fit validation.mask 498a82d68ab5fce8",
        "balanced meta.json 8c2b3d0e73bd333c",
        "balanced report.json 30bbf642ce06c2d1",
        "balanced train.bin 99e7c24b177ecbd7",
        "balanced train.idx d050e33e4e7e9672",
        "balanced train.mask f9662e9c918acbe9",
        "balanced validation.bin 37199319ae2248bc",
        "balanced validation.idx 1e1ebcb5655eb836",
        "balanced validation.mask 498a82d68ab5fce8",
    ];
    assert_eq!(made, expected);
}
