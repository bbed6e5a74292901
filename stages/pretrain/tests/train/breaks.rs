//! Trainings that are stopped, and checkpoints that are torn: the end is the same to the byte.
use crate::support::{Place, bytes, flip, same, whole};
use muse_artifacts::checkpoint::Checkpoints;
use muse_stage::StageEvent;
use serde_json::{Value, json};
use std::fs;

/// Trains with a break after each of these steps.
fn broken(fields: &Value, breaks: &[u64]) -> std::collections::BTreeMap<String, Vec<u8>> {
    let place = Place::new();
    for step in breaks {
        assert_eq!(place.train_until(fields, *step, None).0, StageEvent::Interrupted);
        assert!(!place.out().exists(), "what is not finished is no result");
    }
    assert_eq!(place.train(fields), StageEvent::Done);
    bytes(&place.out())
}

#[test]
fn a_training_that_was_stopped_ends_as_one_that_was_not() {
    for fields in [
        json!({}),
        json!({ "micro_batch": 1, "optimizer": { "kind": "muon", "state": "bf16" } }),
        json!({ "optimizer": { "kind": "adamw", "state": "int8" } }),
        json!({ "optimizer": { "kind": "sgd" }, "precision": "bf16" }),
        json!({ "precision": "bf16_stochastic" }),
        json!({ "model": { "layers": 2, "width": 16, "heads": 2, "ffn": 24, "dropout": 0.2, "qk_norm": false },
                "optimizer": { "kind": "muonclip", "threshold": 0.5 } }),
        json!({ "schedule": { "kind": "wsd", "warmup": 2, "decay": 4 } }),
    ] {
        let right = whole(&fields);
        // After the first step, before, at and behind evaluations and checkpoints, before the last step.
        same(&broken(&fields, &[0, 1, 3, 4, 5, 7, 11]), &right);
    }
}

#[test]
fn an_epoch_may_end_anywhere() {
    // 40 sequences, 7 a step.
    let fields = json!({ "batch_tokens": 7 * 16, "steps": 14 });
    same(&broken(&fields, &[5, 6, 11]), &whole(&fields));
}

#[test]
fn what_is_torn_is_passed_over() {
    let fields = json!({});
    let right = whole(&fields);
    let place = Place::new();
    assert_eq!(place.train_until(&fields, 9, None).0, StageEvent::Interrupted);
    let steps = |place: &Place| {
        let kept = Checkpoints::of(&place.resume()).list(muse_artifacts::checkpoint::Look::Sizes).unwrap();
        kept.into_iter().map(|kept| kept.step).collect::<Vec<_>>()
    };
    assert_eq!(steps(&place), [5, 8, 9]);
    let torn = Checkpoints::of(&place.resume()).place(9);
    flip(&torn.join("model.safetensors"));
    let cut = Checkpoints::of(&place.resume()).place(8).join("state/optimizer.safetensors");
    let content = fs::read(&cut).unwrap();
    fs::write(&cut, &content[..content.len() - 5]).unwrap();
    assert_eq!(place.train(&fields), StageEvent::Done);
    same(&bytes(&place.out()), &right);
}

#[test]
fn checkpoints_do_not_pile_up() {
    let place = Place::new();
    assert_eq!(place.train(&json!({ "steps": 30, "checkpoint_every": 1, "keep_last": 2 })), StageEvent::Done);
    let kept = Checkpoints::of(&place.resume()).list(muse_artifacts::checkpoint::Look::Content).unwrap();
    assert!(kept.iter().all(|kept| kept.found.is_ok()));
    // The last two; the last is the best and the one to go back to as well.
    assert_eq!(kept.iter().map(|kept| kept.step).collect::<Vec<_>>(), [29, 30]);
}
