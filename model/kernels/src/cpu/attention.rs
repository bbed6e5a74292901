//! Attention, a block of queries of one head at a time: logits of more than a block never exist, and the way back makes
//! them again.
use super::memory::{give_back, to_fill, zeros};
use super::numbers::{Floats, Ints, made};
use super::product::{Matrix, multiply};
use super::share::{by_rows, each};
use super::update::Drop;
use super::vector::{exp, largest, sum_of, wide};
use crate::ops::{Attended, Sight};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use std::ops::Range;

/// Queries in a block.
const BLOCK: usize = 64;

type Heads = Tensor<Flex, 4>;

/// Sizes, and how a head of queries, keys or values is found among all that lie side by side in a row.
#[derive(Clone, Copy)]
struct Shape {
    tokens: usize,
    heads: usize,
    kv_heads: usize,
    width: usize,
}

impl Shape {
    fn of(x: &Heads, heads: usize) -> Self {
        let [_, tokens, all, width] = x.dims();
        Self { tokens, heads, kv_heads: (all - heads) / 2, width }
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// All heads of a row.
    fn all(&self) -> usize {
        self.heads + 2 * self.kv_heads
    }

    /// The queries of a head.
    fn query<'a>(&self, x: &'a [f32], batch: usize, head: usize) -> Matrix<'a> {
        self.head(x, batch, head, self.all())
    }

    /// Keys and values that queries share.
    fn kept<'a>(&self, x: &'a [f32], batch: usize, kv: usize) -> [Matrix<'a>; 2] {
        [self.heads, self.heads + self.kv_heads].map(|first| self.head(x, batch, first + kv, self.all()))
    }

    /// One head of one sequence, of `heads`.
    fn head<'a>(&self, numbers: &'a [f32], batch: usize, head: usize, heads: usize) -> Matrix<'a> {
        let sequence = batch * self.tokens * heads * self.width;
        Matrix { numbers: &numbers[sequence + head * self.width..], row: heads * self.width, column: 1 }
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let tokens = self.tokens;
        (0..tokens).step_by(BLOCK).map(move |first| first..tokens.min(first + BLOCK))
    }
}

fn rows(matrix: Matrix<'_>, first: usize) -> Matrix<'_> {
    Matrix { numbers: &matrix.numbers[first * matrix.row..], ..matrix }
}

/// The keys that any of these queries sees.
fn seen(queries: &Range<usize>, starts: &[i32]) -> Range<usize> {
    let first = starts[queries.clone()].iter().min().map_or(0, |first| *first as usize);
    first..queries.end
}

/// What one head of one sequence gives, rows one after another.
struct Head {
    output: Vec<f32>,
    lse: Vec<f32>,
    peak: f32,
}

/// What is to be dropped of the shares of one head, which has a place among all heads.
#[derive(Clone, Copy)]
struct DropShares {
    drop: Drop,
    head: usize,
    tokens: usize,
}

impl DropShares {
    fn of(sight: &Sight<Flex>, head: usize, tokens: usize) -> Option<Self> {
        sight.dropped.any().then(|| Self { drop: Drop::of(sight.dropped), head, tokens })
    }

    /// Drops of what a token has in the keys from `first` on.
    fn from(&self, token: usize, first: usize, shares: &mut [f32]) {
        self.drop.from((self.head * self.tokens + token) * self.tokens + first, shares);
    }
}

pub(super) fn attend(x: Heads, heads: usize, sight: &Sight<Flex>) -> Attended<Flex> {
    let ([batch, tokens, _, width], dtype, shape) = (x.dims(), x.dtype(), Shape::of(&x, heads));
    let (x, starts) = (Floats::of(x), Ints::of(sight.starts.clone()));
    let (x, starts) = (x.get(), starts.get());
    let done: Vec<Head> = each(batch * heads, |at| {
        let (batch, head) = (at / heads, at % heads);
        let query = shape.query(x, batch, head);
        let [key, value] = shape.kept(x, batch, head / shape.group());
        let drop = DropShares::of(sight, at, tokens);
        forward(shape, [query, key, value], &starts[batch * tokens..][..tokens], sight.scale as f32, drop)
    });
    let mut output = to_fill(batch * tokens * heads * width);
    by_rows(&mut output, heads * width, |first, out| {
        for (row, out) in (first..).zip(out.chunks_exact_mut(heads * width)) {
            let (batch, token) = (row / tokens, row % tokens);
            for (head, out) in out.chunks_exact_mut(width).enumerate() {
                out.copy_from_slice(&done[batch * heads + head].output[token * width..][..width]);
            }
        }
    });
    let lse: Vec<f32> = done.iter().flat_map(|head| &head.lse).copied().collect();
    let peak = |head: usize| done.iter().skip(head).step_by(heads).map(|head| head.peak);
    let peak = (0..heads).map(|head| peak(head).fold(f32::NEG_INFINITY, f32::max)).collect();
    done.into_iter().for_each(|head| give_back(head.output));
    Attended {
        output: made(output, [batch, tokens, heads, width], dtype),
        lse: made(lse, [batch, heads, tokens], DType::F32),
        peak: made(peak, [heads], DType::F32),
    }
}

fn forward(
    shape: Shape,
    [query, key, value]: [Matrix<'_>; 3],
    starts: &[i32],
    scale: f32,
    drop: Option<DropShares>,
) -> Head {
    let (tokens, width) = (shape.tokens, shape.width);
    let mut head =
        Head { output: to_fill(tokens * width), lse: Vec::with_capacity(tokens), peak: f32::NEG_INFINITY };
    let mut logits = Vec::new();
    for queries in shape.blocks() {
        let (keys, many) = (seen(&queries, starts), queries.len());
        let across = keys.len();
        logits.resize(many * across, 0.0);
        multiply(
            [many, across, width],
            rows(query, queries.start),
            rows(key, keys.start).turned(),
            (&mut logits, across),
            scale,
            false,
        );
        for (row, logits) in logits.chunks_exact_mut(across).enumerate() {
            let token = queries.start + row;
            let (first, end) = (starts[token] as usize - keys.start, token + 1 - keys.start);
            let (lse, peak) = softmax(logits, first..end);
            if let Some(drop) = drop {
                drop.from(token, keys.start, logits);
            }
            head.lse.push(lse);
            head.peak = head.peak.max(peak);
        }
        let out = &mut head.output[queries.start * width..];
        multiply(
            [many, width, across],
            Matrix::new(&logits, across),
            rows(value, keys.start),
            (out, width),
            1.0,
            false,
        );
    }
    head
}

wide! {
    /// Logits to shares, zero outside of `seen`; gives the logarithm of the sum and the largest logit.
    fn softmax(logits: &mut [f32], seen: Range<usize>) -> (f32, f32) {
        logits[..seen.start].fill(0.0);
        logits[seen.end..].fill(0.0);
        let logits = &mut logits[seen];
        let top = largest(logits);
        logits.iter_mut().for_each(|x| *x = exp(*x - top));
        let sum = sum_of(logits, logits, |x, _| x);
        let part = 1.0 / sum;
        logits.iter_mut().for_each(|x| *x *= part);
        (top + sum.ln(), top)
    }
}

pub(super) fn attend_back(x: Heads, sight: &Sight<Flex>, attended: Attended<Flex>, grad: Heads) -> Heads {
    let ([batch, tokens, heads, width], dtype, all) = (grad.dims(), x.dtype(), x.dims()[2]);
    let shape = Shape::of(&x, heads);
    let kv_heads = shape.kv_heads;
    let [x, output, grad] = [x, attended.output, grad].map(Floats::of);
    let (lse, starts) = (Floats::of(attended.lse), Ints::of(sight.starts.clone()));
    let given = Given {
        x: x.get(),
        output: output.get(),
        grad: grad.get(),
        lse: lse.get(),
        starts: starts.get(),
        sight,
    };
    // All queries that share keys belong to one task, which alone adds to their gradients.
    let done: Vec<[Vec<f32>; 3]> =
        each(batch * kv_heads, |at| backward(shape, &given, at / kv_heads, at % kv_heads));
    let mut out = to_fill(batch * tokens * all * width);
    by_rows(&mut out, all * width, |first, out| {
        for (row, out) in (first..).zip(out.chunks_exact_mut(all * width)) {
            let (batch, token) = (row / tokens, row % tokens);
            let (queries, kept) = out.split_at_mut(heads * width);
            let (keys, values) = kept.split_at_mut(kv_heads * width);
            for (which, out) in [queries, keys, values].into_iter().enumerate() {
                let own = out.len() / kv_heads;
                for (kv, out) in out.chunks_exact_mut(own).enumerate() {
                    out.copy_from_slice(&done[batch * kv_heads + kv][which][token * own..][..own]);
                }
            }
        }
    });
    done.into_iter().flatten().for_each(give_back);
    made(out, [batch, tokens, all, width], dtype)
}

/// What the way back stands on.
struct Given<'a> {
    /// Queries, keys and values.
    x: &'a [f32],
    output: &'a [f32],
    grad: &'a [f32],
    lse: &'a [f32],
    starts: &'a [i32],
    sight: &'a Sight<Flex>,
}

/// Gradients of the queries of a group (`[tokens, group, width]`) and of their keys and values.
fn backward(shape: Shape, given: &Given<'_>, batch: usize, kv: usize) -> [Vec<f32>; 3] {
    let Shape { tokens, heads, width, .. } = shape;
    let stride = shape.group() * width;
    let [key, value] = shape.kept(given.x, batch, kv);
    let (starts, scale) = (&given.starts[batch * tokens..][..tokens], given.sight.scale as f32);
    let mut of_query = to_fill(tokens * stride);
    let [mut of_key, mut of_value] = [zeros(tokens * width), zeros(tokens * width)];
    let (mut shares, mut slopes) = (Vec::new(), Vec::new());
    for member in 0..shape.group() {
        let head = kv * shape.group() + member;
        let query = shape.query(given.x, batch, head);
        let [output, grad] = [given.output, given.grad].map(|x| shape.head(x, batch, head, heads));
        let drop = DropShares::of(given.sight, batch * heads + head, tokens);
        let lse = &given.lse[(batch * heads + head) * tokens..][..tokens];
        for queries in shape.blocks() {
            let (keys, many) = (seen(&queries, starts), queries.len());
            let across = keys.len();
            let block = |x| rows(x, queries.start);
            shares.resize(many * across, 0.0);
            slopes.resize(many * across, 0.0);
            multiply(
                [many, across, width],
                block(query),
                rows(key, keys.start).turned(),
                (&mut shares, across),
                scale,
                false,
            );
            multiply(
                [many, across, width],
                block(grad),
                rows(value, keys.start).turned(),
                (&mut slopes, across),
                1.0,
                false,
            );
            for (row, (shares, slopes)) in
                shares.chunks_exact_mut(across).zip(slopes.chunks_exact_mut(across)).enumerate()
            {
                let token = queries.start + row;
                let seen = starts[token] as usize - keys.start..token + 1 - keys.start;
                let (output, grad) = (
                    &block(output).numbers[row * output.row..][..width],
                    &block(grad).numbers[row * grad.row..][..width],
                );
                if let Some(drop) = drop {
                    drop.from(token, keys.start, slopes);
                }
                of_logits(shares, slopes, seen, (output, grad), lse[token], scale);
                if let Some(drop) = drop {
                    drop.from(token, keys.start, shares);
                }
            }
            let (shares, slopes) = (Matrix::new(&shares, across), Matrix::new(&slopes, across));
            let to = &mut of_value[keys.start * width..];
            multiply([across, width, many], shares.turned(), block(grad), (to, width), 1.0, true);
            let to = &mut of_key[keys.start * width..];
            multiply([across, width, many], slopes.turned(), block(query), (to, width), 1.0, true);
            let to = &mut of_query[queries.start * stride + member * width..];
            multiply([many, width, across], slopes, rows(key, keys.start), (to, stride), 1.0, false);
        }
    }
    [of_query, of_key, of_value]
}

wide! {
    /// Logits to shares, and the gradient of the shares to that of the logits, times `scale`. `sides` are the output of the
    /// row and its gradient.
    fn of_logits(
        shares: &mut [f32],
        slopes: &mut [f32],
        seen: Range<usize>,
        sides: (&[f32], &[f32]),
        lse: f32,
        scale: f32,
    ) {
        let delta = sum_of(sides.0, sides.1, |a, b| a * b);
        for outside in [0..seen.start, seen.end..shares.len()] {
            shares[outside.clone()].fill(0.0);
            slopes[outside].fill(0.0);
        }
        for (share, slope) in shares[seen.clone()].iter_mut().zip(&mut slopes[seen]) {
            *share = exp(*share - lse);
            *slope = *share * (*slope - delta) * scale;
        }
    }
}
