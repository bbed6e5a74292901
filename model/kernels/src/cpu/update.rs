//! What optimizers and dropout do to whole tensors.
use super::memory::to_fill;
use super::numbers::{Floats, Own, made};
use super::rows::squares;
use super::share::{by_parts, by_rows};
use super::vector::wide;
use crate::ops::{AdamStep, Dropout};
use crate::plain::{at, threshold, words};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

/// Numbers in a part of a tensor that has no rows.
const PART: usize = 1 << 13;

pub(super) fn noise(len: usize, seed: u64) -> Tensor<Flex, 1> {
    let words = words(seed);
    let mut out = to_fill(len);
    by_rows(&mut out, 1, |first, out| noise_from(first, words, out));
    made(out, [len], DType::F32)
}

wide! {
    fn noise_from(first: usize, words: (u32, u32), out: &mut [f32]) {
        for (place, out) in out.iter_mut().enumerate() {
            *out = at((first + place) as u32, words) as f32 * (1.0 / (1 << 24) as f32);
        }
    }
}

pub(super) fn dropout(x: Tensor<Flex, 2>, dropped: Dropout) -> Tensor<Flex, 2> {
    if !dropped.any() {
        return x;
    }
    let (dtype, drop) = (x.dtype(), Drop::of(dropped));
    let mut out = Own::of(x);
    by_rows(out.get(), 1, |first, out| drop.from(first, out));
    out.tensor(dtype)
}

/// What drops numbers by their places.
#[derive(Clone, Copy)]
pub(super) struct Drop {
    words: (u32, u32),
    limit: (u32, f32),
}

impl Drop {
    pub(super) fn of(dropped: Dropout) -> Self {
        Self { words: words(dropped.seed), limit: (threshold(dropped.rate), dropped.scale() as f32) }
    }

    /// Drops of a run of numbers that begins at a place.
    pub(super) fn from(&self, first: usize, numbers: &mut [f32]) {
        drop_from(first, self.words, self.limit, numbers);
    }
}

wide! {
    /// Numbers below the threshold are dropped, and the others made larger.
    fn drop_from(first: usize, words: (u32, u32), limit: (u32, f32), out: &mut [f32]) {
        for (place, out) in out.iter_mut().enumerate() {
            let kept = at((first + place) as u32, words) >= limit.0;
            *out *= if kept { limit.1 } else { 0.0 };
        }
    }
}

pub(super) fn sum_squares(x: Tensor<Flex, 1>) -> Tensor<Flex, 1> {
    made(vec![squares(Floats::of(x).get()) as f32], [1], DType::F32)
}

pub(super) fn adamw(weights: Vec<[Tensor<Flex, 1>; 4]>, step: &AdamStep<Flex>) -> Vec<[Tensor<Flex, 1>; 3]> {
    let moves = Moves::of(step);
    weights.into_iter().map(|one| adamw_of(one, &moves)).collect()
}

fn adamw_of([weight, grad, mean, square]: [Tensor<Flex, 1>; 4], moves: &Moves) -> [Tensor<Flex, 1>; 3] {
    if moves.scale.is_nan() {
        return [weight, mean, square];
    }
    let grad = Floats::of(grad);
    let [mut weight, mut mean, mut square] = [weight, mean, square].map(Own::of);
    let slices = [weight.get(), mean.get(), square.get()];
    by_parts(slices, [PART; 3], |at, [weight, mean, square]| {
        adamw_part(weight, mean, square, &grad.get()[at * PART..], moves);
    });
    [weight, mean, square].map(|x| x.tensor(DType::F32))
}

/// The numbers of a step of AdamW, as the loop takes them.
struct Moves {
    scale: f32,
    betas: [f32; 2],
    rests: [f32; 2],
    keep: f32,
    rate: f32,
    second: f32,
    epsilon: f32,
}

impl Moves {
    fn of(step: &AdamStep<Flex>) -> Self {
        let (first, second) = step.corrections();
        Self {
            scale: step.scale.clone().into_scalar(),
            betas: [step.beta1 as f32, step.beta2 as f32],
            rests: [(1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32],
            keep: (1.0 - step.rate * step.decay) as f32,
            rate: (step.rate / first) as f32,
            second: second as f32,
            epsilon: step.epsilon as f32,
        }
    }
}

wide! {
    fn adamw_part(weight: &mut [f32], mean: &mut [f32], square: &mut [f32], grad: &[f32], by: &Moves) {
        let means = mean.iter_mut().zip(square);
        for ((weight, (mean, square)), grad) in weight.iter_mut().zip(means).zip(grad) {
            let grad = grad * by.scale;
            *mean = *mean * by.betas[0] + grad * by.rests[0];
            *square = *square * by.betas[1] + grad * grad * by.rests[1];
            *weight = *weight * by.keep - by.rate * *mean / ((*square / by.second).sqrt() + by.epsilon);
        }
    }
}
