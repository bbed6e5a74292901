//! The parameters: what they default to, what of them is a key's, and what is refused.
use crate::{Params, memory};
use muse_model::config::Model;
use muse_model::count::{Optimizer, Precision, States, Training};
use muse_model::pass::Recompute;
use muse_stage::schemars::generate::SchemaSettings;
use muse_stage::{FieldError, mark};
use serde_json::{Value, json};

/// Parameters of a small model, with these fields on top.
fn with(fields: Value) -> Value {
    let model = json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128 });
    let mut all = json!({ "model": model, "steps": 1000 });
    for (name, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            _ => all[name] = value.clone(),
        }
    }
    all
}

fn read(fields: Value) -> Params {
    serde_json::from_value(with(fields)).unwrap()
}

fn refused(fields: Value) -> FieldError {
    read(fields.clone()).check().expect_err(&fields.to_string())
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
        if let Some(default) = field.get("default").filter(|_| name != "steps") {
            assert_eq!(&written[name], default, "{name}");
        }
    }
    // Changing one of these changes what is made of a page: raise `VERSION`.
    let golden = json!({
        "model": {
            "vocab_size": null, "layers": 2, "width": 64, "heads": 4, "kv_heads": null, "head_width": null, "ffn": 128,
            "context": null, "norm_eps": 1e-6, "qk_norm": true, "tied": false, "dropout": 0.0, "attention_dropout": 0.0,
            "window": null, "init_std": 0.02, "scaled_init": true,
            "rope": { "theta": 10_000.0, "scaling": {
                "kind": "none", "factor": 1.0, "original_context": null, "beta_fast": 32.0, "beta_slow": 1.0,
                "attention_factor": null,
            } },
        },
        "tokens": null, "steps": 1000, "batch_tokens": 32_768, "micro_batch": null, "lr": 6e-4,
        "optimizer": {
            "kind": "adamw", "betas": null, "epsilon": null, "momentum": null, "nesterov": null, "adamw_rate": null,
            "threshold": null, "groups": [], "state": "f32",
            "weight_decay": { "matrices": null, "head": null, "embeddings": 0.0, "norms": 0.0 },
        },
        "schedule": { "kind": "wsd", "warmup": 100.0, "decay": null, "decay_shape": null, "min_ratio": 0.0 },
        "loss": { "kind": "cross_entropy", "gamma": null, "epsilon": null, "weights": null, "z": 0.0 },
        "clip": 1.0, "precision": "f32", "recompute": "none", "offload": false, "eval_every": 250,
        "eval_tokens": 1_000_000, "checkpoint_every": 1000, "keep_last": 2, "seed": 0,
    });
    assert_eq!(written, golden);
    assert_eq!(schema["required"], json!(["model"]));
    assert_eq!(schema["additionalProperties"], false);
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
    let counts =
        ["batch_tokens", "checkpoint_every", "eval_every", "eval_tokens", "micro_batch", "steps", "tokens"];
    assert_eq!(marked(mark::COUNT), counts);
    assert_eq!(marked(mark::CONFIG), ["model"]);
}

#[test]
fn every_field_is_read() {
    let params = read(json!({
        "steps": null, "tokens": "2M", "batch_tokens": "64k", "micro_batch": 4, "lr": 1e-3, "clip": 0, "seed": 7,
        "optimizer": { "kind": "muon", "state": "int8" }, "schedule": { "kind": "cosine", "warmup": 10 },
        "loss": { "kind": "focal", "gamma": 1 }, "precision": "bf16_stochastic", "recompute": "block", "offload": true,
        "eval_every": 100, "eval_tokens": "10k", "checkpoint_every": "2k", "keep_last": 5,
    }));
    params.check().unwrap();
    assert_eq!(params.steps(), 32, "2M of 64k, made up");
    let training = Training {
        micro_batch: 4,
        adds_up: true,
        optimizer: Optimizer::Muon,
        states: States::Int8,
        precision: Precision::Bf16Stochastic,
        recompute: true,
        offload: true,
        lora: None,
    };
    assert_eq!(params.recipe().training(&params.model.shape(1, 1000), 1), training);
    assert_eq!(params.recipe().keeps(), Recompute::BlockOffloaded);
    assert!(serde_json::from_value::<Params>(with(json!({ "epochs": 3 }))).is_err());
}

#[test]
fn what_makes_no_sense_is_refused_at_its_field() {
    let cases = [
        (json!({ "model": { "layers": 2, "width": 100, "heads": 7, "ffn": 64 } }), "/model/heads"),
        (json!({ "steps": null }), ""),
        (json!({ "tokens": "1M" }), "/steps"),
        (json!({ "steps": 0 }), "/steps"),
        (json!({ "steps": "2B" }), "/steps"),
        (json!({ "steps": null, "tokens": 0 }), "/tokens"),
        (json!({ "steps": null, "tokens": "2B", "batch_tokens": 1 }), "/tokens"),
        (json!({ "batch_tokens": 0 }), "/batch_tokens"),
        (json!({ "batch_tokens": "2B" }), "/batch_tokens"),
        (json!({ "micro_batch": 0 }), "/micro_batch"),
        (json!({ "optimizer": { "momentum": 0.9 } }), "/optimizer/momentum"),
        (json!({ "optimizer": { "kind": "muonclip" } }), "/optimizer/kind"),
        (
            json!({ "optimizer": { "groups": [{ "weights": ["*.mlp.*", "layers.7.*"] }] } }),
            "/optimizer/groups",
        ),
        (json!({ "optimizer": { "groups": [{ "weights": ["*"], "frozen": true }] } }), "/optimizer/groups"),
        (json!({ "lr": 0 }), "/lr"),
        (json!({ "lr": 11 }), "/lr"),
        (json!({ "schedule": { "kind": "linear", "decay": 0.1 } }), "/schedule/decay"),
        (json!({ "loss": { "kind": "multi_objective", "weights": { "focal": 1 } } }), "/loss/weights"),
        (json!({ "clip": -1 }), "/clip"),
        (json!({ "offload": true }), "/offload"),
        (json!({ "eval_every": 0 }), "/eval_every"),
        (json!({ "eval_tokens": 0 }), "/eval_tokens"),
        (json!({ "checkpoint_every": 0 }), "/checkpoint_every"),
        (json!({ "keep_last": 0 }), "/keep_last"),
    ];
    for (fields, pointer) in cases {
        let error = refused(fields.clone());
        assert_eq!(error.pointer, pointer, "{fields}");
        assert!(error.help.is_some_and(|help| !help.is_empty()), "{fields}");
    }
    let twice = refused(json!({ "tokens": "1M" })).help.unwrap();
    assert_eq!(twice, "take one of them away: 1000 steps are `tokens: 32768000`");
    assert_eq!(Params { lr: f64::NAN, ..read(json!({})) }.check().unwrap_err().pointer, "/lr");
    assert_eq!(Params { clip: f64::NAN, ..read(json!({})) }.check().unwrap_err().pointer, "/clip");
}

#[test]
fn what_does_not_fit_the_data_is_refused_at_its_field() {
    let wrong = |fields, vocabulary, context| {
        read(fields).check_data(vocabulary, context).err().map(|error| (error.pointer, error.help.unwrap()))
    };
    let model = |name: &str, value: u32| {
        let mut model = json!({ "layers": 2, "width": 64, "heads": 4, "ffn": 128 });
        model[name] = value.into();
        json!({ "model": model })
    };
    assert_eq!(wrong(json!({}), 1000, 32_768), None);
    let (pointer, help) = wrong(json!({}), 1000, 32_769).unwrap();
    assert_eq!((pointer.as_str(), help.contains("`batch_tokens: 32769`")), ("/batch_tokens", true));
    assert_eq!(wrong(model("vocab_size", 999), 1000, 64).unwrap().0, "/model/vocab_size");
    assert_eq!(wrong(model("context", 128), 1000, 64).unwrap().0, "/model/context");
}

#[test]
fn a_stage_says_what_its_memory_goes_by() {
    let params = with(json!({ "micro_batch": 4, "precision": "bf16", "recompute": "block",
                              "optimizer": { "kind": "muonclip", "state": "int8" } }));
    let shape = Model::new(1, 16, 2, 24).shape(64, 256);
    let said = memory(&params, &shape).unwrap();
    assert_eq!((said.micro_batch, said.optimizer), (4, Optimizer::Muon));
    assert_eq!((said.states, said.precision), (States::Int8, Precision::Bf16));
    assert_eq!((said.recompute, said.offload), (true, false));
    assert!(memory(&with(json!({ "experts": 8 })), &shape).is_none());
}

#[test]
fn a_longer_training_goes_on_however_its_length_is_said() {
    let of = |fields: Value| read(fields).recipe();
    let tokens = of(json!({ "steps": null, "tokens": 500 * 32_768 }));
    assert_eq!((tokens.steps, of(json!({})).extends(&tokens)), (500, Some(400)));
}
