//! Steps of AdamW, for many weights at once: most of a model's weights are small beside what a start costs.
use super::kernel::{Kernel, Source};
use super::many::{PART, THREADS, can_part, change};
use super::narrow;
use super::tensor::Numbers;
use crate::ops::AdamStep;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source =
    &[include_str!("source/numbers.cu"), include_str!("source/many.cu"), include_str!("source/adamw.cu")];

/// Whether [`adamw`] can make a step of these.
pub(crate) fn can_step(all: &[Tensor<Cuda, 1>; 4]) -> bool {
    let count = all[0].dims();
    can_part(count[0]) && all.iter().all(|x| x.dtype() == DType::F32 && x.dims() == count)
}

pub(crate) fn adamw(weights: Vec<[Tensor<Cuda, 1>; 4]>, step: &AdamStep<Cuda>) -> Vec<[Tensor<Cuda, 1>; 3]> {
    let kernel = Kernel::of("adamw", SOURCE, vec![narrow(DType::F32), ("PART", PART)], THREADS as u32, 0);
    let (first, second) = step.corrections();
    let floats = [
        step.beta1,
        step.beta2,
        1.0 - step.beta1,
        1.0 - step.beta2,
        1.0 / first,
        1.0 / second,
        step.epsilon,
        step.rate,
        1.0 - step.rate * step.decay,
    ];
    let changed = change(&kernel, weights, [true, false, true, true], &step.scale, &floats);
    changed.into_iter().map(|[w, _, m, s]| [w, m, s].map(Numbers::tensor)).collect()
}
