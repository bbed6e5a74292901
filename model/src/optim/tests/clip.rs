//! QK-clip, with the whole way from weights to logits.
use super::*;
use crate::optim::qk_clip;
use muse_kernels::{Angles, Dropout, Placing, Sight};

const TOKENS: usize = 20;
const WIDTH: usize = 32;
const HEAD: usize = 8;
const HEADS: usize = 4;

/// The largest logit of each head: projected, turned, attended.
fn peaks(query: &Tensor<B, 2>, key: &Tensor<B, 2>) -> Tensor<B, 1> {
    let device = Default::default();
    let x = tensor(&numbers(TOKENS * WIDTH, 1)).reshape([TOKENS, WIDTH]);
    let turns = |f: fn(f32) -> f32| {
        let angle = |at: usize| (at / (HEAD / 2)) as f32 * 10_f32.powf(-((at % (HEAD / 2)) as f32));
        let all: Vec<f32> = (0..TOKENS * HEAD / 2).map(|at| f(angle(at))).collect();
        tensor(&all).reshape([TOKENS, HEAD / 2])
    };
    let angles = Angles { cos: turns(f32::cos), sin: turns(f32::sin) };
    let positions = Tensor::arange(0..TOKENS as i64, &device);
    let all = B::project(x, vec![query.clone(), key.clone(), key.clone()]);
    let [heads, kv] = [query, key].map(|weight| weight.dims()[0] / HEAD);
    let placing = Placing { heads, angles, positions, norms: None, epsilon: 0.0 };
    let placed = B::place(all.reshape([TOKENS, heads + 2 * kv, HEAD]), &placing);
    let starts = Tensor::zeros([1, TOKENS], &device);
    let sight = Sight { starts, scale: (HEAD as f64).powf(-0.5), dropped: Dropout::NONE };
    B::attend(placed.reshape([1, TOKENS, heads + 2 * kv, HEAD]), heads, &sight).peak
}

fn clipped(kv_heads: usize) {
    let query = tensor(&numbers(HEADS * HEAD * WIDTH, 2)).reshape([HEADS * HEAD, WIDTH]);
    // Each head louder than the one before.
    let loud = tensor(&[0.02, 0.2, 0.7, 3.0]).reshape([HEADS, 1]).repeat_dim(1, HEAD);
    let query = query * loud.reshape([HEADS * HEAD, 1]);
    let key = tensor(&numbers(kv_heads * HEAD * WIDTH, 3)).reshape([kv_heads * HEAD, WIDTH]);
    let before = peaks(&query, &key);
    let threshold = f64::from(floats(before.clone())[2]) * 0.6;
    let (new_query, new_key) =
        qk_clip::<B>(before.clone(), threshold, &tensor(&[1.0]), query.clone(), key.clone());
    let after = floats(peaks(&new_query, &new_key));
    let before = floats(before);
    assert!(before.iter().any(|peak| f64::from(*peak) < threshold), "{before:?}");
    for (head, (before, after)) in before.iter().zip(after).enumerate() {
        let right = f64::from(*before).min(threshold);
        assert!((f64::from(after) / right - 1.0).abs() < 1e-5, "head {head}: {after}, but it is {right}");
    }
    // Nothing changes where nothing is too loud.
    for threshold in [100.0, 41.0] {
        let quiet = tensor(&[-5.0, 0.0, 1.0, 40.9]);
        let (same_query, same_key) =
            qk_clip::<B>(quiet, threshold, &tensor(&[1.0]), query.clone(), key.clone());
        assert_eq!((floats(same_query), floats(same_key)), (floats(query.clone()), floats(key.clone())));
    }
    // Nor where the step changes nothing.
    let none = tensor(&[f32::NAN]);
    let loud = tensor(&[900.0, f32::NAN, f32::INFINITY, 0.0]);
    let (same_query, same_key) = qk_clip::<B>(loud, threshold, &none, query.clone(), key.clone());
    assert_eq!((floats(same_query), floats(same_key)), (floats(query.clone()), floats(key.clone())));
    if kv_heads < HEADS {
        assert_eq!(floats(new_key), floats(key), "keys that heads share stay");
    } else {
        assert_ne!(floats(new_key), floats(key), "a head's own keys take their part");
    }
}

#[test]
fn each_head_comes_to_the_threshold() {
    clipped(HEADS);
}

#[test]
fn each_head_of_a_group_comes_to_the_threshold() {
    clipped(2);
    clipped(1);
}

#[test]
fn weights_in_bf16_stay_so() {
    let query = Tensor::<B, 2>::ones([8, 4], &Default::default()).cast(DType::BF16);
    let (query, key) = qk_clip::<B>(tensor(&[400.0, 50.0]), 100.0, &tensor(&[1.0]), query.clone(), query);
    assert_eq!((query.dtype(), key.dtype()), (DType::BF16, DType::BF16));
    assert_eq!(floats(query.narrow(1, 0, 1)), [0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]);
}
