//! What optimizers and dropout do to whole tensors.
use super::numbers::{Floats, made};
use super::rows::squares;
use super::share::by_rows;
use super::vector::widely;
use crate::ops::AdamStep;
use crate::plain::{at, threshold, words};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

/// Numbers in a part of a tensor that has no rows.
const PART: usize = 1 << 13;

pub(super) fn noise(len: usize, seed: u64) -> Tensor<Flex, 1> {
    let words = words(seed);
    let mut out = vec![0.0; len];
    by_rows(&mut out, 1, |first, out| {
        widely(|| {
            for (place, out) in out.iter_mut().enumerate() {
                *out = at((first + place) as u32, words) as f32 * (1.0 / (1 << 24) as f32);
            }
        });
    });
    made(out, [len], DType::F32)
}

pub(super) fn dropout(x: Tensor<Flex, 2>, rate: f64, seed: u64) -> Tensor<Flex, 2> {
    if rate <= 0.0 {
        return x;
    }
    let ([rows, width], dtype) = (x.dims(), x.dtype());
    let (words, threshold, more) = (words(seed), threshold(rate), (1.0 / (1.0 - rate)) as f32);
    let mut out = Floats::of(x).take();
    by_rows(&mut out, 1, |first, out| {
        widely(|| {
            for (place, out) in out.iter_mut().enumerate() {
                let kept = at((first + place) as u32, words) >= threshold;
                *out *= if kept { more } else { 0.0 };
            }
        });
    });
    made(out, [rows, width], dtype)
}

pub(super) fn sum_squares(x: Tensor<Flex, 1>) -> Tensor<Flex, 1> {
    made(vec![squares(Floats::of(x).get()) as f32], [1], DType::F32)
}

pub(super) fn adamw(
    weight: Tensor<Flex, 1>,
    grad: Tensor<Flex, 1>,
    (mean, square): (Tensor<Flex, 1>, Tensor<Flex, 1>),
    step: &AdamStep,
) -> (Tensor<Flex, 1>, (Tensor<Flex, 1>, Tensor<Flex, 1>)) {
    let [len] = weight.dims();
    let grad = Floats::of(grad);
    let [mut weight, mut mean, mut square] = [weight, mean, square].map(|x| Floats::of(x).take());
    let (first, second) = step.corrections();
    let (beta1, beta2, scale) = (step.beta1 as f32, step.beta2 as f32, step.scale as f32);
    let (one1, one2) = ((1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32);
    let keep = (1.0 - step.rate * step.decay) as f32;
    let (rate, second, epsilon) = ((step.rate / first) as f32, second as f32, step.epsilon as f32);
    let parts = weight.par_chunks_mut(PART).zip(mean.par_chunks_mut(PART)).zip(square.par_chunks_mut(PART));
    parts.zip(grad.get().par_chunks(PART)).for_each(|(((weight, mean), square), grad)| {
        widely(|| {
            let means = mean.iter_mut().zip(square);
            for ((weight, (mean, square)), grad) in weight.iter_mut().zip(means).zip(grad) {
                let grad = grad * scale;
                *mean = *mean * beta1 + grad * one1;
                *square = *square * beta2 + grad * grad * one2;
                *weight = *weight * keep - rate * *mean / ((*square / second).sqrt() + epsilon);
            }
        });
    });
    let [weight, mean, square] = [weight, mean, square].map(|x| made(x, [len], DType::F32));
    (weight, (mean, square))
}
