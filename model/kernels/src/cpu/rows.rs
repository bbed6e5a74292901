//! What works row by row: norms, gates, embeddings.
use super::memory::{to_fill, zeros};
use super::numbers::{Floats, Ints, made};
use super::share::{by_parts, by_rows, each_part, rows_of_part};
use super::vector::{sigmoid, sum_of, wide};
use crate::ops::{Gated, Normed};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

type Matrix = Tensor<Flex, 2>;

/// One over the root mean square of a row.
#[inline(always)]
pub(super) fn inverse_root(row: &[f32], epsilon: f64) -> f32 {
    let mean = f64::from(sum_of(row, row, |a, b| a * b)) / row.len() as f64;
    (1.0 / (mean + epsilon).sqrt()) as f32
}

pub(super) fn rms_norm(x: Matrix, weight: Tensor<Flex, 1>, epsilon: f64) -> Matrix {
    let ([rows, width], dtype) = (x.dims(), x.dtype());
    let (x, weight) = (Floats::of(x), Floats::of(weight));
    let (x, weight) = (x.get(), weight.get());
    let mut out = to_fill(rows * width);
    by_rows(&mut out, width, |first, out| norm_rows(&x[first * width..], weight, epsilon, out));
    made(out, [rows, width], dtype)
}

wide! {
    fn norm_rows(x: &[f32], weight: &[f32], epsilon: f64, out: &mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = inverse_root(x, epsilon);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        }
    }
}

pub(super) fn rms_norm_back(
    x: Matrix,
    weight: Tensor<Flex, 1>,
    epsilon: f64,
    grad: Matrix,
    so_far: Option<Matrix>,
    again: bool,
) -> Normed<Flex> {
    let ([rows, width], dtype) = (x.dims(), x.dtype());
    let (x, weight, grad) = (Floats::of(x), Floats::of(weight), Floats::of(grad));
    let (x, weight, grad) = (x.get(), weight.get(), grad.get());
    let so_far = so_far.map(Floats::of);
    let so_far = so_far.as_ref().map(Floats::get);
    let mut out = to_fill(rows * width);
    let mut output = to_fill(if again { rows * width } else { 0 });
    let part = rows_of_part(width);
    let mut sums = vec![0.0; rows.div_ceil(part) * width];
    let back = |at: usize, out: &mut [f32], of_weight: &mut [f32]| {
        let place = at * part * width;
        norm_rows_back(&x[place..], weight, epsilon, &grad[place..], out, of_weight);
        if let Some(so_far) = so_far {
            onto(&so_far[place..], out);
        }
    };
    let each = [part * width, width];
    if again {
        by_parts(
            [&mut out, &mut sums, &mut output],
            [each[0], each[1], each[0]],
            |at, [out, of_weight, output]| {
                back(at, out, of_weight);
                norm_rows(&x[at * part * width..], weight, epsilon, output);
            },
        );
    } else {
        by_parts([&mut out, &mut sums], each, |at, [out, of_weight]| back(at, out, of_weight));
    }
    Normed {
        output: again.then(|| made(output, [rows, width], dtype)),
        grad: made(out, [rows, width], dtype),
        of_weight: made(added(&sums, width), [width], DType::F32),
    }
}

wide! {
    fn onto(x: &[f32], sum: &mut [f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

wide! {
    /// The gradient of rows, and what they add to that of the weight.
    fn norm_rows_back(
        x: &[f32],
        weight: &[f32],
        epsilon: f64,
        grad: &[f32],
        out: &mut [f32],
        of_weight: &mut [f32],
    ) {
        let width = weight.len();
        let sources = x.chunks_exact(width).zip(grad.chunks_exact(width));
        for ((x, grad), out) in sources.zip(out.chunks_exact_mut(width)) {
            let scale = inverse_root(x, epsilon);
            // First the gradient of the row before the weight, then less what lies along the row.
            for ((out, grad), weight) in out.iter_mut().zip(grad).zip(weight) {
                *out = grad * weight;
            }
            let along = sum_of(out, x, |a, b| a * b) * scale * scale / width as f32;
            for (out, x) in out.iter_mut().zip(x) {
                *out = (*out - x * along) * scale;
            }
            for ((sum, grad), x) in of_weight.iter_mut().zip(grad).zip(x) {
                *sum += grad * (x * scale);
            }
        }
    }
}

/// The sum of rows, in their order.
pub(super) fn added(rows: &[f32], width: usize) -> Vec<f32> {
    let mut all = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        all.iter_mut().zip(row).for_each(|(all, x)| *all += x);
    }
    all
}

/// Burn adds as fast, but in memory of its own: and memory of two kinds is at its most at two moments.
pub(super) fn add(x: Matrix, y: Matrix) -> Matrix {
    let ([rows, width], dtype) = (x.dims(), x.dtype());
    let (x, y) = (Floats::of(x), Floats::of(y));
    let (x, y) = (x.get(), y.get());
    let mut out = to_fill(rows * width);
    by_rows(&mut out, width, |first, out| sums(&x[first * width..], &y[first * width..], out));
    made(out, [rows, width], dtype)
}

wide! {
    fn sums(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = x + y;
        }
    }
}

pub(super) fn swiglu(both: Matrix) -> Matrix {
    let ([rows, width], dtype) = (both.dims(), both.dtype());
    let (both, width) = (Floats::of(both), width / 2);
    let both = both.get();
    let mut out = to_fill(rows * width);
    by_rows(&mut out, width, |first, out| gated(&both[2 * first * width..], width, out));
    made(out, [rows, width], dtype)
}

wide! {
    fn gated(both: &[f32], width: usize, out: &mut [f32]) {
        for (both, out) in both.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = both.split_at(width);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate * sigmoid(*gate) * up;
            }
        }
    }
}

pub(super) fn swiglu_back(both: Matrix, grad: Matrix) -> Gated<Flex> {
    let ([rows, width], dtype) = (grad.dims(), both.dtype());
    let (both, grad) = (Floats::of(both), Floats::of(grad));
    let (both, grad) = (both.get(), grad.get());
    let (mut output, mut back) = (to_fill(rows * width), to_fill(2 * rows * width));
    let part = rows_of_part(2 * width) * width;
    by_parts([&mut output, &mut back], [part, 2 * part], |at, [output, back]| {
        gated_back(&both[2 * at * part..], &grad[at * part..], width, output, back);
    });
    Gated { output: made(output, [rows, width], dtype), grad: made(back, [rows, 2 * width], dtype) }
}

wide! {
    fn gated_back(both: &[f32], grad: &[f32], width: usize, output: &mut [f32], back: &mut [f32]) {
        let sources = both.chunks_exact(2 * width).zip(grad.chunks_exact(width));
        let results = output.chunks_exact_mut(width).zip(back.chunks_exact_mut(2 * width));
        for ((both, grad), (output, back)) in sources.zip(results) {
            let ((gate, up), (of_gate, of_up)) = (both.split_at(width), back.split_at_mut(width));
            let sources = gate.iter().zip(up).zip(grad);
            let results = output.iter_mut().zip(of_gate.iter_mut().zip(of_up));
            for (((gate, up), grad), (output, (of_gate, of_up))) in sources.zip(results) {
                let sigma = sigmoid(*gate);
                *output = gate * sigma * up;
                *of_gate = grad * up * sigma * (1.0 + gate * (1.0 - sigma));
                *of_up = grad * gate * sigma;
            }
        }
    }
}

pub(super) fn embed(weight: Matrix, ids: Tensor<Flex, 1, Int>) -> Matrix {
    let ([rows], [_, width], dtype) = (ids.dims(), weight.dims(), weight.dtype());
    let (weight, ids) = (Floats::of(weight), Ints::of(ids));
    let (weight, ids) = (weight.get(), ids.get());
    let mut out = to_fill(rows * width);
    by_rows(&mut out, width, |first, out| {
        for (out, id) in out.chunks_exact_mut(width).zip(&ids[first..]) {
            out.copy_from_slice(&weight[*id as usize * width..][..width]);
        }
    });
    made(out, [rows, width], dtype)
}

/// Each part of the vocabulary looks through all ids for its own, so rows are added in their order.
pub(super) fn embed_back(ids: Tensor<Flex, 1, Int>, vocabulary: usize, grad: Matrix) -> Matrix {
    let [_, width] = grad.dims();
    let (ids, grad) = (Ints::of(ids), Floats::of(grad));
    let (ids, grad) = (ids.get(), grad.get());
    let mut out = zeros(vocabulary * width);
    // Few parts: each reads all ids.
    let part = vocabulary.div_ceil(16).max(rows_of_part(width));
    by_parts([&mut out], [part * width], |at, [out]| {
        let own = at * part..(at * part + out.len() / width);
        for (row, id) in ids.iter().enumerate() {
            if own.contains(&(*id as usize)) {
                let to = &mut out[(*id as usize - own.start) * width..][..width];
                let from = &grad[row * width..][..width];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    });
    made(out, [vocabulary, width], DType::F32)
}

/// The sum of the squares of a slice: parts of a fixed size, each in f32, added in f64.
pub(super) fn squares(x: &[f32]) -> f64 {
    each_part(x.len(), 1 << 12, |part| f64::from(squares_of(&x[part]))).into_iter().sum()
}

wide! {
    fn squares_of(x: &[f32]) -> f32 {
        sum_of(x, x, |a, b| a * b)
    }
}
