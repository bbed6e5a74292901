//! Rounding at random: up as often as a number is near to the upper neighbour, so that the mean is the number. What is too
//! small to move a rounded number then still moves it in the mean.
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;

/// The seed of what is rounded: another for each step, weight, part of it and purpose.
pub(super) fn seed(words: [u64; 4]) -> u64 {
    // An odd factor loses nothing, and turning brings high bits where the next word comes in.
    words.into_iter().fold(0, |seed: u64, word| {
        (seed ^ word).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(27)
    })
}

/// From f32 to bf16.
pub(super) fn to_bf16<B: Ops>(x: Tensor<B, 1>, seed: u64) -> Tensor<B, 1> {
    let ([len], device) = (x.dims(), x.device());
    let nearest = |x: Tensor<B, 1>| x.cast(DType::BF16).cast(DType::F32);
    let near = nearest(x.clone());
    let off = x - near.clone();
    // Neighbours of bf16 are 1/256 to 1/128 apart, so 1.25/256 goes more than half of the way to the next and less than one
    // and a half, whatever the number.
    let towards = near.clone().abs().mul_scalar(1.25 / 256.0) * off.clone().sign();
    let next = nearest(near.clone() + towards);
    let gap = (next.clone() - near.clone()).abs();
    let goes = (B::noise(len, seed, &device) * gap).lower(off.abs());
    near.mask_where(goes, next).cast(DType::BF16)
}
