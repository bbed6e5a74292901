//! Queries and keys with their norms, turned by their places, and the way back.
use super::memory::to_fill;
use super::numbers::{Floats, Ints, made};
use super::rows::{added, inverse_root};
use super::share::{by_parts, by_rows, rows_of_part};
use super::vector::{sum_of, wide};
use crate::ops::Placing;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

type Heads = Tensor<Flex, 3>;

/// What all rows are placed by.
#[derive(Clone, Copy)]
struct Places<'a> {
    heads: usize,
    /// Heads of queries and keys: those that are turned.
    turned: usize,
    width: usize,
    cos: &'a [f32],
    sin: &'a [f32],
    positions: &'a [i32],
    norms: Option<[&'a [f32]; 2]>,
    epsilon: f64,
}

impl<'a> Places<'a> {
    /// Those of the rows from `first` on.
    fn from(self, first: usize) -> Self {
        Self { positions: &self.positions[first..], ..self }
    }

    #[inline(always)]
    fn angles(&self, position: i32) -> (&'a [f32], &'a [f32]) {
        let half = self.width / 2;
        let at = position as usize * half;
        (&self.cos[at..][..half], &self.sin[at..][..half])
    }

    /// The weight of a head's norm.
    #[inline(always)]
    fn norm(&self, head: usize) -> Option<&'a [f32]> {
        self.norms.map(|norms| norms[usize::from(head >= self.heads)])
    }
}

/// Calls `work` with all that rows of `all` heads are placed by.
fn placed<R>(placing: &Placing<Flex>, [all, width]: [usize; 2], work: impl FnOnce(Places<'_>) -> R) -> R {
    let (cos, sin) = (Floats::of(placing.angles.cos.clone()), Floats::of(placing.angles.sin.clone()));
    let positions = Ints::of(placing.positions.clone());
    let norms = placing.norms.clone().map(|norms| norms.map(Floats::of));
    let heads = placing.heads;
    work(Places {
        heads,
        turned: heads + (all - heads) / 2,
        width,
        cos: cos.get(),
        sin: sin.get(),
        positions: positions.get(),
        norms: norms.as_ref().map(|norms| norms.each_ref().map(Floats::get)),
        epsilon: placing.epsilon,
    })
}

pub(super) fn place(x: Heads, placing: &Placing<Flex>) -> Heads {
    let ([rows, all, width], dtype) = (x.dims(), x.dtype());
    let x = Floats::of(x);
    let x = x.get();
    let mut out = to_fill(rows * all * width);
    placed(placing, [all, width], |places| {
        by_rows(&mut out, all * width, |first, out| {
            place_rows(&x[first * all * width..], all, places.from(first), out);
        });
    });
    made(out, [rows, all, width], dtype)
}

wide! {
    fn place_rows(x: &[f32], all: usize, places: Places<'_>, out: &mut [f32]) {
        let Places { width, turned, epsilon, .. } = places;
        let rows = x.chunks_exact(all * width).zip(out.chunks_exact_mut(all * width));
        for ((x, out), position) in rows.zip(places.positions) {
            let (cos, sin) = places.angles(*position);
            let heads = x.chunks_exact(width).zip(out.chunks_exact_mut(width)).take(turned).enumerate();
            for (head, (x, out)) in heads {
                match places.norm(head) {
                    None => out.copy_from_slice(x),
                    Some(weight) => {
                        let scale = inverse_root(x, epsilon);
                        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                            *out = x * scale * weight;
                        }
                    }
                }
                turn(out, cos, sin, 1.0);
            }
            out[turned * width..].copy_from_slice(&x[turned * width..]);
        }
    }
}

/// Turns the pairs of a head.
#[inline(always)]
fn turn(head: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let (a, b) = head.split_at_mut(cos.len());
    for ((a, b), (cos, sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
        let sin = sin * sign;
        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
    }
}

pub(super) fn place_back(
    x: Option<Heads>,
    placing: &Placing<Flex>,
    grad: Heads,
) -> (Heads, Option<[Tensor<Flex, 1>; 2]>) {
    let ([rows, all, width], dtype) = (grad.dims(), grad.dtype());
    let (x, grad) = (x.map(Floats::of), Floats::of(grad));
    let grad = grad.get();
    let x = x.as_ref().map_or(grad, Floats::get);
    let row = all * width;
    let mut out = to_fill(rows * row);
    let part = rows_of_part(row);
    // Of each part what its rows add to the norm of queries, and to that of keys.
    let mut sums = vec![0.0; rows.div_ceil(part) * 2 * width];
    placed(placing, [all, width], |places| {
        by_parts([&mut out, &mut sums], [part * row, 2 * width], |at, [out, sums]| {
            let first = at * part;
            place_rows_back(&x[first * row..], &grad[first * row..], all, places.from(first), out, sums);
        });
    });
    let sums = added(&sums, 2 * width);
    let norms = placing
        .norms
        .as_ref()
        .map(|_| [0, width].map(|first| made(sums[first..first + width].to_vec(), [width], DType::F32)));
    (made(out, [rows, all, width], dtype), norms)
}

wide! {
    /// The gradient of rows, and what they add to those of the norms.
    fn place_rows_back(
        x: &[f32],
        grad: &[f32],
        all: usize,
        places: Places<'_>,
        out: &mut [f32],
        of_norms: &mut [f32],
    ) {
        let Places { width, turned, epsilon, heads, .. } = places;
        let row = all * width;
        let rows = x.chunks_exact(row).zip(grad.chunks_exact(row)).zip(out.chunks_exact_mut(row));
        for (((x, grad), out), position) in rows.zip(places.positions) {
            let (cos, sin) = places.angles(*position);
            out.copy_from_slice(grad);
            let all = x.chunks_exact(width).zip(out.chunks_exact_mut(width)).take(turned).enumerate();
            for (head, (x, out)) in all {
                turn(out, cos, sin, -1.0);
                let Some(weight) = places.norm(head) else { continue };
                let scale = inverse_root(x, epsilon);
                let sums = &mut of_norms[usize::from(head >= heads) * width..][..width];
                for (((sum, out), x), weight) in sums.iter_mut().zip(out.iter_mut()).zip(x).zip(weight) {
                    *sum += *out * (x * scale);
                    *out *= weight;
                }
                let along = sum_of(out, x, |a, b| a * b) * scale * scale / width as f32;
                for (out, x) in out.iter_mut().zip(x) {
                    *out = (*out - x * along) * scale;
                }
            }
        }
    }
}
