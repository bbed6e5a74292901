//! Steps of AdamW, for many weights at once: most of a model's weights are small beside what a start costs.
use super::kernel::{Kernel, Source, Words};
use super::many::{SIDE, filled, side};
use super::narrow;
use super::tensor::Numbers;
use crate::ops::AdamStep;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cubecl::server::Binding;

const SOURCE: Source =
    &[include_str!("source/numbers.cu"), include_str!("source/many.cu"), include_str!("source/adamw.cu")];
const THREADS: usize = 256;
/// Numbers of a weight that are a block's.
const PART: usize = 16 * THREADS;

/// Whether [`adamw`] can make a step of these.
pub(crate) fn can_step(all: &[Tensor<Cuda, 1>; 4]) -> bool {
    let count = all[0].dims();
    count[0] < PART << 31 && all.iter().all(|x| x.dtype() == DType::F32 && x.dims() == count)
}

/// All is written over where it lies, or where its copy does if somebody else holds it.
pub(crate) fn adamw(weights: Vec<[Tensor<Cuda, 1>; 4]>, step: &AdamStep<Cuda>) -> Vec<[Tensor<Cuda, 1>; 3]> {
    let scale = Numbers::of(step.scale.clone());
    let kernel = Kernel::of("adamw", SOURCE, vec![narrow(DType::F32), ("PART", PART)], THREADS as u32, 0);
    let (first, second) = step.corrections();
    let floats = [step.beta1, step.beta2, 1.0 - step.beta1, 1.0 - step.beta2].into_iter().chain([
        1.0 / first,
        1.0 / second,
        step.epsilon,
        step.rate,
        1.0 - step.rate * step.decay,
    ]);
    let (mut weights, mut changed) = (weights.into_iter(), Vec::new());
    loop {
        let some: Vec<_> = weights.by_ref().take(SIDE).map(|one| one.map(Numbers::of)).collect();
        let some: Vec<_> = some.into_iter().map(|[w, g, m, s]| [w.own(), g, m.own(), s.own()]).collect();
        if some.is_empty() {
            return changed;
        }
        let counts: Vec<usize> = some.iter().map(|[weight, ..]| weight.len()).collect();
        let blocks: Vec<usize> = counts.iter().map(|count| count.div_ceil(PART)).collect();
        let of_each = (0..4).flat_map(|which| filled(&some).map(move |one| one[which].at()));
        let buffers: Vec<Binding> = of_each.chain([scale.at()]).collect();
        let words = floats.clone().fold(side(&counts, &blocks), Words::float);
        let blocks = blocks.iter().sum();
        if blocks > 0 {
            kernel.start(scale.client(), [blocks, 1, 1], buffers, words);
        }
        changed.extend(some.into_iter().map(|[w, _, m, s]| [w, m, s].map(Numbers::tensor)));
    }
}
