//! Products, and what works row by row.
use super::{narrow, wide};
use crate::ops::{Gated, Normed, Ops, Turned};
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::sigmoid;

pub(crate) fn product<B: Ops>(a: Tensor<B, 2>, b: Tensor<B, 2>, turned: Turned) -> Tensor<B, 2> {
    match turned {
        Turned::Neither => B::multiply(a, b),
        Turned::Left => B::multiply(a.transpose(), b),
        Turned::Right => B::multiply(a, b.transpose()),
    }
}

pub(crate) fn project<B: Ops>(x: Tensor<B, 2>, weights: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
    side_by_side(weights.into_iter().map(|weight| B::product(x.clone(), weight, Turned::Right)).collect(), 1)
}

pub(crate) fn project_back<B: Ops>(
    x: Tensor<B, 2>,
    weights: Vec<Tensor<B, 2>>,
    grad: Tensor<B, 2>,
    so_far: Option<Tensor<B, 2>>,
    [of_x, of_weight]: [bool; 2],
) -> [Option<Tensor<B, 2>>; 2] {
    let mut first = 0;
    let grads: Vec<Tensor<B, 2>> = weights
        .iter()
        .map(|weight| {
            let [out, _] = weight.dims();
            first += out;
            grad.clone().narrow(1, first - out, out)
        })
        .collect();
    let own =
        grads.iter().zip(weights).map(|(grad, weight)| B::product(grad.clone(), weight, Turned::Neither));
    let of_x = if of_x { own.chain(so_far).reduce(|sum, more| sum + more) } else { None };
    let of_weight = of_weight.then(|| {
        let of = |grad| wide(B::product(grad, x.clone(), Turned::Left));
        side_by_side(grads.into_iter().map(of).collect(), 0)
    });
    [of_x, of_weight]
}

pub(crate) fn project_apart<B: Ops>(
    x: Tensor<B, 2>,
    weights: Vec<Tensor<B, 2>>,
    outs: &[usize],
) -> Tensor<B, 2> {
    let parts = parts_of(x, outs.len());
    let all = own(weights, outs).into_iter().zip(parts);
    side_by_side(all.map(|(weight, part)| B::product(part, weight, Turned::Right)).collect(), 1)
}

pub(crate) fn project_apart_back<B: Ops>(
    x: Tensor<B, 2>,
    weights: Vec<Tensor<B, 2>>,
    outs: &[usize],
    grad: Tensor<B, 2>,
) -> [Tensor<B, 2>; 2] {
    let (mut of_x, mut of_weights, mut first) = (Vec::new(), Vec::new(), 0);
    for ((weight, part), out) in own(weights, outs).into_iter().zip(parts_of(x, outs.len())).zip(outs) {
        let grad = grad.clone().narrow(1, first, *out);
        first += out;
        of_weights.push(wide(B::product(grad.clone(), part, Turned::Left)));
        of_x.push(B::product(grad, weight, Turned::Neither));
    }
    [side_by_side(of_x, 1), side_by_side(of_weights, 0)]
}

/// Rows in so many parts, as wide as each other.
fn parts_of<B: Backend>(x: Tensor<B, 2>, count: usize) -> impl Iterator<Item = Tensor<B, 2>> {
    let wide = x.dims()[1] / count;
    (0..count).map(move |at| x.clone().narrow(1, at * wide, wide))
}

/// Each weight by itself, with so many rows, whether they are stacked as one or not.
fn own<B: Backend>(mut weights: Vec<Tensor<B, 2>>, outs: &[usize]) -> Vec<Tensor<B, 2>> {
    if weights.len() == outs.len() {
        return weights;
    }
    let (all, mut first) = (weights.remove(0), 0);
    let of = |out: &usize| {
        first += out;
        all.clone().narrow(0, first - out, *out)
    };
    outs.iter().map(of).collect()
}

fn side_by_side<B: Backend>(mut all: Vec<Tensor<B, 2>>, dim: usize) -> Tensor<B, 2> {
    if all.len() == 1 { all.remove(0) } else { Tensor::cat(all, dim) }
}

/// One over the root mean square of each row, `[rows, 1]`.
fn inverse_root<B: Backend>(x: Tensor<B, 2>, epsilon: f64) -> Tensor<B, 2> {
    (x.clone() * x).mean_dim(1).add_scalar(epsilon).sqrt().recip()
}

pub(crate) fn rms_norm<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
    let dtype = x.dtype();
    let x = wide(x);
    let scale = inverse_root(x.clone(), epsilon);
    narrow(x * scale * wide(weight).unsqueeze(), dtype)
}

pub(crate) fn rms_norm_back<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 1>,
    epsilon: f64,
    grad: Tensor<B, 2>,
    so_far: Option<Tensor<B, 2>>,
    again: bool,
) -> Normed<B> {
    let dtype = x.dtype();
    let output = again.then(|| rms_norm(x.clone(), weight.clone(), epsilon));
    let (x, grad) = (wide(x), wide(grad));
    let scale = inverse_root(x.clone(), epsilon);
    let unit = x * scale.clone();
    let of_weight = added(grad.clone() * unit.clone());
    let grad = grad * wide(weight).unsqueeze();
    let along = (grad.clone() * unit.clone()).mean_dim(1);
    let own = narrow((grad - unit * along) * scale, dtype);
    let grad = match so_far {
        None => own,
        Some(so_far) => own + so_far,
    };
    Normed { output, grad, of_weight }
}

/// The sum of all rows, in two steps: a sum over many rows at once is the work of few threads.
pub(crate) fn added<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 1> {
    let [rows, width] = x.dims();
    let groups = 1 << rows.trailing_zeros().min(9);
    x.reshape([groups, rows / groups, width]).sum_dim(1).reshape([groups, width]).sum_dim(0).reshape([width])
}

pub(crate) fn swiglu<B: Backend>(both: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = both.dtype();
    let [gate, up] = halves(both);
    narrow(gate.clone() * sigmoid(gate) * up, dtype)
}

pub(crate) fn swiglu_back<B: Backend>(both: Tensor<B, 2>, grad: Tensor<B, 2>) -> Gated<B> {
    let dtype = both.dtype();
    let ([gate, up], grad) = (halves(both), wide(grad));
    let sigma = sigmoid(gate.clone());
    let silu = gate.clone() * sigma.clone();
    let slope = sigma.clone() * (gate * (sigma.neg() + 1.0) + 1.0);
    let output = narrow(silu.clone() * up.clone(), dtype);
    let grad = Tensor::cat(vec![grad.clone() * up * slope, grad * silu], 1);
    Gated { output, grad: narrow(grad, dtype) }
}

/// Gate and up, in f32.
fn halves<B: Backend>(both: Tensor<B, 2>) -> [Tensor<B, 2>; 2] {
    let [_, width] = both.dims();
    [0, width / 2].map(|first| wide(both.clone().narrow(1, first, width / 2)))
}

pub(crate) fn embed<B: Backend>(weight: Tensor<B, 2>, ids: Tensor<B, 1, Int>) -> Tensor<B, 2> {
    weight.select(0, ids)
}

pub(crate) fn embed_back<B: Ops>(
    ids: Tensor<B, 1, Int>,
    vocabulary: usize,
    grad: Tensor<B, 2>,
) -> Tensor<B, 2> {
    const MOST: usize = 1 << 24;
    let at_once = MOST / grad.dims()[0].max(1);
    embed_back_by(at_once.max(1), ids, vocabulary, grad)
}

/// As a product with ones where a row has the token, some of the tokens at once. To add row by row where each belongs would
/// be less work, but GPUs do that in any order, and every run would end elsewhere.
pub(crate) fn embed_back_by<B: Ops>(
    at_once: usize,
    ids: Tensor<B, 1, Int>,
    vocabulary: usize,
    grad: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let ([rows, _], device) = (grad.dims(), grad.device());
    let grad = wide(grad);
    let ids = ids.reshape([1, rows]);
    let part = |first: usize| {
        let end = vocabulary.min(first + at_once);
        let names = Tensor::<B, 1, Int>::arange(first as i64..end as i64, (&device, ids.dtype()));
        let here = names.reshape([end - first, 1]).equal(ids.clone());
        B::multiply(here.float().cast(DType::F32), grad.clone())
    };
    Tensor::cat((0..vocabulary).step_by(at_once).map(part).collect(), 0)
}
