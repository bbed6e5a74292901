//! Norms of queries and keys, and their places.
use super::{narrow, wide};
use crate::ops::{Angles, Ops, Placing};
use burn::prelude::*;

/// Turns heads by the angles of their rows' positions, or back by them: which is also the way back of the gradient.
///
/// # Shapes
/// x `[rows, heads, width]`, positions `[rows]` -> `[rows, heads, width]`
pub(crate) fn rotate<B: Backend>(
    x: Tensor<B, 3>,
    angles: &Angles<B>,
    positions: Tensor<B, 1, Int>,
    back: bool,
) -> Tensor<B, 3> {
    let (dtype, [_, _, width]) = (x.dtype(), x.dims());
    let of_rows = |table: &Tensor<B, 2>| table.clone().select(0, positions.clone()).unsqueeze_dim::<3>(1);
    let cos = of_rows(&angles.cos);
    let sin = if back { of_rows(&angles.sin).neg() } else { of_rows(&angles.sin) };
    let x = wide(x);
    let (first, second) = (x.clone().narrow(2, 0, width / 2), x.narrow(2, width / 2, width / 2));
    let turned_first = first.clone() * cos.clone() - second.clone() * sin.clone();
    let turned_second = first * sin + second * cos;
    narrow(Tensor::cat(vec![turned_first, turned_second], 2), dtype)
}

/// Queries, keys and values.
pub(crate) fn parts<B: Backend, const D: usize>(x: Tensor<B, D>, heads: usize) -> [Tensor<B, D>; 3] {
    let all = x.dims()[D - 2];
    let kv = (all - heads) / 2;
    [(0, heads), (heads, kv), (heads + kv, kv)].map(|(first, count)| x.clone().narrow(D - 2, first, count))
}

pub(crate) fn place<B: Ops>(x: Tensor<B, 3>, placing: &Placing<B>) -> Tensor<B, 3> {
    let Placing { heads, angles, positions, norms, epsilon } = placing;
    let [query, key, value] = parts(x, *heads);
    let normed = match norms {
        None => [query, key],
        Some([of_query, of_key]) => [(query, of_query), (key, of_key)].map(|(x, weight)| {
            let (flat, dims) = by_head(x);
            B::rms_norm(flat, weight.clone(), *epsilon).reshape(dims)
        }),
    };
    let [query, key] = normed.map(|x| rotate(x, angles, positions.clone(), false));
    Tensor::cat(vec![query, key, value], 1)
}

pub(crate) fn place_back<B: Ops>(
    x: Option<Tensor<B, 3>>,
    placing: &Placing<B>,
    grad: Tensor<B, 3>,
) -> (Tensor<B, 3>, Option<[Tensor<B, 1>; 2]>) {
    let Placing { heads, angles, positions, norms, epsilon } = placing;
    let [query, key, value] = parts(grad, *heads);
    let [query, key] = [query, key].map(|x| rotate(x, angles, positions.clone(), true));
    let (Some(x), Some([of_query, of_key])) = (x, norms) else {
        return (Tensor::cat(vec![query, key, value], 1), None);
    };
    let [of_queries, of_keys, _] = parts(x, *heads);
    let back = |x, weight: &Tensor<B, 1>, grad| {
        let ((x, dims), (grad, _)) = (by_head(x), by_head(grad));
        let back = B::rms_norm_back(x, weight.clone(), *epsilon, grad, None, false);
        (back.grad.reshape(dims), back.of_weight)
    };
    let (query, of_query) = back(of_queries, of_query, query);
    let (key, of_key) = back(of_keys, of_key, key);
    (Tensor::cat(vec![query, key, value], 1), Some([of_query, of_key]))
}

/// Each head as a row, and the shape that it was.
fn by_head<B: Backend>(x: Tensor<B, 3>) -> (Tensor<B, 2>, [usize; 3]) {
    let dims @ [rows, heads, width] = x.dims();
    (x.reshape([rows * heads, width]), dims)
}
