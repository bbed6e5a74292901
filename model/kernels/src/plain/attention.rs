//! Attention with all logits of a batch at once.
use super::{dropout, narrow, parts, wide};
use crate::ops::{Attended, Ops, Sight};
use burn::prelude::*;

/// `[batch, tokens, kv_heads, width]` as `[batch, heads, tokens, width]`, each head of keys repeated for its group.
pub(crate) fn by_head<B: Backend>(x: Tensor<B, 4>, heads: usize) -> Tensor<B, 4> {
    let [batch, tokens, own, width] = x.dims();
    let x = x.swap_dims(1, 2);
    if own == heads {
        return x;
    }
    x.unsqueeze_dim::<5>(2).repeat_dim(2, heads / own).reshape([batch, heads, tokens, width])
}

/// The gradients of repeated heads, summed over each group: the way back of [`by_head`].
pub(crate) fn by_token<B: Backend>(x: Tensor<B, 4>, own: usize) -> Tensor<B, 4> {
    let [batch, heads, tokens, width] = x.dims();
    let x = if own == heads {
        x
    } else {
        x.reshape([batch, own, heads / own, tokens, width]).sum_dim(2).reshape([batch, own, tokens, width])
    };
    x.swap_dims(1, 2)
}

/// True where a token may not look: `[batch, 1, tokens, tokens]`.
fn hidden<B: Backend>(starts: Tensor<B, 2, Int>) -> Tensor<B, 4, Bool> {
    let [_, tokens] = starts.dims();
    let places = Tensor::<B, 1, Int>::arange(0..tokens as i64, &starts.device());
    let keys = places.clone().reshape([1, 1, tokens]);
    let before = keys.clone().lower(starts.unsqueeze_dim::<3>(2));
    let after = keys.greater(places.reshape([1, tokens, 1]));
    before.bool_or(after).unsqueeze_dim(1)
}

/// Logits, minus infinity where nothing is seen.
fn logits<B: Ops>(query: Tensor<B, 4>, key: Tensor<B, 4>, sight: &Sight<B>) -> Tensor<B, 4> {
    let [batch, heads, tokens, _] = query.dims();
    let logits = wide(B::multiply(query, key.swap_dims(2, 3))).mul_scalar(sight.scale);
    let hidden = hidden(sight.starts.clone()).expand([batch, heads, tokens, tokens]);
    logits.mask_fill(hidden, f64::NEG_INFINITY)
}

pub(crate) fn attend<B: Ops>(x: Tensor<B, 4>, heads: usize, sight: &Sight<B>) -> Attended<B> {
    let (dtype, [batch, tokens, _, _]) = (x.dtype(), x.dims());
    let [query, key, value] = parts(x, heads);
    let logits = logits(query.swap_dims(1, 2), by_head(key, heads), sight);
    let largest = logits.clone().max_dim(3);
    let exponents = (logits - largest.clone()).exp();
    let sum = exponents.clone().sum_dim(3);
    let shares = narrow(dropout(exponents / sum.clone(), sight.dropped), dtype);
    Attended {
        output: B::multiply(shares, by_head(value, heads)).swap_dims(1, 2),
        lse: (sum.log() + largest.clone()).reshape([batch, heads, tokens]),
        peak: largest.max_dim(2).max_dim(0).reshape([heads]),
    }
}

pub(crate) fn attend_back<B: Ops>(
    x: Tensor<B, 4>,
    sight: &Sight<B>,
    attended: Attended<B>,
    grad: Tensor<B, 4>,
) -> Tensor<B, 4> {
    let (dtype, [_, _, heads, _]) = (x.dtype(), grad.dims());
    let [query, key, value] = parts(x, heads);
    let [_, _, own, _] = key.dims();
    let query = query.swap_dims(1, 2);
    let (key, value) = (by_head(key, heads), by_head(value, heads));
    let (output, grad) = (attended.output.swap_dims(1, 2), grad.swap_dims(1, 2));
    let logits = logits(query.clone(), key.clone(), sight);
    let shares = (logits - attended.lse.unsqueeze_dim(3)).exp();
    let stayed = narrow(dropout(shares.clone(), sight.dropped), dtype);
    let of_value = B::multiply(stayed.swap_dims(2, 3), grad.clone());
    let delta = (wide(grad.clone()) * wide(output)).sum_dim(3);
    let of_shares = dropout(wide(B::multiply(grad, value.swap_dims(2, 3))), sight.dropped);
    let of_logits = narrow((shares * (of_shares - delta)).mul_scalar(sight.scale), dtype);
    let of_query = B::multiply(of_logits.clone(), key).swap_dims(1, 2);
    let of_key = B::multiply(of_logits.swap_dims(2, 3), query);
    Tensor::cat(vec![of_query, by_token(of_key, own), by_token(of_value, own)], 2)
}
