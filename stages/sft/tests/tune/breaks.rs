//! Trainings that are stopped, torn, made longer or go back: the end is the same to the byte.
use crate::chats::{params, place, whole};
use crate::support::{bytes, flip, same};
use muse_artifacts::checkpoint::{Checkpoint, Checkpoints};
use muse_stage::{StageEvent, StageKind};
use muse_stage_sft::Sft;
use serde_json::{Value, json};

/// Trains with a break after each of these steps.
fn broken(fields: &Value, breaks: &[u64]) -> std::collections::BTreeMap<String, Vec<u8>> {
    let place = place();
    for step in breaks {
        assert_eq!(place.train_until(fields, *step, None).0, StageEvent::Interrupted, "{step}");
        assert!(!place.out().exists(), "what is not finished is no result");
    }
    assert_eq!(place.train(fields), StageEvent::Done);
    bytes(&place.out())
}

#[test]
fn a_training_that_was_stopped_ends_as_one_that_was_not() {
    for fields in [
        json!({}),
        json!({ "epochs": 1.2 }),
        json!({ "lora": { "rank": 3 } }),
        json!({ "lora": { "rank": 3 }, "micro_batch": 1, "optimizer": { "kind": "muon", "state": "bf16" } }),
        json!({ "lora": { "rank": 3, "targets": ["v_proj"] }, "optimizer": { "kind": "adamw", "state": "int8" } }),
        json!({ "lora": { "rank": 2 }, "optimizer": { "kind": "sgd" }, "precision": "bf16" }),
        json!({ "lora": { "rank": 2 }, "precision": "bf16_stochastic" }),
    ] {
        same(&broken(&fields, &[0, 1, 3, 4, 5, 7, 11]), &whole(&fields));
    }
}

#[test]
fn what_is_torn_is_passed_over() {
    let fields = json!({ "lora": { "rank": 3 } });
    let place = place();
    assert_eq!(place.train_until(&fields, 9, None).0, StageEvent::Interrupted);
    let kept = Checkpoints::of(&place.resume()).place(9);
    assert!(kept.join("state/optimizer.safetensors").exists());
    // A checkpoint on the way is the plain model too.
    let names = |one: &Checkpoint| one.model().iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    let init = Checkpoint::open(&place.path().join("in/init")).unwrap();
    assert_eq!(names(&Checkpoint::open(&kept).unwrap()), names(&init));
    flip(&kept.join("state/optimizer.safetensors"));
    assert_eq!(place.train(&fields), StageEvent::Done);
    same(&bytes(&place.out()), &whole(&fields));
}

#[test]
fn more_steps_go_on_from_a_result_with_fewer() {
    for lora in [Value::Null, json!({ "rank": 3 })] {
        for schedule in [json!({ "kind": "constant", "warmup": 2 }), json!({ "kind": "wsd", "warmup": 2 })] {
            let of = |steps: u64| json!({ "lora": lora, "schedule": schedule, "steps": steps });
            let (short, long) = (of(10), of(17));
            let place = place();
            assert_eq!(place.train(&short), StageEvent::Done);
            let step = Sft.extends_json(&params(&long), &params(&short)).unwrap();
            let next = crate::chats::place();
            let offer = next.offered(&place);
            let (end, figures) = next.train_until(&long, u64::MAX, Some((&offer, step)));
            assert_eq!((end, figures[0].0), (StageEvent::Done, step + 1));
            same(&bytes(&next.out()), &whole(&long));
        }
    }
}

#[test]
fn factors_that_become_no_numbers_go_back_with_all_else() {
    let fields = json!({
        "steps": 40, "lr": 0.1, "eval_every": 10, "clip": 0, "lora": { "rank": 3 },
        "optimizer": { "kind": "sgd", "momentum": 0.0, "weight_decay": { "matrices": 100.0 } },
    });
    let place = place();
    let (end, figures) = place.train_until(&fields, u64::MAX, None);
    let back = figures.iter().find(|(_, name, _)| name == "rolled_back").map(|(at, _, to)| (*at, *to));
    let (at, to) = back.unwrap_or_else(|| panic!("it never goes back: {end:?}"));
    assert_eq!(end, StageEvent::Done);
    assert!(to > 0.0, "it goes back to a checkpoint");
    same(&broken(&fields, &[at - 2, at - 1, at, to as u64 + 2]), &bytes(&place.out()));
}
