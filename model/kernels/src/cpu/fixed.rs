//! Weights that stay as they are, in as few bytes as wished, and products with them: what a token costs while a model is used is
//! reading them.
use super::codes::{BLOCK, Coded, coded, dots, half_precision, scale};
use super::memory::{give_back, to_fill};
use super::numbers::{Floats, made};
use super::product::{Matrix, multiply};
use super::share::{by_parts, by_rows};
use super::vector::{sum_of, wide};
use crate::decode::Kept;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use half::bf16;

/// Up to so many rows are multiplied number by number, as the weight is read; more of them by `gemm`, for which the weight is
/// widened.
const FEW: usize = 8;

/// A matrix `[out, in]`, rows one behind the other.
pub struct Fixed {
    numbers: Numbers,
    rows: usize,
    width: usize,
}

enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    Int8 { codes: Vec<i8>, scales: Vec<u16> },
}

impl Fixed {
    pub(super) fn new(weight: Tensor<Flex, 2>, kept: Kept) -> Self {
        let [rows, width] = weight.dims();
        let weight = Floats::of(weight);
        let numbers = match kept {
            Kept::F32 => Numbers::F32(weight.get().to_vec()),
            Kept::Bf16 => Numbers::Bf16(weight.get().iter().map(|x| bf16::from_f32(*x).to_bits()).collect()),
            Kept::Int8 => {
                let blocks = weight.get().chunks(width.max(1)).flat_map(|row| row.chunks(BLOCK));
                let (mut codes, mut scales) = (Vec::with_capacity(rows * width), Vec::new());
                blocks.for_each(|block| scales.push(half_precision(coded(block, &mut codes))));
                Numbers::Int8 { codes, scales }
            }
        };
        Self { numbers, rows, width }
    }

    /// Blocks of a row that share a scale.
    fn blocks(&self) -> usize {
        self.width.div_ceil(BLOCK)
    }

    /// Rows from `first` on, in f32.
    fn widen(&self, first: usize, out: &mut [f32]) {
        let begin = first * self.width;
        match &self.numbers {
            Numbers::F32(all) => out.copy_from_slice(&all[begin..begin + out.len()]),
            Numbers::Bf16(all) => widen_bf16(&all[begin..begin + out.len()], out),
            Numbers::Int8 { codes, scales } => {
                widen_int8(
                    &codes[begin..begin + out.len()],
                    &scales[first * self.blocks()..],
                    self.width,
                    out,
                );
            }
        }
    }

    /// Each row from `first` on times each row of `x`: all products of a row stand side by side.
    fn dots(&self, first: usize, x: &Few<'_>, out: &mut [f32]) {
        let Few { numbers: x, coded } = x;
        let rows = out.len() / (x.len() / self.width);
        let (begin, end) = (first * self.width, (first + rows) * self.width);
        match &self.numbers {
            Numbers::F32(all) => dots_f32(&all[begin..end], x, self.width, out),
            Numbers::Bf16(all) => dots_bf16(&all[begin..end], x, self.width, out),
            Numbers::Int8 { codes, scales } => {
                dots(&codes[begin..end], &scales[first * self.blocks()..], coded, self.width, out);
            }
        }
    }

    /// Whether its rows are times codes, and not numbers.
    fn wants_codes(&self) -> bool {
        matches!(self.numbers, Numbers::Int8 { .. })
    }
}

/// A few rows that are multiplied: as numbers, and in codes where the weight is.
struct Few<'a> {
    numbers: &'a [f32],
    coded: Coded,
}

#[inline(always)]
fn wide_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

wide! {
    fn widen_bf16(from: &[u16], out: &mut [f32]) {
        out.iter_mut().zip(from).for_each(|(out, bits)| *out = wide_bf16(*bits));
    }
}

wide! {
    fn widen_int8(codes: &[i8], scales: &[u16], width: usize, out: &mut [f32]) {
        let blocks = width.div_ceil(BLOCK);
        let rows = codes.chunks_exact(width).zip(scales.chunks_exact(blocks)).zip(out.chunks_exact_mut(width));
        for ((codes, scales), out) in rows {
            for ((codes, bits), out) in codes.chunks(BLOCK).zip(scales).zip(out.chunks_mut(BLOCK)) {
                let scale = scale(*bits);
                out.iter_mut().zip(codes).for_each(|(out, code)| *out = f32::from(*code) * scale);
            }
        }
    }
}

wide! {
    fn dots_f32(weights: &[f32], x: &[f32], width: usize, out: &mut [f32]) {
        let count = x.len() / width;
        for (weights, out) in weights.chunks_exact(width).zip(out.chunks_exact_mut(count)) {
            for (x, out) in x.chunks_exact(width).zip(out) {
                *out = sum_of(weights, x, |weight, x| weight * x);
            }
        }
    }
}

wide! {
    fn dots_bf16(weights: &[u16], x: &[f32], width: usize, out: &mut [f32]) {
        let count = x.len() / width;
        for (weights, out) in weights.chunks_exact(width).zip(out.chunks_exact_mut(count)) {
            for (x, out) in x.chunks_exact(width).zip(out) {
                *out = sum_of(weights, x, |weight, x| wide_bf16(weight) * x);
            }
        }
    }
}

/// Rows of a weight that are one part of a product's work: enough numbers to be worth a thread's while.
fn rows_of_part(width: usize) -> usize {
    ((1 << 16) / width.max(1)).clamp(1, 128)
}

pub(super) fn times(x: Tensor<Flex, 2>, weight: &Fixed) -> Tensor<Flex, 2> {
    let [count, width] = x.dims();
    assert_eq!(width, weight.width, "x has other rows than the weight");
    let x = Floats::of(x);
    let x = x.get();
    let mut out = to_fill(weight.rows * count);
    let part = rows_of_part(width);
    let coded = if count <= FEW && weight.wants_codes() { Coded::new(x, width) } else { Coded::default() };
    let few = Few { numbers: x, coded };
    by_parts([&mut out], [part * count], |at, [out]| {
        let first = at * part;
        if count <= FEW {
            return weight.dots(first, &few, out);
        }
        let rows = out.len() / count;
        let mut wide = to_fill(rows * width);
        weight.widen(first, &mut wide);
        let (left, right) = (Matrix::new(&wide, width), Matrix::new(x, width).turned());
        multiply([rows, count, width], left, right, (out, count), 1.0, false);
        give_back(wide);
    });
    if count == 1 {
        return made(out, [1, weight.rows], DType::F32);
    }
    let mut turned = to_fill(out.len());
    by_rows(&mut turned, weight.rows, |first, rows| {
        for (at, row) in (first..).zip(rows.chunks_exact_mut(weight.rows)) {
            row.iter_mut().zip(out.iter().skip(at).step_by(count)).for_each(|(to, from)| *to = *from);
        }
    });
    made(turned, [count, weight.rows], DType::F32)
}

pub(super) fn looked_up(weight: &Fixed, ids: &[u32]) -> Tensor<Flex, 2> {
    let width = weight.width;
    let mut out = to_fill(ids.len() * width);
    for (id, out) in ids.iter().zip(out.chunks_exact_mut(width)) {
        weight.widen(*id as usize, out);
    }
    made(out, [ids.len(), width], DType::F32)
}
