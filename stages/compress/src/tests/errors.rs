//! What is refused, and where.
use super::*;
use crate::Params;
use muse_artifacts::above::model_of as model_above;
use muse_stage::{Above, Given, Stage};

/// What is wrong: the field, and what is said of it.
fn wrong(params: Value, trained: Option<&Model>) -> Option<(String, String)> {
    let params: Params = serde_json::from_value(params).unwrap();
    let above = Above::new(move |port| match (port, trained) {
        ("model", Some(model)) => {
            let params = json!({ "model": config(model) });
            vec![Given { kind: "pretrain", output: "checkpoint", params, above: Above::nothing() }]
        }
        _ => Vec::new(),
    });
    let error = Compress.check(&params).and_then(|()| Compress.fits(&params, &above)).err()?;
    assert!(error.help.is_some(), "{}", error.message);
    Some((error.pointer, error.message))
}

fn place(params: Value, trained: Option<&Model>) -> Option<String> {
    Some(wrong(params, trained)?.0)
}

#[test]
fn there_is_one_model_and_something_to_do() {
    let begun = || config(&small());
    assert_eq!(place(json!({}), None).as_deref(), Some(""));
    assert_eq!(place(json!({ "model": begun() }), None), None);
    assert_eq!(place(json!({ "model": begun(), "low_rank": 4 }), Some(&small())).as_deref(), Some("/model"));
    assert_eq!(place(json!({}), Some(&small())).as_deref(), Some(""));
    assert_eq!(place(json!({ "low_rank": 4, "seed": 3 }), Some(&small())).as_deref(), Some("/seed"));
    assert_eq!(place(json!({ "model": begun(), "weights": "best" }), None).as_deref(), Some("/weights"));
    assert_eq!(place(json!({ "low_rank": 4, "weights": "best" }), Some(&small())), None);
    let without = Model { vocab_size: None, ..small() };
    assert_eq!(place(json!({ "model": config(&without) }), None).as_deref(), Some("/model"));
}

#[test]
fn what_cannot_be_is_said_at_its_field() {
    for trained in [None, Some(&small())] {
        let at = |mut params: Value| {
            if trained.is_none() {
                params["model"] = config(&small());
            }
            place(params, trained)
        };
        assert_eq!(at(json!({ "low_rank": 25 })).as_deref(), Some("/low_rank"));
        assert_eq!(at(json!({ "tensor_train": 25 })).as_deref(), Some("/tensor_train"));
        // Three values take the matrices, and there are no cores.
        assert_eq!(at(json!({ "ternary": true, "int8": true })).as_deref(), Some("/int8"));
        assert_eq!(at(json!({ "ternary": true, "int8": true, "tensor_train": 3 })), None);
    }
    let small_already =
        Model { linear: Some(Linear { low_rank: Some(4), round: Some(Round::Int8) }), ..small() };
    let at = |params| place(params, Some(&small_already));
    assert_eq!(at(json!({ "low_rank": 5 })).as_deref(), Some("/low_rank"));
    assert_eq!(at(json!({ "ternary": true })).as_deref(), Some("/ternary"));
    assert_eq!(at(json!({ "low_rank": 4, "int8": true })), None);
}

#[test]
fn stages_below_know_what_comes_of_it() {
    let mut cored = small();
    cored.embedding = Some(muse_model::config::Embedding::of_rank(3));
    for trained in [false, true] {
        for model in [small(), cored.clone()] {
            for mut form in [
                json!({ "low_rank": 8 }),
                json!({ "ternary": true }),
                json!({ "int8": true }),
                json!({ "low_rank": 8, "ternary": true, "tensor_train": 3, "int8": true }),
                json!({ "tensor_train": 3 }),
            ] {
                let parsed: Params = serde_json::from_value(form.clone()).unwrap();
                let target = parsed.target(&model, trained).unwrap();
                if !trained {
                    form["model"] = config(&model);
                }
                let begun = json!({ "model": config(&model) });
                let above = Above::new(|port| match port {
                    "model" if trained => vec![Given {
                        kind: "pretrain",
                        output: "checkpoint",
                        params: begun.clone(),
                        above: Above::nothing(),
                    }],
                    _ => Vec::new(),
                });
                let given = Given { kind: "compress", output: "checkpoint", params: form.clone(), above };
                let (config, _) = model_above(&given).unwrap();
                assert_eq!(serde_json::from_value::<Model>(config).unwrap(), target, "{form}");
            }
        }
    }
}

#[test]
fn a_trained_model_that_is_broken_is_refused() {
    let said = |bench: &Bench| match bench.run(json!({ "low_rank": 4 }), 1) {
        StageEvent::Failed { message, .. } => message,
        other => panic!("{other:?}"),
    };
    let bench = Bench::trained(&small(), Dtype::F32);
    let path = bench.0.path().join("in/model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(said(&bench).contains("model.safetensors"));
    // Numbers that are none.
    let bench = Bench::trained_times(&small(), Dtype::F32, f32::NAN);
    assert!(said(&bench).contains("no number"), "{}", said(&bench));
}
