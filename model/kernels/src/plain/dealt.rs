//! Rows dealt to experts, products by expert, and what experts gave put together again.
use super::{narrow, wide};
use crate::experts::{Dealing, parts};
use crate::ops::Ops;
use burn::prelude::*;
use burn::tensor::DType;

/// The same rows, and behind them one of zeros, which empty places name, where there are any.
fn with_none<B: Backend>(x: Tensor<B, 2>, dealing: &Dealing<B>) -> Tensor<B, 2> {
    let ([rows, places], [_, width]) = (dealing.sizes(), x.dims());
    if places == rows * dealing.chosen {
        return x;
    }
    let none = Tensor::zeros([1, width], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, none], 0)
}

pub(crate) fn dealt<B: Backend>(x: Tensor<B, 2>, dealing: &Dealing<B>) -> Tensor<B, 2> {
    with_none(x, dealing).select(0, dealing.rows.clone())
}

/// What stands at the places of each row, in f32: `[rows, chosen, width]`.
fn of_rows<B: Backend>(x: Tensor<B, 2>, dealing: &Dealing<B>) -> Tensor<B, 3> {
    let ([_, width], [rows, _]) = (x.dims(), dealing.sizes());
    wide(x.select(0, dealing.places.clone())).reshape([rows, dealing.chosen, width])
}

pub(crate) fn dealt_back<B: Backend>(grad: Tensor<B, 2>, dealing: &Dealing<B>) -> Tensor<B, 2> {
    let dtype = grad.dtype();
    narrow(of_rows(grad, dealing).sum_dim(1).squeeze_dim(1), dtype)
}

pub(crate) fn gathered<B: Backend>(
    x: Tensor<B, 2>,
    shares: Tensor<B, 2>,
    dealing: &Dealing<B>,
) -> Tensor<B, 2> {
    let dtype = x.dtype();
    let all = of_rows(x, dealing) * shares.unsqueeze_dim(2);
    narrow(all.sum_dim(1).squeeze_dim(1), dtype)
}

pub(crate) fn gathered_back<B: Backend>(
    x: Tensor<B, 2>,
    shares: Tensor<B, 2>,
    dealing: &Dealing<B>,
    grad: Tensor<B, 2>,
) -> [Tensor<B, 2>; 2] {
    let (dtype, [rows, chosen]) = (x.dtype(), shares.dims());
    let grad = wide(grad);
    let of_shares = (of_rows(x, dealing) * grad.clone().unsqueeze_dim(1)).sum_dim(2).squeeze_dim(2);
    let shares = with_none(shares.reshape([rows * chosen, 1]), dealing).select(0, dealing.order.clone());
    let of_x = dealt(grad, dealing) * shares;
    [narrow(of_x, dtype), of_shares]
}

/// The rows of each expert that has any, and its number.
fn by_expert<B: Backend>(x: &Tensor<B, 2>, ends: &[usize]) -> impl Iterator<Item = (usize, Tensor<B, 2>)> {
    let used = parts(ends).into_iter().enumerate().filter(|(_, (_, rows))| *rows > 0);
    used.map(|(expert, (first, rows))| (expert, x.clone().narrow(0, first, rows)))
}

pub(crate) fn project_dealt<B: Ops>(
    x: Tensor<B, 2>,
    weights: Vec<Vec<Tensor<B, 2>>>,
    ends: &[usize],
) -> Tensor<B, 2> {
    let own = by_expert(&x, ends).map(|(expert, rows)| B::project(rows, weights[expert].clone()));
    Tensor::cat(own.collect(), 0)
}

pub(crate) fn project_dealt_back<B: Ops>(
    x: Tensor<B, 2>,
    weights: Vec<Vec<Tensor<B, 2>>>,
    ends: &[usize],
    grad: Tensor<B, 2>,
    wanted: [bool; 2],
) -> [Option<Tensor<B, 2>>; 2] {
    let ([_, width], [_, out], device) = (x.dims(), grad.dims(), x.device());
    let mut of_weights: Vec<_> = ends.iter().map(|_| None).collect();
    let mut of_x = Vec::new();
    for ((expert, rows), (_, grad)) in by_expert(&x, ends).zip(by_expert(&grad, ends)) {
        let [of_rows, of_weight] = B::project_back(rows, weights[expert].clone(), grad, None, wanted);
        of_x.extend(of_rows);
        of_weights[expert] = of_weight;
    }
    // What no row went through has learned nothing.
    let none = || Tensor::zeros([out, width], (&device, DType::F32));
    let of_weights = wanted[1]
        .then(|| Tensor::cat(of_weights.into_iter().map(|own| own.unwrap_or_else(none)).collect(), 0));
    [wanted[0].then(|| Tensor::cat(of_x, 0)), of_weights]
}
