//! Numbers that are rounded to few values while they are used: as a model in use has them in codes.
use super::memory::to_fill;
use super::numbers::{Floats, made};
use super::share::{by_rows, each_part};
use super::vector::{largest_of, sum_of, wide};
use crate::ops::Rounding;
use crate::plain::{A_LITTLE_MORE, BLOCK, MOST};
use burn::backend::Flex;
use burn::prelude::*;
use half::f16;

/// Numbers whose sizes are added up in f32.
const PART: usize = 1 << 13;

pub(super) fn rounded(weight: Tensor<Flex, 2>, to: Rounding) -> Tensor<Flex, 2> {
    let (shape, dtype) = (weight.dims(), weight.dtype());
    let weight = Floats::of(weight);
    let (numbers, width) = (weight.get(), shape[1]);
    let mut out = to_fill(numbers.len());
    match to {
        Rounding::Ternary => to_three_values(numbers, &mut out),
        Rounding::Int8 => by_rows(&mut out, width, |first, out| {
            let rows = out.chunks_exact_mut(width).zip(numbers.chunks_exact(width).skip(first));
            rows.for_each(|(out, row)| in_blocks(row, out));
        }),
    }
    made(out, shape, dtype)
}

pub(super) fn rounded_rows(x: Tensor<Flex, 2>) -> Tensor<Flex, 2> {
    let (shape, dtype) = (x.dims(), x.dtype());
    let x = Floats::of(x);
    let (numbers, width) = (x.get(), shape[1]);
    let mut out = to_fill(numbers.len());
    by_rows(&mut out, width, |first, out| {
        let rows = out.chunks_exact_mut(width).zip(numbers.chunks_exact(width).skip(first));
        rows.for_each(|(out, row)| {
            let largest = largest_size(row);
            in_codes(row, A_LITTLE_MORE / largest, largest / MOST, out);
        });
    });
    made(out, shape, dtype)
}

/// The three values that numbers are rounded to.
pub(crate) fn to_three_values(numbers: &[f32], out: &mut [f32]) {
    let scale = mean_size(numbers);
    by_rows(out, 1, |first, out| ternary(&numbers[first..first + out.len()], scale, out));
}

/// The mean of the sizes of numbers: what those that are rounded to three values come to.
pub fn mean_size(numbers: &[f32]) -> f32 {
    let parts = each_part(numbers.len(), PART, |part| f64::from(sizes_of(&numbers[part])));
    (parts.into_iter().sum::<f64>() / numbers.len().max(1) as f64) as f32
}

wide! {
    fn sizes_of(x: &[f32]) -> f32 {
        sum_of(x, x, |x, _| x.abs())
    }
}

wide! {
    fn ternary(numbers: &[f32], scale: f32, out: &mut [f32]) {
        // What is no number is seen in all of them.
        let (half, nothing) = (0.5 * scale, 0.0 * scale);
        for (out, x) in out.iter_mut().zip(numbers) {
            *out = if x.abs() > half { scale.copysign(*x) } else { nothing };
        }
    }
}

/// Blocks of 8 bits, whose scales are in half precision.
fn in_blocks(row: &[f32], out: &mut [f32]) {
    for (row, out) in row.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let largest = largest_size(row);
        in_codes(row, MOST / largest, f16::from_f32(largest / MOST).to_f32(), out);
    }
}

wide! {
    fn largest_size(row: &[f32]) -> f32 {
        largest_of(row, f32::abs)
    }
}

wide! {
    /// Codes that are so many times the numbers, as what they stand for. Where all numbers are zero, nothing is divided by nothing.
    fn in_codes(row: &[f32], times: f32, scale: f32, out: &mut [f32]) {
        let times = if scale > 0.0 { times } else { 0.0 };
        for (out, x) in out.iter_mut().zip(row) {
            *out = (x * times).round() * scale;
        }
    }
}
