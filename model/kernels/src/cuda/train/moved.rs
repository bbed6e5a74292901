//! Weights that go some way each, many at once.
use super::kernel::{Kernel, Source};
use super::many::{PART, THREADS, can_part, change};
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

pub(crate) fn moved(weights: Vec<[Tensor<Cuda, 1>; 2]>, by: &Move<Cuda>) -> Vec<Tensor<Cuda, 1>> {
    let Some(dtype) = weights.first().map(|[_, way]| way.dtype()) else { return Vec::new() };
    let kernel = Kernel::of("moved", SOURCE, vec![narrow(dtype), ("PART", PART)], THREADS as u32, 0);
    let floats = [1.0 - by.rate * by.decay, by.rate];
    let changed = change(&kernel, weights, [true, false], &by.scale, &floats);
    changed.into_iter().map(|[weight, _]| weight.tensor()).collect()
}
