//! A longer training that goes on from the result of a shorter one is the longer training to the byte.
use crate::support::{Place, bytes, params, same, whole};
use muse_artifacts::checkpoint::{Checkpoint, Checkpoints};
use muse_stage::{StageEvent, StageKind};
use muse_stage_pretrain::Pretrain;
use serde_json::{Value, json};

fn with_steps(fields: &Value, steps: u64) -> Value {
    let mut fields = fields.clone();
    fields["steps"] = steps.into();
    fields
}

#[test]
fn going_on_gives_what_the_whole_way_gives() {
    for schedule in [
        json!({ "kind": "constant", "warmup": 2 }),
        json!({ "kind": "wsd", "warmup": 2, "decay": 0.3 }),
        json!({ "kind": "wsd", "warmup": 2, "decay": 4, "decay_shape": "sqrt" }),
    ] {
        // With evaluations that fall on the end of the shorter one, and that do not.
        for eval_every in [3, 5, 10] {
            let fields = json!({ "schedule": schedule, "eval_every": eval_every });
            let (short, long) = (with_steps(&fields, 10), with_steps(&fields, 17));
            let place = Place::new();
            assert_eq!(place.train(&short), StageEvent::Done);
            let step = Pretrain.extends_json(&params(&long), &params(&short)).unwrap();
            assert!((6..=10).contains(&step), "{schedule}: {step}");
            let next = Place::new();
            let offer = next.offered(&place);
            let (end, figures) = next.train_until(&long, u64::MAX, Some((&offer, step)));
            assert_eq!(end, StageEvent::Done);
            assert_eq!(figures[0].0, step + 1, "it goes on from there");
            same(&bytes(&next.out()), &whole(&long));
        }
    }
}

#[test]
fn a_break_right_behind_what_is_gone_on_from_does_not_show() {
    let schedule = json!({ "kind": "constant", "warmup": 2 });
    let (short, long) = [10, 17].map(|steps| json!({ "schedule": schedule, "steps": steps })).into();
    let place = Place::new();
    assert_eq!(place.train(&short), StageEvent::Done);
    let next = Place::new();
    let offer = next.offered(&place);
    for stop in [0, 0, 11] {
        assert_eq!(next.train_until(&long, stop, Some((&offer, 10))).0, StageEvent::Interrupted);
        // What the evaluation there found is known still.
        let there = Checkpoint::open(&Checkpoints::of(&next.resume()).place(10)).unwrap();
        assert!(there.about().validation_loss().is_some(), "{stop}");
        assert_eq!(there.about().step, 10);
    }
    assert_eq!(next.train_until(&long, u64::MAX, Some((&offer, 10))).0, StageEvent::Done);
    same(&bytes(&next.out()), &whole(&long));
}

#[test]
fn what_would_differ_is_not_gone_on_from() {
    let params = |schedule: Value, steps: u64| params(&json!({ "schedule": schedule, "steps": steps }));
    let extends = |schedule: &Value, new, old| {
        Pretrain.extends_json(&params(schedule.clone(), new), &params(schedule.clone(), old))
    };
    let constant = json!({ "kind": "constant", "warmup": 2 });
    assert_eq!(extends(&constant, 20, 10), Some(10));
    assert_eq!(extends(&constant, 10, 20), None, "a shorter one");
    for schedule in [
        json!({ "kind": "cosine", "warmup": 2 }),
        json!({ "kind": "linear", "warmup": 2 }),
        // Its warmup goes by the length.
        json!({ "kind": "wsd", "warmup": 0.1 }),
    ] {
        assert_eq!(extends(&schedule, 20, 10), None, "{schedule}");
    }
}

#[test]
fn an_offer_that_is_damaged_is_passed_over() {
    let fields = json!({ "schedule": { "kind": "constant", "warmup": 2 } });
    let place = Place::new();
    let offer = place.path().join("offer");
    std::fs::create_dir_all(offer.join("checkpoint/extend")).unwrap();
    let (end, figures) = place.train_until(&fields, u64::MAX, Some((&offer, 10)));
    assert_eq!((end, figures[0].0), (StageEvent::Done, 1));
    same(&bytes(&place.out()), &whole(&fields));
}
