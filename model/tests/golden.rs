//! The model against Hugging Face's: logits, loss and every gradient of the golden files, with and without tapes kept.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Model, Rope, RopeScaling, ScalingKind};
use muse_model::kernels::Objective;
use muse_model::net::{Batch, Net, Setting, Weight};
use muse_model::pass::{Recompute, pass};
use safetensors::SafeTensors;
use serde_json::Value;

type B = Flex;

/// A golden file: a model of Hugging Face's, what went in and what came out.
struct Golden {
    name: &'static str,
    bytes: Vec<u8>,
    config: Value,
}

impl Golden {
    fn read(name: &'static str) -> Self {
        let path = format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let golden: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["golden"]).unwrap();
        Self { name, bytes, config: golden["config"].clone() }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let all = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = all.tensor(name).unwrap_or_else(|_| panic!("{} has no {name}", self.name)).data().to_vec();
        data.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
    }

    /// Whole numbers and the length of a row.
    fn ints(&self, name: &str) -> Option<(Vec<i32>, usize)> {
        let all = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = all.tensor(name).ok()?;
        let numbers = view.data().chunks_exact(8).map(|x| i64::from_le_bytes(x.try_into().unwrap()) as i32);
        Some((numbers.collect(), view.shape()[1]))
    }

    fn model(&self) -> Model {
        let config = &self.config;
        let size = |name: &str| config[name].as_u64().unwrap() as usize;
        let mut model = Model::new(
            size("num_hidden_layers"),
            size("hidden_size"),
            size("num_attention_heads"),
            size("intermediate_size"),
        );
        model.vocab_size = Some(size("vocab_size"));
        model.kv_heads = Some(size("num_key_value_heads"));
        model.head_width = Some(size("head_dim"));
        model.norm_eps = config["rms_norm_eps"].as_f64().unwrap();
        model.tied = config["tie_word_embeddings"].as_bool().unwrap();
        model.qk_norm = config["model_type"] == "qwen3";
        model.window = config["sliding_window"].as_u64().map(|window| window as usize);
        let scaling = &config["rope_scaling"];
        let kind = match scaling["rope_type"].as_str() {
            None | Some("default") => ScalingKind::None,
            Some("linear") => ScalingKind::Linear,
            Some("yarn") => ScalingKind::Yarn,
            Some("llama3") => ScalingKind::Llama3,
            Some(other) => panic!("{other}"),
        };
        let usual = RopeScaling::default();
        let number = |name: &str, usual: f64| scaling[name].as_f64().unwrap_or(usual);
        model.rope = Rope {
            theta: config["rope_theta"].as_f64().unwrap(),
            scaling: RopeScaling {
                kind,
                factor: number("factor", usual.factor),
                original_context: scaling["original_max_position_embeddings"].as_u64().map(|n| n as usize),
                beta_fast: number("beta_fast", number("high_freq_factor", usual.beta_fast)),
                beta_slow: number("beta_slow", number("low_freq_factor", usual.beta_slow)),
                ..usual
            },
        };
        assert_eq!(model.check(), [], "{}", self.name);
        model
    }

    fn batch(&self, model: &Model) -> (Batch<B>, usize) {
        let device = Default::default();
        let ((ids, tokens), (labels, _)) = (self.ints("input_ids").unwrap(), self.ints("labels").unwrap());
        let positions = match self.ints("position_ids") {
            Some((positions, _)) => positions,
            None => (0..tokens as i32).cycle().take(ids.len()).collect(),
        };
        let window = model.window.unwrap_or(tokens) as i64;
        let start = |(row, position): (usize, &i32)| {
            (row % tokens) as i32 - i64::from(*position).min(window - 1) as i32
        };
        let starts: Vec<i32> = positions.iter().enumerate().map(start).collect();
        (Batch::new(tokens, [&ids, &labels, &positions, &starts], &device), tokens)
    }
}

#[track_caller]
fn near(what: &str, got: &[f32], right: &[f32], tolerance: f32) {
    assert_eq!(got.len(), right.len(), "{what}: how many");
    let worst = got.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let size = right.iter().fold(1e-2_f32, |most, x| most.max(x.abs()));
    assert!(worst <= tolerance * size, "{what}: off by {worst}, of {size}");
}

fn numbers<const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().to_vec().unwrap()
}

fn check(name: &'static str) {
    let golden = Golden::read(name);
    let model = golden.model();
    let (batch, tokens) = golden.batch(&model);
    let shape = model.shape(0, tokens);
    let device = Default::default();
    let weights = Weight::all(&shape);
    let net = Net::<B>::new(&model, &shape, 0, &device).changed(|at, old| {
        let new = golden.floats(&weights[at].name);
        assert_eq!(old.dims(), [new.len()], "{name}: {}", weights[at].name);
        Tensor::from_data(TensorData::new(new, old.dims()), &device)
    });
    let setting = Setting::new(&model, tokens, DType::F32, &device);
    near(&format!("{name}: logits"), &numbers(net.logits(&batch, &setting)), &golden.floats("logits"), 1e-4);

    let labelled = golden.ints("labels").unwrap().0.iter().filter(|label| **label >= 0).count();
    let share = 1.0 / labelled as f64;
    let right = golden.floats("loss");
    let loss = net.loss(&batch, &setting, &Objective::PLAIN, share);
    near(&format!("{name}: loss"), &numbers(loss.loss), &right, 1e-5);
    for recompute in [Recompute::Nothing, Recompute::Block, Recompute::BlockOffloaded] {
        let passed = pass(&net, &batch, &setting, &Objective::PLAIN, share, recompute, Onto::nothing());
        near(&format!("{name} {recompute:?}: loss"), &numbers(passed.loss), &right, 1e-5);
        assert_eq!(passed.grads.len(), weights.len());
        for (weight, grad) in weights.iter().zip(passed.grads) {
            let right = golden.floats(&format!("grad.{}", weight.name));
            near(&format!("{name} {recompute:?}: {}", weight.name), &numbers(grad), &right, 1e-4);
        }
    }
}

#[test]
fn llama() {
    check("llama");
    check("llama_tied");
}

#[test]
fn qwen3() {
    check("qwen3");
    check("qwen3_tied");
}

#[test]
fn longer_contexts() {
    ["llama_yarn", "qwen3_yarn", "llama_linear", "llama_ntk", "llama_llama3"].into_iter().for_each(check);
}

#[test]
fn documents_side_by_side_and_a_sliding_window() {
    check("packed");
    check("window");
}
