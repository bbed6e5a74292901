//! `muse params` from outside: the presets, errors with their places.
use crate::support::TestContext;

const SMALL: &str = "vocab_size: 1000
layers: 4
width: 256
heads: 4
kv_heads: 2
ffn: 512
";

#[test]
fn a_model_is_counted_without_a_pipeline() {
    let context = TestContext::new();
    context.write("configs/models/small.yaml", SMALL);
    context
        .muse(["params", "configs/models/small.yaml"])
        .ok()
        .prints("configs/models/small.yaml\n  4 layers of width 256, 4 heads of 64 sharing 2, SwiGLU 512")
        .prints("2,874,112");
    let counted = context.muse(["params", "configs/models/small.yaml", "--json"]).ok().json();
    assert_eq!(counted["cost"]["total"], 2_874_112);
    assert!(!context.cache().exists(), "counting needs no store");
}

#[test]
fn what_is_wrong_with_a_model_is_underlined_all_at_once() {
    let context = TestContext::new();
    context.write("m.yaml", SMALL.replace("kv_heads", "kv_head") + "rope: { teta: 1 }\nwindow: 0\n");
    let wrong = context.muse(["params", "m.yaml"]).ends(2);
    insta::assert_snapshot!(wrong.stderr);
    context.write("m.yaml", SMALL.replace("heads: 4", "heads: 5") + "head_width: 7\n");
    let wrong = context.muse(["params", "m.yaml"]).ends(2);
    insta::assert_snapshot!(wrong.stderr);
}

#[test]
fn what_is_no_model_says_so() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: 'true > out/x', outputs: [x] } } }\n",
    );
    context.muse(["params", "no.yaml"]).ends(2).says("a model: there is no `no.yaml`");
    context.muse(["params", "."]).ends(2).says("cannot be read");
    context
        .muse(["params", "pipelines/p.yaml:a"])
        .ends(2)
        .says("the stage `a` is `command`, which has no model to count");
    context.muse(["params", "pipelines/p.yaml:b"]).ends(2).says("`b`");
    context.muse(["params", "m.yaml", "--offload"]).ends(2).says("--recompute");
    context.muse(["params", "m.yaml", "--optimizer", "adam"]).ends(2).says("adamw");
    context.muse(["params", "m.yaml", "--micro-batch", "0"]).ends(2).says("0 is not in");
}

#[test]
fn a_model_that_a_stage_goes_on_with_is_found_above_it() {
    let context = TestContext::pipeline(
        "stages:
  corpus: { uses: download, with: { source: synthetic, count: 30, dialogues: 1 } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 1000 } }
  packed: { uses: pack, inputs: { corpus: corpus, tokenizer: tokenizer }, with: { context: 64 } }
  base:
    uses: pretrain
    inputs: { data: packed }
    with: { model: ../configs/models/small.yaml, steps: 2, batch_tokens: 256 }
  chats:
    uses: pack
    inputs: { corpus: corpus, tokenizer: tokenizer }
    with: { context: 32, mask: assistant, strategy: best-fit }
  chat:
    uses: sft
    inputs: { data: chats, init: base }
    with: { batch_tokens: 128, precision: bf16 }
  again:
    uses: sft
    inputs: { data: chats, init: chat }
    with: { batch_tokens: 128, lora: { rank: 4 } }
  theirs: { uses: import, with: { path: ../theirs } }
  further:
    uses: sft
    inputs: { data: chats, init: theirs.checkpoint }
",
    );
    context.write("configs/models/small.yaml", SMALL.replace("vocab_size: 1000\n", ""));
    context.write("theirs/config.json", "{}");
    let count =
        |stage: &str| context.muse(["params", &format!("pipelines/p.yaml:{stage}"), "--json"]).ok().json();
    let of = |stage: &str| {
        let all = count(stage);
        let asked = &all["asked"];
        let [context, batch] =
            [&asked["shape"]["context"], &asked["training"]["micro_batch"]].map(|n| n.as_u64().unwrap());
        (all["cost"]["total"].as_u64().unwrap(), context, batch)
    };
    // Sequences are those of a stage's own data, and so are the vocabulary's sizes.
    assert_eq!(of("base"), (2_874_112, 64, 4));
    assert_eq!(of("chat"), (2_874_112, 32, 4));
    let [chat, again] = ["chat", "again"].map(count);
    assert_eq!(
        (&chat["asked"]["training"]["precision"], &chat["asked"]["training"]["lora"]),
        (&"bf16".into(), &().into())
    );
    assert!(again["asked"]["training"]["lora"].is_object());
    let optimizer = |all: &serde_json::Value| all["cost"]["training"]["optimizer"].as_u64().unwrap();
    assert!(optimizer(&again) < optimizer(&chat) / 10);
    context
        .muse(["params", "pipelines/p.yaml:further"])
        .ends(2)
        .says("what `further` begins with is known only once it is made");
}
