//! Weights that go some way each, many at once.
use super::kernel::{Kernel, Source};
use super::many::{PART, SIDE, THREADS, can_part, start_parts};
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::Move;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source =
    &[include_str!("source/numbers.cu"), include_str!("source/many.cu"), include_str!("source/moved.cu")];

/// Whether [`moved`] can be done to these: the ways are of one type.
pub(crate) fn can_move(weights: &[[Tensor<Cuda, 1>; 2]]) -> bool {
    let Some([_, first]) = weights.first() else { return true };
    let fits = |[weight, way]: &[Tensor<Cuda, 1>; 2]| {
        let wide = weight.dtype() == DType::F32 && way.dtype() == first.dtype();
        wide && weight.dims() == way.dims() && can_part(weight.dims()[0])
    };
    each(first.dtype()).is_some() && weights.iter().all(fits)
}

/// Weights are written over where they lie, or where their copies do if somebody else holds them.
pub(crate) fn moved(weights: Vec<[Tensor<Cuda, 1>; 2]>, by: &Move<Cuda>) -> Vec<Tensor<Cuda, 1>> {
    let Some(dtype) = weights.first().map(|[_, way]| way.dtype()) else { return Vec::new() };
    let scale = Numbers::of(by.scale.clone());
    let kernel = Kernel::of("moved", SOURCE, vec![narrow(dtype), ("PART", PART)], THREADS as u32, 0);
    let floats = [1.0 - by.rate * by.decay, by.rate];
    let own = |[weight, way]: [Numbers; 2]| [weight.own(), way];
    let mut weights = weights.into_iter().map(|one| own(one.map(Numbers::of)));
    let mut changed = Vec::new();
    loop {
        let some: Vec<_> = weights.by_ref().take(SIDE).collect();
        if some.is_empty() {
            return changed;
        }
        start_parts(&kernel, &some, &scale, floats.into_iter());
        changed.extend(some.into_iter().map(|[weight, _]| weight.tensor()));
    }
}
