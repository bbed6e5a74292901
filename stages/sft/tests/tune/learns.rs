//! That it learns what the assistant says and nothing else, and what comes out.
use crate::chats::{params, place, put, what_was_asked, whole};
use crate::support::{Place, VOCABULARY, bytes, same};
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{Checkpoint, CheckpointWriter, Dtype, Facts, Tensor};
use muse_stage::StageEvent;
use muse_stage_sft::Sft;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn last(figures: &[(u64, String, f64)], name: &str) -> f64 {
    figures.iter().rev().find(|(_, is, _)| is == name).unwrap().2
}

/// The loss of a model on what people asked, without learning any of it.
fn loss_on_what_was_asked(model: &Path) -> f64 {
    let place = Place::of(&Sft, params);
    place.pack(&what_was_asked);
    put(&bytes(model), &place.path().join("in/init"));
    let (end, figures) = place.train_until(&json!({ "steps": 1, "lr": 1e-9 }), u64::MAX, None);
    assert_eq!(end, StageEvent::Done);
    last(&figures, "val_loss")
}

/// Trains for long; gives the place and the last loss.
fn learned(mut fields: Value) -> (Place, f64) {
    (fields["steps"], fields["batch_tokens"]) = (json!(300), json!(256));
    let place = place();
    let (end, figures) = place.train_until(&fields, u64::MAX, None);
    assert_eq!(end, StageEvent::Done);
    assert!(figures[0].2 > 1.5, "{fields}: begins at {}", figures[0].2);
    let loss = last(&figures, "loss");
    (place, loss)
}

#[test]
fn chats_are_learned_by_heart_but_not_what_people_ask() {
    let (place, loss) = learned(json!({ "lr": 0.02 }));
    assert!(loss < 0.01, "{loss}");
    // The person's next token is one of sixteen, and nothing was learned of it.
    let asked = loss_on_what_was_asked(&place.out());
    assert!(asked > f64::from(VOCABULARY - 1).ln(), "{asked}");
}

#[test]
fn factors_learn_what_their_matrices_would() {
    let frozen = json!([{ "weights": ["*embed*", "lm_head*", "*norm*"], "frozen": true }]);
    let (_, matrices) = learned(json!({ "lr": 0.01, "optimizer": { "groups": frozen } }));
    // Of full rank they can do all that the matrices can.
    let (_, whole) = learned(json!({ "lr": 0.01, "lora": { "rank": 16 } }));
    assert!((whole - matrices).abs() < 0.01, "{whole}, {matrices}");
    let (_, few) = learned(json!({ "lr": 0.01, "lora": { "rank": 2 } }));
    assert!(few > whole && few < 1.0, "{few}, {whole}");
}

#[test]
fn epochs_are_steps() {
    // 40 sequences, 4 a step.
    for (epochs, steps) in [(1.0, 10), (1.05, 11), (0.01, 1)] {
        let place = place();
        assert_eq!(place.train(&json!({ "epochs": epochs })), StageEvent::Done);
        assert_eq!(Checkpoint::open(&place.out()).unwrap().about().step, steps);
        assert!(!place.out().join("extend").exists());
    }
    // Said in steps it is the same training, but for what a longer one goes on from.
    let fields = |length: &str, value: Value| json!({ length: value, "schedule": { "kind": "cosine" } });
    same(&whole(&fields("epochs", json!(1))), &whole(&fields("steps", json!(10))));
}

#[test]
fn neither_threads_nor_ways_of_saving_memory_show() {
    for lora in [Value::Null, json!({ "rank": 3 })] {
        let right = whole(&json!({ "lora": lora }));
        let place = Place { threads: 1, ..place() };
        assert_eq!(
            place.train(&json!({ "lora": lora, "recompute": "block", "offload": true })),
            StageEvent::Done
        );
        same(&bytes(&place.out()), &right);
    }
}

#[test]
fn the_result_has_factors_merged_and_by_themselves() {
    let place = place();
    let fields = json!({ "lora": { "rank": 3, "alpha": 12, "targets": ["q_proj", "down_proj"] } });
    assert_eq!(place.train(&fields), StageEvent::Done);
    let (before, after) =
        (Checkpoint::open(&place.path().join("in/init")).unwrap(), Checkpoint::open(&place.out()).unwrap());
    assert_eq!(after.about().config, before.about().config);
    let adapter = fs::read(place.out().join("adapter/adapter_model.safetensors")).unwrap();
    let adapter = SafeTensors::deserialize(&adapter).unwrap();
    assert_eq!(adapter.len(), 2 * 2 * 2);
    let factor = |module: &str, name: &str| -> (Vec<usize>, Vec<f32>) {
        let found = adapter.tensor(&format!("base_model.model.{module}.{name}.weight")).unwrap();
        let numbers = found.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (found.shape().to_vec(), numbers)
    };
    for tensor in before.model().iter() {
        let [old, new] = [&before, &after].map(|one| one.model().read_f32(&tensor.name).unwrap());
        let module = tensor.name.strip_suffix(".weight").unwrap();
        if !(module.ends_with("q_proj") || module.ends_with("down_proj")) {
            assert!(old == new, "{module} changed");
            continue;
        }
        let ((shape_a, a), (shape_b, b)) = (factor(module, "lora_A"), factor(module, "lora_B"));
        let (rank, input) = (shape_a[0], shape_a[1]);
        assert_eq!((rank, shape_b[1]), (3, 3));
        assert!(old != new, "{module} did not change");
        for (place, (old, new)) in old.iter().zip(&new).enumerate() {
            let (row, column) = (place / input, place % input);
            let added: f32 = (0..rank).map(|i| b[row * rank + i] * a[i * input + column]).sum();
            assert!((old + 4.0 * added - new).abs() < 1e-5, "{module}: {old} {new}");
        }
    }
    let config = fs::read(place.out().join("adapter/adapter_config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(3), &json!(12.0)));
    assert_eq!(config["target_modules"], json!(["q_proj", "down_proj"]));
    assert!(!whole(&json!({})).keys().any(|name| name.starts_with("adapter")), "there are no factors");
}

#[test]
fn it_begins_with_weights_of_any_floats() {
    let place = place();
    let init = place.path().join("in/init");
    let base = Checkpoint::open(&init).unwrap();
    let loss = |dtype: Dtype| {
        let next = crate::chats::place();
        let to = next.path().join("in/init");
        fs::remove_dir_all(&to).unwrap();
        let tensors: Vec<Tensor> =
            base.model().iter().map(|one| Tensor::new(&one.name, dtype, one.shape.clone())).collect();
        let narrow = |tensor: &Tensor| {
            let numbers = base.model().read_f32(&tensor.name)?;
            let bytes = numbers.iter().flat_map(|x| match dtype {
                Dtype::BF16 => half::bf16::from_f32(*x).to_le_bytes().to_vec(),
                Dtype::F16 => half::f16::from_f32(*x).to_le_bytes().to_vec(),
                _ => x.to_le_bytes().to_vec(),
            });
            Ok::<Vec<u8>, ArtifactError>(bytes.collect())
        };
        let mut writer = CheckpointWriter::create(&to).unwrap();
        writer.model(&tensors, narrow).unwrap();
        let about = base.about();
        let facts =
            Facts { config: about.config.clone(), tokenizer: about.tokenizer.clone(), ..Facts::default() };
        writer.finish(facts).unwrap();
        let (end, figures) = next.train_until(&json!({ "steps": 1 }), u64::MAX, None);
        assert_eq!(end, StageEvent::Done);
        figures[0].2
    };
    let right = loss(Dtype::F32);
    for (dtype, off) in [(Dtype::F16, 2e-3), (Dtype::BF16, 2e-2)] {
        let got = loss(dtype);
        assert!(got != right && (got - right).abs() < off, "{dtype}: {got} and {right}");
    }
}
