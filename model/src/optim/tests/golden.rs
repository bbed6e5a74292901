//! Three steps of each rule, as PyTorch makes them.
use super::*;
use crate::optim::{Clip, WeightDecay, global_norm};
use muse_kernels::newton_schulz;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::Path;

struct Golden {
    bytes: Vec<u8>,
    about: Value,
}

impl Golden {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.safetensors"));
        let bytes = fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let about = serde_json::from_str(&header.metadata().as_ref().unwrap()["golden"]).unwrap();
        Self { bytes, about }
    }

    fn tensor(&self, name: &str) -> (Vec<f32>, Vec<usize>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        let numbers = view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        (numbers.collect(), view.shape().to_vec())
    }

    fn flat(&self, name: &str) -> Tensor<B, 1> {
        tensor(&self.tensor(name).0)
    }

    #[track_caller]
    fn holds<const D: usize>(&self, name: &str, got: Tensor<B, D>, tolerance: f32) {
        let (right, _) = self.tensor(name);
        let got = floats(got);
        assert_eq!(got.len(), right.len(), "{name}");
        for (at, (got, right)) in got.iter().zip(&right).enumerate() {
            assert!((got - right).abs() <= tolerance, "{name}[{at}]: {got}, but it is {right}");
        }
    }

    /// Three steps on each of these parameters.
    fn three_steps(&self, rule: &str, names: &[&str], config: &OptimizerConfig, rate: f64) {
        let all = names.iter().map(|name| {
            let (_, shape) = self.tensor(&format!("{rule}.{name}.0"));
            let role = if shape.len() == 2 { Role::Matrix } else { Role::Norm };
            weight(name, shape, role)
        });
        let mut optimizer = Optimizer::<B>::new(config, all.collect(), &Default::default()).unwrap();
        let mut values: Vec<_> = names.iter().map(|name| self.flat(&format!("{rule}.{name}.0"))).collect();
        for step in 1..=3 {
            let grads = names.iter().map(|name| self.flat(&format!("{rule}.{name}.grad.{step}")));
            optimizer.begin(step, rate, tensor(&[1.0]), grads.collect());
            values = optimizer.update(values.clone());
            for (name, value) in names.iter().zip(&values) {
                self.holds(&format!("{rule}.{name}.{step}"), value.clone(), 2e-6);
            }
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    Some(value.as_f64().unwrap())
}

fn everywhere(decay: f64) -> WeightDecay {
    WeightDecay { matrices: Some(decay), head: Some(decay), embeddings: decay, norms: decay }
}

#[test]
fn adamw_is_that_of_pytorch() {
    let golden = Golden::read("optim");
    let about = &golden.about["adamw"];
    let config = OptimizerConfig {
        betas: Some([0, 1].map(|at| about["betas"][at].as_f64().unwrap())),
        epsilon: number(&about["eps"]),
        weight_decay: everywhere(about["weight_decay"].as_f64().unwrap()),
        ..config(OptimizerKind::Adamw, StateKind::F32)
    };
    golden.three_steps("adamw", &["matrix", "vector"], &config, about["lr"].as_f64().unwrap());
}

#[test]
fn sgd_is_that_of_pytorch() {
    let golden = Golden::read("optim");
    let about = &golden.about["sgd"];
    let config = OptimizerConfig {
        momentum: number(&about["momentum"]),
        ..config(OptimizerKind::Sgd, StateKind::F32)
    };
    golden.three_steps("sgd", &["matrix", "vector"], &config, about["lr"].as_f64().unwrap());
}

#[test]
fn muon_is_that_of_pytorch() {
    let golden = Golden::read("muon");
    let about = &golden.about["muon"];
    let config = OptimizerConfig {
        momentum: number(&about["momentum"]),
        weight_decay: everywhere(about["weight_decay"].as_f64().unwrap()),
        ..config(OptimizerKind::Muon, StateKind::F32)
    };
    golden.three_steps("muon", &["wide", "tall", "square"], &config, about["lr"].as_f64().unwrap());
    for name in ["wide", "tall", "square"] {
        let (matrix, shape) = golden.tensor(&format!("newton_schulz.{name}.in"));
        let matrix = tensor(&matrix).reshape([shape[0], shape[1]]);
        golden.holds(&format!("newton_schulz.{name}.out"), newton_schulz::<B>(matrix), 2e-5);
    }
}

#[test]
fn gradients_are_clipped_as_pytorch_clips_them() {
    let golden = Golden::read("optim");
    for case in ["over", "under"] {
        let names = ["matrix", "vector"];
        let grads = names.map(|name| golden.flat(&format!("clip.{case}.{name}.grad")));
        let most = golden.about["clip"][case].as_f64().unwrap();
        let (scale, told) = Clip::<B>::new(most, &Default::default()).of(tensor(&[2.0]), &grads);
        let (loss, norm) = told.loss_and_norm();
        assert_eq!((loss, global_norm::<B>(&grads, &Default::default()) as f32), (2.0, norm as f32));
        let right = f64::from(golden.tensor(&format!("clip.{case}.norm")).0[0]);
        assert!((norm / right - 1.0).abs() < 1e-6, "{case}: {norm}, but it is {right}");
        for (name, grad) in names.iter().zip(grads) {
            golden.holds(&format!("clip.{case}.{name}.clipped"), grad * scale.clone(), 2e-6);
        }
    }
    assert_eq!(global_norm::<B>(&[], &Default::default()), 0.0);
}
