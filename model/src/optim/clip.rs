//! What keeps a step within bounds: gradients by their global norm, and heads of attention by their largest logit.
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;

/// The root of the sum of squares over all gradients. Asks the device once, for all of them.
pub fn global_norm<'a, B: Ops>(grads: impl IntoIterator<Item = &'a Tensor<B, 1>>) -> f64 {
    let grads: Vec<_> = grads.into_iter().cloned().collect();
    if grads.is_empty() {
        return 0.0;
    }
    B::squares(grads).into_data().iter::<f64>().sum::<f64>().sqrt()
}

/// What gradients of this global norm are multiplied by, so that it is `most` at most.
pub fn clip_scale(norm: f64, most: f64) -> f64 {
    if norm > most { most / norm } else { 1.0 }
}

/// QK-clip: scales the weights of each head whose largest logit is above the threshold, so that on the same batch it would be
/// at the threshold. Queries that share keys with others take the whole factor, since these keys are not theirs alone; where
/// each head has its own keys both sides take its root. Nothing is asked of the device.
///
/// # Shapes
/// peaks `[heads]` (of the forward pass of this step's batch), query `[heads * head_width, width]`, key
/// `[kv_heads * head_width, width]`
pub fn qk_clip<B: Ops>(
    peaks: Tensor<B, 1>,
    threshold: f64,
    query: Tensor<B, 2>,
    key: Tensor<B, 2>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let [heads] = peaks.dims();
    let peaks = peaks.clamp_min(threshold);
    // Divided, and not multiplied by what one is divided by it: that is one for every head that stays.
    let factors = peaks.zeros_like().add_scalar(threshold) / peaks;
    if query.dims()[0] == key.dims()[0] {
        let roots = factors.sqrt();
        (scaled(query, roots.clone(), heads), scaled(key, roots, heads))
    } else {
        (scaled(query, factors, heads), key)
    }
}

/// The rows of each head, times its factor.
fn scaled<B: Ops>(weight: Tensor<B, 2>, factors: Tensor<B, 1>, heads: usize) -> Tensor<B, 2> {
    let ([rows, width], dtype) = (weight.dims(), weight.dtype());
    let weight = if dtype == DType::F32 { weight } else { weight.cast(DType::F32) };
    let by_head = weight.reshape([heads, rows / heads * width]);
    let scaled = (by_head * factors.unsqueeze_dim(1)).reshape([rows, width]);
    if dtype == DType::F32 { scaled } else { scaled.cast(dtype) }
}
