//! The parameters: what they default to, what of them is a key's, what is refused, and what stands above.
use crate::{Params, Sft};
use muse_stage::schemars::generate::SchemaSettings;
use muse_stage::{Above, FieldError, Given, Machine, Stage, StageKind, mark};
use serde_json::{Value, json};

fn read(fields: Value) -> Params {
    serde_json::from_value(fields).unwrap()
}

fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Params>().to_value()
}

#[test]
fn what_is_left_out_is_what_the_reference_says() {
    let params = read(json!({}));
    params.check().unwrap();
    let written = serde_json::to_value(&params).unwrap();
    let schema = schema();
    for (name, field) in schema["properties"].as_object().unwrap() {
        assert_eq!(&written[name], &field["default"], "{name}");
    }
    // Changing one of these changes what is made of a page: raise `VERSION`.
    let golden = json!({
        "epochs": null, "tokens": null, "steps": null, "batch_tokens": 16_384, "micro_batch": null, "lora": null, "lr": 5e-5,
        "optimizer": {
            "kind": "adamw", "betas": null, "epsilon": null, "momentum": null, "nesterov": null, "adamw_rate": null,
            "threshold": null, "groups": [], "state": "f32",
            "weight_decay": { "matrices": null, "head": null, "embeddings": 0.0, "norms": 0.0 },
        },
        "schedule": { "kind": "wsd", "warmup": 100.0, "decay": null, "decay_shape": null, "min_ratio": 0.0 },
        "loss": { "kind": "cross_entropy", "gamma": null, "epsilon": null, "weights": null, "z": 0.0 },
        "clip": 1.0, "precision": "f32", "recompute": "none", "offload": false, "eval_every": 50,
        "eval_tokens": 1_000_000, "checkpoint_every": 1000, "keep_last": 2, "seed": 0,
    });
    assert_eq!(written, golden);
    assert_eq!((params.epochs(), params.steps()), (3.0, None));
    let lora = read(json!({ "lora": { "rank": 8 } })).lora.unwrap();
    assert_eq!(serde_json::to_value(&lora).unwrap(), json!({ "rank": 8, "alpha": null, "targets": null }));
    assert_eq!((lora.alpha(), lora.targets().len()), (16.0, 16));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema.get("required"), None);
}

#[test]
fn what_only_says_how_is_in_no_key_and_length_can_be_extended() {
    let schema = schema();
    let marked = |wanted: &str| -> Vec<String> {
        let fields = schema["properties"].as_object().unwrap().iter();
        let has = |field: &Value| match &field[mark::KEYWORD] {
            Value::Array(marks) => marks.iter().any(|mark| mark == wanted),
            mark => mark == wanted,
        };
        fields.filter(|(_, field)| has(field)).map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(marked(mark::EXECUTION), ["checkpoint_every", "keep_last", "offload", "recompute"]);
    assert_eq!(marked(mark::EXTENDABLE), ["steps", "tokens"]);
    let extends = |new, old| Sft.extends(&read(new), &read(old));
    assert_eq!(extends(json!({ "steps": 2000 }), json!({ "steps": 1000 })), Some(800));
    assert_eq!(extends(json!({ "steps": 2000 }), json!({ "tokens": 16_384_000 })), Some(800));
    assert_eq!(extends(json!({ "steps": 1000 }), json!({ "steps": 2000 })), None);
    // How many steps they are is not known.
    assert_eq!(extends(json!({ "epochs": 2 }), json!({ "epochs": 1 })), None);
    assert_eq!(extends(json!({ "steps": 2000 }), json!({})), None);
}

#[test]
fn what_makes_no_sense_is_refused_at_its_field() {
    let cases = [
        (json!({ "epochs": 0 }), "/epochs"),
        (json!({ "epochs": 20_000 }), "/epochs"),
        (json!({ "epochs": 1, "steps": 10 }), "/steps"),
        (json!({ "epochs": 1, "tokens": 10 }), "/tokens"),
        (json!({ "tokens": "1M", "steps": 10 }), "/steps"),
        (json!({ "steps": 0 }), "/steps"),
        (json!({ "tokens": 0 }), "/tokens"),
        (json!({ "batch_tokens": 0 }), "/batch_tokens"),
        (json!({ "lr": 0 }), "/lr"),
        (json!({ "eval_every": 0 }), "/eval_every"),
        (json!({ "offload": true }), "/offload"),
        (json!({ "lora": { "rank": 0 } }), "/lora/rank"),
        (json!({ "lora": { "rank": 8, "alpha": 0 } }), "/lora/alpha"),
        (json!({ "lora": { "rank": 8, "targets": [] } }), "/lora/targets"),
        (json!({ "lora": { "rank": 8 }, "optimizer": { "kind": "muonclip" } }), "/optimizer/kind"),
    ];
    for (fields, pointer) in cases {
        let error = read(fields.clone()).check().expect_err(&fields.to_string());
        assert_eq!(error.pointer, pointer, "{fields}");
        assert!(error.help.is_some_and(|help| !help.is_empty()), "{fields}");
    }
    assert!(serde_json::from_value::<Params>(json!({ "model": {} })).is_err(), "it is that of `init`");
    assert!(
        serde_json::from_value::<Params>(json!({ "lora": { "rank": 8, "targets": ["c_attn"] } })).is_err()
    );
}

/// Chats packed for a model of 500 tokens that was trained on sequences of 64, by stages of these kinds above.
fn above(mask: &'static str, context: u64, model: Value, kinds: &'static [&'static str]) -> Above<'static> {
    fn packed(mask: &'static str, context: u64) -> Given<'static> {
        let tokenizer = json!({ "algorithm": "bpe", "vocab_size": 500 });
        let above = Above::new(move |_| {
            let params = tokenizer.clone();
            vec![Given { kind: "tokenizer", output: "tokenizer", params, above: Above::nothing() }]
        });
        Given { kind: "pack", output: "tokens", params: json!({ "context": context, "mask": mask }), above }
    }
    fn maker(kinds: &'static [&'static str], model: Value) -> Vec<Given<'static>> {
        let Some((kind, more)) = kinds.split_first() else { return Vec::new() };
        let params = if *kind == "pretrain" { json!({ "model": model }) } else { json!({}) };
        let above = Above::new(move |port| match port {
            "data" => vec![packed("all", 64)],
            _ => maker(more, model.clone()),
        });
        vec![Given { kind, output: "checkpoint", params, above }]
    }
    Above::new(move |port| match port {
        "data" => vec![packed(mask, context)],
        _ => maker(kinds, model.clone()),
    })
}

#[test]
fn the_data_to_come_is_held_against_the_model_to_come() {
    let model = json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128 });
    let wrong = |fields: Value, above: &Above<'_>| Sft.fits_json(&fields, above).err();
    let said = |error: Option<FieldError>| error.map(|error| (error.message, error.help.unwrap()));
    for kinds in [&["pretrain"][..], &["sft", "pretrain"]] {
        let above = |mask, context| above(mask, context, model.clone(), kinds);
        assert_eq!(wrong(json!({}), &above("assistant", 64)), None);
        assert_eq!(wrong(json!({}), &above("assistant", 32)), None, "shorter ones fit");
        let (message, help) = said(wrong(json!({}), &above("all", 64))).unwrap();
        assert!(message.contains("every token of the data carries loss"), "{message}");
        assert!(help.contains("`mask: assistant`"), "{help}");
        let (message, help) = said(wrong(json!({}), &above("assistant", 65))).unwrap();
        assert_eq!(message, "sequences of 65 tokens, and the model at `init` has learned 64");
        assert_eq!(help, "pack with `context: 64` or less");
        let short = wrong(json!({ "batch_tokens": 63 }), &above("assistant", 64)).unwrap();
        assert_eq!(short.pointer, "/batch_tokens");
        let clip = wrong(json!({ "optimizer": { "kind": "muonclip" } }), &above("assistant", 64)).unwrap();
        assert_eq!(clip.pointer, "/optimizer/kind", "the model has norms of queries and keys");
        let groups =
            json!({ "lora": { "rank": 4 }, "optimizer": { "groups": [{ "weights": ["*lora_A*"] }] } });
        assert_eq!(wrong(groups, &above("assistant", 64)), None);
    }
    let mut small = model.clone();
    small["vocab_size"] = json!(400);
    let (message, _) = said(wrong(json!({}), &above("assistant", 64, small, &["pretrain"]))).unwrap();
    assert_eq!(message, "the model at `init` has 400 tokens, and the data's tokenizer 500");
    // What is not known fits, and is looked at again when it runs.
    assert_eq!(wrong(json!({}), &above("assistant", 9999, model.clone(), &["command"])), None);
    assert!(wrong(json!({}), &above("all", 64, model, &["command"])).is_some());
    assert_eq!(wrong(json!({}), &Above::nothing()), None);
}

#[test]
fn what_the_machine_has_no_room_for_is_said_before_it_runs() {
    let model = json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128 });
    let above = |kinds| above("assistant", 64, model.clone(), kinds);
    let needs = |fields: Value, kinds, memory| {
        let machine = Machine { memory, gpu_memory: None, gpus: 0, threads: 1 };
        Sft.room_json(&fields, &above(kinds), &machine).err().map(|error| error.message)
    };
    let least = |fields: Value| {
        let (mut short, mut enough) = (0, 1 << 40);
        while enough - short > 1 {
            let middle = (short + enough) / 2;
            match needs(fields.clone(), &["pretrain"], middle) {
                Some(_) => short = middle,
                None => enough = middle,
            }
        }
        enough
    };
    let (full, few) = (least(json!({})), least(json!({ "lora": { "rank": 2 } })));
    assert!(few < full, "{few} {full}");
    assert!(needs(json!({}), &["pretrain"], 1 << 20).unwrap().contains("a step takes"));
    assert_eq!(needs(json!({}), &["command"], 1), None, "it is not known");
}
