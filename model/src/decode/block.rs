//! A block of a model in use: products that read the same numbers are one.
use crate::config::Shape;
use burn::prelude::*;
use muse_kernels::{Angles, Decode, Feed, Kept};

/// One block of the decoder.
pub(super) struct Block<B: Decode> {
    attention_norm: Tensor<B, 1>,
    /// Queries, keys and values, one below the other.
    queries_keys_values: B::Fixed,
    output: B::Fixed,
    query_norm: Option<Tensor<B, 1>>,
    key_norm: Option<Tensor<B, 1>>,
    mlp_norm: Tensor<B, 1>,
    /// Gate and up, likewise.
    gate_and_up: B::Fixed,
    down: B::Fixed,
    shape: Shape,
    norm_eps: f64,
}

type Flat<B> = (Tensor<B, 1>, Vec<usize>);

impl<B: Decode> Block<B> {
    /// Takes its weights in their order.
    pub(super) fn new<E>(
        shape: &Shape,
        norm_eps: f64,
        kept: Kept,
        next: &mut impl FnMut() -> Result<Flat<B>, E>,
    ) -> Result<Self, E> {
        let matrix = |(flat, shape): Flat<B>| -> Tensor<B, 2> { flat.reshape([shape[0], shape[1]]) };
        let fixed = |weight| B::fixed(weight, kept);
        let attention_norm = next()?.0;
        let (query, key, value) = (matrix(next()?), matrix(next()?), matrix(next()?));
        let output = fixed(matrix(next()?));
        let mut norm = || if shape.qk_norm { next().map(|(norm, _)| Some(norm)) } else { Ok(None) };
        let (query_norm, key_norm) = (norm()?, norm()?);
        let mlp_norm = next()?.0;
        let (gate, up) = (matrix(next()?), matrix(next()?));
        Ok(Self {
            attention_norm,
            queries_keys_values: fixed(Tensor::cat(vec![query, key, value], 0)),
            output,
            query_norm,
            key_norm,
            mlp_norm,
            gate_and_up: fixed(Tensor::cat(vec![gate, up], 0)),
            down: fixed(matrix(next()?)),
            shape: *shape,
            norm_eps,
        })
    }

    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, positions `[rows]`
    pub(super) fn run(
        &self,
        x: Tensor<B, 2>,
        angles: &Angles<B>,
        places: &Tensor<B, 1, Int>,
        cache: &mut B::Cache,
        feeds: &[Feed],
        window: Option<usize>,
    ) -> Tensor<B, 2> {
        let ([rows, _], shape) = (x.dims(), &self.shape);
        let (queries, keys) = (shape.query_width(), shape.key_width());
        let normed = B::rms_norm(x.clone(), self.attention_norm.clone(), self.norm_eps);
        let all = B::times(normed, &self.queries_keys_values);
        let part = |from: usize, len: usize| all.clone().narrow(1, from, len);
        let placed = |x: Tensor<B, 2>, norm: &Option<Tensor<B, 1>>| {
            let [_, wide] = x.dims();
            let (heads, width) = (wide / shape.head_width, shape.head_width);
            let x = match norm {
                None => x,
                Some(norm) => B::rms_norm(x.reshape([rows * heads, width]), norm.clone(), self.norm_eps)
                    .reshape([rows, wide]),
            };
            B::rotate(x.reshape([rows, heads, width]), angles, places.clone(), false)
        };
        let query = placed(part(0, queries), &self.query_norm);
        let key = placed(part(queries, keys), &self.key_norm);
        let value = part(queries + keys, keys).reshape([rows, shape.kv_heads, shape.head_width]);
        let attended = B::attend_kept([query, key, value], cache, feeds, window).reshape([rows, queries]);
        let x = B::add(x, B::times(attended, &self.output));
        let normed = B::rms_norm(x.clone(), self.mlp_norm.clone(), self.norm_eps);
        let both = B::times(normed, &self.gate_and_up);
        let part = |from| both.clone().narrow(1, from, shape.ffn);
        let gated = B::swiglu(part(0), part(shape.ffn));
        B::add(x, B::times(gated, &self.down))
    }
}
