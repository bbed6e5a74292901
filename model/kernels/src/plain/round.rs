//! Numbers that are rounded to few values while they are used.
use super::{narrow, wide};
use crate::ops::{Ops, Rounding};
use burn::prelude::*;
use burn::tensor::DType;

/// Codes of 8 bits of a row that share a scale.
pub(crate) const BLOCK: usize = 32;
/// The largest code of 8 bits.
pub(crate) const MOST: f32 = 127.0;
/// What codes of rows are made by in its place. Numbers that weights of three values give are whole ones times a scale, and so are often
/// half-way between two codes: these come to the larger one, however their sums were rounded.
pub(crate) const A_LITTLE_MORE: f32 = MOST * (1.0 + 1.0 / 131_072.0);

pub(crate) fn rounded<B: Ops>(weight: Tensor<B, 2>, to: Rounding) -> Tensor<B, 2> {
    let dtype = weight.dtype();
    let weight = wide(weight);
    narrow(
        match to {
            Rounding::Ternary => ternary(weight),
            Rounding::Int8 => int8(weight),
        },
        dtype,
    )
}

/// The mean size, with the sign of each number that is larger than half of it, and zero for the others.
fn ternary<B: Ops>(weight: Tensor<B, 2>) -> Tensor<B, 2> {
    let (sizes, count) = (weight.clone().abs(), weight.shape().num_elements());
    // The sum of sizes by an operation that adds up in the same order every time.
    let sum = B::sum_squares(sizes.clone().sqrt().reshape([count]));
    let scale: Tensor<B, 2> = sum.div_scalar(count as f64).unsqueeze();
    let counts = sizes.greater(scale.clone().mul_scalar(0.5).expand(weight.shape()));
    weight.sign() * scale * counts.float()
}

fn int8<B: Backend>(weight: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, width] = weight.dims();
    let blocks = width.div_ceil(BLOCK);
    let missing = blocks * BLOCK - width;
    let whole = if missing == 0 {
        weight
    } else {
        let nothing = Tensor::zeros([rows, missing], (&weight.device(), DType::F32));
        Tensor::cat(vec![weight, nothing], 1)
    };
    let (codes, scales) = coded(whole.reshape([rows * blocks, BLOCK]), MOST);
    let scales = scales.cast(DType::F16).cast(DType::F32);
    (codes * scales).reshape([rows, blocks * BLOCK]).narrow(1, 0, width)
}

/// Whole numbers up to 127 for each number of a row, and what they count.
fn coded<B: Backend>(rows: Tensor<B, 2>, most: f32) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let largest = rows.clone().abs().max_dim(1);
    // Where all are zero, nothing is divided by nothing.
    let times = largest.clone().clamp_min(1e-30).recip().mul_scalar(most);
    ((rows * times).round(), largest.div_scalar(MOST))
}

pub(crate) fn rounded_rows<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = x.dtype();
    let (codes, scales) = coded(wide(x), A_LITTLE_MORE);
    narrow(codes * scales, dtype)
}
