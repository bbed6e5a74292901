//! The optimizers, against PyTorch's numbers and against what they promise.
mod adamw;
mod clip;
mod config;
mod golden;
mod muon;
mod resume;
mod rounding;
mod states;

use super::{Optimizer, OptimizerConfig, OptimizerKind, StateKind};
use crate::net::{Role, Weight};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;

type B = Flex;

/// Numbers around nothing that look random, the same every time.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let uniform = |seed| floats(B::noise(len, seed, &Default::default()));
    let pairs = uniform(2 * seed).into_iter().zip(uniform(2 * seed + 1));
    pairs.map(|(a, b)| (a + b - 1.0) * 2.4).collect()
}

fn tensor(numbers: &[f32]) -> Tensor<B, 1> {
    Tensor::from_floats(numbers, &Default::default())
}

fn floats<const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

fn weight(name: &str, shape: impl Into<Vec<usize>>, role: Role) -> Weight {
    Weight { name: name.to_owned(), shape: shape.into(), role }
}

/// One of each role, matrices of both kinds.
fn weights() -> Vec<Weight> {
    vec![
        weight("embed", [50, 24], Role::Embedding),
        weight("layers.0.norm", [24], Role::Norm),
        weight("layers.0.wide", [24, 40], Role::Matrix),
        weight("layers.1.tall", [40, 24], Role::Matrix),
        weight("head", [50, 24], Role::Head),
    ]
}

fn config(kind: OptimizerKind, state: StateKind) -> OptimizerConfig {
    OptimizerConfig { kind, state, ..Default::default() }
}

const KINDS: [OptimizerKind; 4] =
    [OptimizerKind::Adamw, OptimizerKind::Muon, OptimizerKind::Muonclip, OptimizerKind::Sgd];
const STATES: [StateKind; 3] = [StateKind::F32, StateKind::Bf16, StateKind::Int8];

/// Weights and their optimizer, with gradients that pull each weight to a place of its own.
struct Training {
    optimizer: Optimizer<B>,
    values: Vec<Tensor<B, 1>>,
}

impl Training {
    fn new(config: &OptimizerConfig, dtype: DType) -> Self {
        // Pieces of 512, so that embedding and head have three.
        Self::of(config, dtype, weights(), [512, 1])
    }

    fn of(
        config: &OptimizerConfig,
        dtype: DType,
        weights: Vec<Weight>,
        [piece, together]: [usize; 2],
    ) -> Self {
        let start = |(at, weight): (usize, &Weight)| tensor(&numbers(weight.len(), at as u64)).cast(dtype);
        let values = weights.iter().enumerate().map(start).collect();
        let optimizer = Optimizer::in_parts(config, weights, &Default::default(), piece, together);
        Self { optimizer: optimizer.unwrap(), values }
    }

    fn step(&mut self, step: u64, rate: f64) {
        let grad = |(at, value): (usize, &Tensor<B, 1>)| {
            let shake = tensor(&numbers(value.dims()[0], 1000 * step + at as u64));
            value.clone().cast(DType::F32) + shake
        };
        self.optimizer.begin(step, rate, tensor(&[0.5]), self.values.iter().enumerate().map(grad).collect());
        self.values = self.optimizer.update(self.values.clone());
    }

    fn bits(&self) -> Vec<Vec<u8>> {
        self.values.iter().map(|value| value.to_data().as_bytes().to_vec()).collect()
    }

    fn state_bits(&self) -> Vec<Vec<u8>> {
        let layout = self.optimizer.layout();
        layout.iter().map(|tensor| self.optimizer.state(tensor).as_bytes().to_vec()).collect()
    }
}
