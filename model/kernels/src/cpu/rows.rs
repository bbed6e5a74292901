//! What works row by row: norms, rotations, gates, embeddings.
use super::numbers::{Floats, Ints, made};
use super::share::{by_rows, by_rows_of_two, each_part, rows_of_part};
use super::vector::{sigmoid, sum_of, widely};
use crate::ops::Angles;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use rayon::prelude::*;

type Matrix = Tensor<Flex, 2>;

/// One over the root mean square of a row.
#[inline(always)]
fn inverse_root(row: &[f32], epsilon: f64) -> f32 {
    let mean = f64::from(sum_of(row, row, |a, b| a * b)) / row.len() as f64;
    (1.0 / (mean + epsilon).sqrt()) as f32
}

pub(super) fn rms_norm(x: Matrix, weight: Tensor<Flex, 1>, epsilon: f64) -> Matrix {
    let ([rows, width], dtype) = (x.dims(), x.dtype());
    let (x, weight) = (Floats::of(x), Floats::of(weight));
    let (x, weight) = (x.get(), weight.get());
    let mut out = vec![0.0; rows * width];
    by_rows(&mut out, width, |first, out| {
        widely(|| {
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let x = &x[(first + row) * width..][..width];
                let scale = inverse_root(x, epsilon);
                for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                    *out = x * scale * weight;
                }
            }
        });
    });
    made(out, [rows, width], dtype)
}

pub(super) fn rms_norm_back(
    x: Matrix,
    weight: Tensor<Flex, 1>,
    epsilon: f64,
    grad: Matrix,
) -> (Matrix, Tensor<Flex, 1>) {
    let ([rows, width], dtype) = (x.dims(), x.dtype());
    let (x, weight, grad) = (Floats::of(x), Floats::of(weight), Floats::of(grad));
    let (x, weight, grad) = (x.get(), weight.get(), grad.get());
    let mut out = vec![0.0; rows * width];
    let part = rows_of_part(width);
    let sums: Vec<Vec<f32>> = out
        .par_chunks_mut((part * width).max(1))
        .enumerate()
        .map(|(at, out)| {
            let mut of_weight = vec![0.0_f32; width];
            widely(|| {
                for (row, out) in out.chunks_exact_mut(width).enumerate() {
                    let place = (at * part + row) * width;
                    let (x, grad) = (&x[place..][..width], &grad[place..][..width]);
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
            });
            of_weight
        })
        .collect();
    (made(out, [rows, width], dtype), made(added(sums, width), [width], DType::F32))
}

/// The sum of rows, in their order.
fn added(parts: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut all = vec![0.0; width];
    for part in parts {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
    }
    all
}

pub(super) fn rotate(
    x: Tensor<Flex, 3>,
    angles: &Angles<Flex>,
    positions: Tensor<Flex, 1, Int>,
    back: bool,
) -> Tensor<Flex, 3> {
    let ([rows, heads, width], dtype) = (x.dims(), x.dtype());
    let (half, row_width) = (width / 2, heads * width);
    let (cos, sin) = (Floats::of(angles.cos.clone()), Floats::of(angles.sin.clone()));
    let (cos, sin, positions) = (cos.get(), sin.get(), Ints::of(positions));
    let (x, positions) = (Floats::of(x), positions.get());
    let x = x.get();
    let sign = if back { -1.0 } else { 1.0 };
    let mut out = vec![0.0; rows * row_width];
    by_rows(&mut out, row_width, |first, out| {
        widely(|| {
            for (row, out) in out.chunks_exact_mut(row_width).enumerate() {
                let position = positions[first + row] as usize * half;
                let (cos, sin) = (&cos[position..][..half], &sin[position..][..half]);
                let x = &x[(first + row) * row_width..][..row_width];
                for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                    let ((a, b), (to_a, to_b)) = (x.split_at(half), out.split_at_mut(half));
                    for at in 0..half {
                        let sin = sin[at] * sign;
                        to_a[at] = a[at] * cos[at] - b[at] * sin;
                        to_b[at] = a[at] * sin + b[at] * cos[at];
                    }
                }
            }
        });
    });
    made(out, [rows, heads, width], dtype)
}

pub(super) fn swiglu(gate: Matrix, up: Matrix) -> Matrix {
    let ([rows, width], dtype) = (gate.dims(), gate.dtype());
    let (gate, up) = (Floats::of(gate), Floats::of(up));
    let (gate, up) = (gate.get(), up.get());
    let mut out = vec![0.0; rows * width];
    by_rows(&mut out, width, |first, out| {
        let (gate, up) = (&gate[first * width..], &up[first * width..]);
        widely(|| {
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate * sigmoid(*gate) * up;
            }
        });
    });
    made(out, [rows, width], dtype)
}

pub(super) fn swiglu_back(gate: Matrix, up: Matrix, grad: Matrix) -> (Matrix, Matrix) {
    let ([rows, width], dtype) = (gate.dims(), gate.dtype());
    let (gate, up, grad) = (Floats::of(gate), Floats::of(up), Floats::of(grad));
    let (gate, up, grad) = (gate.get(), up.get(), grad.get());
    let mut of_gate = vec![0.0; rows * width];
    let mut of_up = vec![0.0; rows * width];
    by_rows_of_two((&mut of_gate, &mut of_up), width, |first, of_gate, of_up| {
        let at = first * width;
        let sources = gate[at..].iter().zip(&up[at..]).zip(&grad[at..]);
        widely(|| {
            for (((gate, up), grad), (of_gate, of_up)) in sources.zip(of_gate.iter_mut().zip(of_up)) {
                let sigma = sigmoid(*gate);
                *of_gate = grad * up * sigma * (1.0 + gate * (1.0 - sigma));
                *of_up = grad * gate * sigma;
            }
        });
    });
    (made(of_gate, [rows, width], dtype), made(of_up, [rows, width], dtype))
}

pub(super) fn embed(weight: Matrix, ids: Tensor<Flex, 1, Int>) -> Matrix {
    let ([rows], [_, width], dtype) = (ids.dims(), weight.dims(), weight.dtype());
    let (weight, ids) = (Floats::of(weight), Ints::of(ids));
    let (weight, ids) = (weight.get(), ids.get());
    let mut out = vec![0.0; rows * width];
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
    let mut out = vec![0.0; vocabulary * width];
    // Few parts: each reads all ids.
    let part = vocabulary.div_ceil(16).max(rows_of_part(width));
    out.par_chunks_mut((part * width).max(1)).enumerate().for_each(|(at, out)| {
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
    let part = |range: std::ops::Range<usize>| {
        let x = &x[range];
        widely(|| f64::from(sum_of(x, x, |a, b| a * b)))
    };
    each_part(x.len(), 1 << 12, part).into_iter().sum()
}
