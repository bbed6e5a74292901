//! That a training learns, tells what it does, and says why it cannot.
use crate::support::{Place, VOCABULARY, bytes, same, whole};
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{Checkpoint, CheckpointWriter, Facts, Tensor};
use muse_stage::StageEvent;
use serde_json::{Value, json};
use std::path::Path;

fn last(figures: &[(u64, String, f64)], name: &str) -> f64 {
    figures.iter().rev().find(|(_, is, _)| is == name).unwrap().2
}

/// The weights of a checkpoint again, each changed, with other facts.
fn copied(from: &Checkpoint, to: &Path, facts: Facts, change: impl Fn(&str, &mut Vec<u8>)) {
    let mut writer = CheckpointWriter::create(to).unwrap();
    let tensors: Vec<_> = from.model().iter().cloned().collect();
    let changed = |tensor: &Tensor| {
        let mut bytes = from.model().read(&tensor.name)?;
        change(&tensor.name, &mut bytes);
        Ok::<_, ArtifactError>(bytes)
    };
    writer.model(&tensors, changed).unwrap();
    writer.finish(facts).unwrap();
}

#[test]
fn every_optimizer_learns_what_can_be_learned() {
    for (optimizer, lr) in [
        (json!({ "kind": "adamw" }), 0.02),
        (json!({ "kind": "muon" }), 0.02),
        (json!({ "kind": "muonclip", "threshold": 2.0 }), 0.02),
        (json!({ "kind": "sgd" }), 0.3),
        (json!({ "kind": "adamw", "state": "int8" }), 0.02),
        (json!({ "kind": "muon", "state": "bf16" }), 0.02),
    ] {
        let mut fields = json!({ "optimizer": optimizer, "lr": lr, "steps": 150, "batch_tokens": 256 });
        if optimizer["kind"] == "muonclip" {
            fields["model"] =
                json!({ "layers": 2, "width": 16, "heads": 2, "ffn": 24, "init_std": 0.1, "qk_norm": false });
        }
        let (end, figures) = Place::new().train_until(&fields, u64::MAX, None);
        assert_eq!(end, StageEvent::Done);
        let (first, end) = (figures[0].2, last(&figures, "val_loss"));
        assert!((first - f64::from(VOCABULARY).ln()).abs() < 0.6, "{optimizer}: begins at {first}");
        assert!(end < 1.0, "{optimizer}: ends at {end}");
    }
}

#[test]
fn of_three_values_the_share_of_zeros_is_told() {
    let linear = json!({ "round": "ternary" });
    let model = json!({ "layers": 2, "width": 32, "heads": 2, "ffn": 48, "linear": linear });
    let (_, figures) = Place::new().train_until(&json!({ "model": model }), u64::MAX, None);
    // Of normal numbers as many are smaller than half of their mean size.
    let zeros: Vec<f64> =
        figures.iter().filter(|(_, name, _)| name == "zeros").map(|(_, _, share)| *share).collect();
    assert!(zeros.len() > 1 && zeros.iter().all(|share| (share - 0.31).abs() < 0.04), "{zeros:?}");
    let (_, figures) = Place::new().train_until(&json!({}), u64::MAX, None);
    assert!(figures.iter().all(|(_, name, _)| name != "zeros"), "all numbers count");
}

#[test]
fn half_precision_learns_too() {
    for precision in ["bf16", "bf16_stochastic"] {
        let fields = json!({ "precision": precision, "lr": 0.02, "steps": 150, "batch_tokens": 256 });
        let (_, figures) = Place::new().train_until(&fields, u64::MAX, None);
        assert!(last(&figures, "val_loss") < 1.1, "{precision}: {}", last(&figures, "val_loss"));
    }
}

#[test]
fn what_a_training_gives_can_be_opened_and_says_what_it_is() {
    let place = Place::new();
    assert_eq!(place.train(&json!({})), StageEvent::Done);
    let checkpoint = Checkpoint::open(&place.out()).unwrap();
    checkpoint.verify().unwrap();
    let about = checkpoint.about();
    assert_eq!((about.step, about.tokens), (12, 12 * 64));
    assert_eq!(about.config["vocab_size"], VOCABULARY);
    assert!(about.loss().is_some() && about.validation_loss().is_some());
    assert!(checkpoint.optimizer().is_none(), "a falling rate leaves nothing to go on from");
    let names: Vec<&str> = checkpoint.model().iter().map(|tensor| tensor.name.as_str()).collect();
    assert!(names.contains(&"model.layers.1.mlp.down_proj.weight"), "{names:?}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(place.out().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["train"].as_array().unwrap().len(), 12);
    assert_eq!(report["validation"].as_array().unwrap().len(), 3);
}

#[test]
fn ways_of_saving_memory_change_no_byte() {
    let mut model = json!({ "layers": 2, "width": 16, "heads": 2, "ffn": 24, "dropout": 0.1 });
    for dropout in [0.0, 0.1] {
        model["dropout"] = json!(dropout);
        let right = whole(&json!({ "model": model, "micro_batch": 2 }));
        same(&whole(&json!({ "model": model, "micro_batch": 2, "recompute": "block" })), &right);
        same(
            &whole(&json!({ "model": model, "micro_batch": 2, "recompute": "block", "offload": true })),
            &right,
        );
        same(
            &whole(&json!({ "model": model, "micro_batch": 2, "checkpoint_every": 1, "keep_last": 9 })),
            &right,
        );
    }
}

#[test]
fn no_number_of_threads_changes_a_byte() {
    let run = |threads| {
        let place = Place { threads, ..Place::new() };
        assert_eq!(place.train(&json!({ "optimizer": { "kind": "muon" } })), StageEvent::Done);
        bytes(&place.out())
    };
    let right = run(1);
    for threads in [2, 5] {
        same(&run(threads), &right);
    }
}

#[test]
fn a_training_begins_with_the_weights_of_another() {
    let first = Place::new();
    assert_eq!(first.train(&json!({ "steps": 40, "batch_tokens": 256, "lr": 0.02 })), StageEvent::Done);
    let second = Place::new();
    std::fs::rename(first.out(), second.path().join("in/init")).unwrap();
    let (end, figures) = second.train_until(&json!({ "steps": 3, "lr": 1e-4 }), u64::MAX, None);
    assert_eq!(end, StageEvent::Done);
    assert!(figures[0].2 < 2.2, "begins at {}", figures[0].2);
    // And no other model takes them.
    let wider = json!({ "model": { "layers": 2, "width": 32, "heads": 2, "ffn": 24 } });
    let StageEvent::Failed { message, help } = second.train(&wider) else { panic!("it went on") };
    assert!(message.contains("`width` is 16 in the checkpoint, and 32 in the model"), "{message}");
    assert!(help.unwrap().contains("the sizes of the checkpoint's"));
    // Nor one whose weights have the same sizes and mean something else.
    for (field, value, said) in [
        ("heads", json!(4), "`heads` is 2 in the checkpoint, and 4 in the model"),
        ("qk_norm", json!(false), "`qk_norm` is true in the checkpoint, and false in the model"),
        ("tied", json!(true), "`tied` is false in the checkpoint, and true in the model"),
    ] {
        let mut model = json!({ "layers": 2, "width": 16, "heads": 2, "ffn": 24 });
        model[field] = value;
        let StageEvent::Failed { message, .. } = second.train(&json!({ "model": model })) else {
            panic!("{field}")
        };
        assert!(message.contains(said), "{message}");
    }
    // What has no size may be another.
    let mut model = json!({ "layers": 2, "width": 16, "heads": 2, "ffn": 24, "dropout": 0.1, "window": 8 });
    model["rope"] = json!({ "theta": 1e6 });
    assert_eq!(second.train(&json!({ "model": model, "steps": 1 })), StageEvent::Done);
}

#[test]
fn weights_that_learned_the_ids_of_another_tokenizer_are_refused() {
    let first = Place::new();
    assert_eq!(first.train(&json!({ "steps": 1 })), StageEvent::Done);
    let good = Checkpoint::open(&first.out()).unwrap();
    let place = Place::new();
    let about = good.about();
    let facts = Facts {
        config: about.config.clone(),
        tokenizer: Some("b3:ffff".into()),
        step: 1,
        ..Facts::default()
    };
    copied(&good, &place.path().join("in/init"), facts, |_, _| {});
    let StageEvent::Failed { message, .. } = place.train(&json!({})) else { panic!("it went on") };
    assert!(message.contains("their ids mean other texts"), "{message}");
}

#[test]
fn weights_that_are_no_numbers_are_given_up_on() {
    let first = Place::new();
    assert_eq!(first.train(&json!({ "steps": 1 })), StageEvent::Done);
    let good = Checkpoint::open(&first.out()).unwrap();
    let place = Place::new();
    let facts = Facts { config: good.about().config.clone(), step: 1, ..Facts::default() };
    copied(&good, &place.path().join("in/init"), facts, |name, bytes| {
        if name == "model.norm.weight" {
            bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        }
    });
    let (end, figures) = place.train_until(&json!({ "steps": 100 }), u64::MAX, None);
    let StageEvent::Failed { message, help } = end else { panic!("it ended with {end:?}") };
    assert!(message.contains("no number again"), "{message}");
    assert!(help.unwrap().contains("a lower `lr`"));
    let told = |name: &str| figures.iter().filter(|(_, is, _)| is == name).count();
    assert_eq!((told("rolled_back"), told("loss")), (3, 0));
    assert!(told("skipped") >= 6, "{}", told("skipped"));
}
