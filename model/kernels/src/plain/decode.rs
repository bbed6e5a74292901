//! Attention to keys and values that are kept, as tensors.
use crate::decode::{CacheSize, Feed};
use crate::ops::Ops;
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::softmax;

/// The keys and values of one block, `[slots, heads, context, width]`.
pub(crate) struct Cache<B: Backend> {
    keys: Tensor<B, 4>,
    values: Tensor<B, 4>,
}

pub(crate) fn cache<B: Backend>(size: CacheSize, device: &B::Device) -> Cache<B> {
    let CacheSize { slots, context, heads, width, .. } = size;
    let empty = || Tensor::zeros([slots, heads, context, width], (device, DType::F32));
    Cache { keys: empty(), values: empty() }
}

pub(crate) fn attend_kept<B: Ops>(
    [query, key, value]: [Tensor<B, 3>; 3],
    cache: &mut Cache<B>,
    feeds: &[Feed],
    window: Option<usize>,
) -> Tensor<B, 3> {
    let mut row = 0;
    let attended = feeds.iter().map(|feed| {
        let rows = row..row + feed.tokens;
        row = rows.end;
        let by_head = |x: &Tensor<B, 3>| x.clone().slice([rows.clone()]).swap_dims(0, 1).unsqueeze::<4>();
        cache.keys = put(cache.keys.clone(), by_head(&key), feed);
        cache.values = put(cache.values.clone(), by_head(&value), feed);
        attend(by_head(&query), [&cache.keys, &cache.values].map(|all| seen(all, feed)), feed, window)
    });
    Tensor::cat(attended.collect(), 0)
}

fn put<B: Backend>(all: Tensor<B, 4>, new: Tensor<B, 4>, feed: &Feed) -> Tensor<B, 4> {
    let [_, heads, _, width] = all.dims();
    let places = feed.held..feed.held + feed.tokens;
    all.slice_assign([feed.slot..feed.slot + 1, 0..heads, places, 0..width], new)
}

/// What a text has so far.
fn seen<B: Backend>(all: &Tensor<B, 4>, feed: &Feed) -> Tensor<B, 4> {
    let [_, heads, _, width] = all.dims();
    all.clone().slice([feed.slot..feed.slot + 1, 0..heads, 0..feed.held + feed.tokens, 0..width])
}

/// # Shapes
/// query `[1, heads, tokens, width]`, keys and values `[1, kv_heads, seen, width]` -> `[tokens, heads, width]`
fn attend<B: Ops>(
    query: Tensor<B, 4>,
    [keys, values]: [Tensor<B, 4>; 2],
    feed: &Feed,
    window: Option<usize>,
) -> Tensor<B, 3> {
    let ([_, heads, tokens, width], [_, kv_heads, len, _]) = (query.dims(), keys.dims());
    let shared = |x: Tensor<B, 4>| {
        x.unsqueeze_dim::<5>(2).repeat_dim(2, heads / kv_heads).reshape([1, heads, len, width])
    };
    let logits = B::multiply(query, shared(keys).swap_dims(2, 3)).mul_scalar(1.0 / (width as f64).sqrt());
    let hidden: Vec<bool> = (feed.held..feed.held + tokens)
        .flat_map(|place| {
            let first = window.map_or(0, |window| (place + 1).saturating_sub(window));
            (0..len).map(move |key| key < first || key > place)
        })
        .collect();
    let hidden =
        Tensor::<B, 4, Bool>::from_data(TensorData::new(hidden, [1, 1, tokens, len]), &logits.device());
    let logits = logits.mask_fill(hidden.expand([1, heads, tokens, len]), f64::NEG_INFINITY);
    B::multiply(softmax(logits, 3), shared(values)).swap_dims(1, 2).reshape([tokens, heads, width])
}
