//! Attention: projections, norms of queries and keys if wished, rotary places, shared keys.
use super::linear::{Linear, project_normed};
use super::{Batch, Setting};
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::{Ops, Placing, Sight};

/// The matrices of attention, and the norms of its heads.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    pub(super) query: Linear<B>,
    pub(super) key: Linear<B>,
    pub(super) value: Linear<B>,
    pub(super) output: Linear<B>,
    pub(super) query_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) key_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) head_width: usize,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Attention<B> {
    /// x and what the attention of block `at` adds to it, and the largest logit of each head. The norm before it is the block's.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        norm: Tensor<B, 1>,
        batch: &Batch<B>,
        setting: &Setting<B>,
        at: usize,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let ([sequences, tokens], width) = (batch.starts.dims(), self.head_width);
        let (heads, rows) = (self.query.out() / width, sequences * tokens);
        let sources = [&self.query, &self.key, &self.value];
        let all = project_normed(x.clone(), norm, self.norm_eps, sources);
        let [_, across] = all.dims();
        let placed = B::place(
            all.reshape([rows, across / width, width]),
            &Placing {
                heads,
                angles: setting.angles.clone(),
                positions: batch.positions.clone(),
                norms: self.norms(),
                epsilon: self.norm_eps,
            },
        );
        let scale = 1.0 / (width as f64).sqrt();
        let sight = Sight { starts: batch.starts.clone(), scale, dropped: setting.dropped.within(at) };
        let attended = B::attend(placed.reshape([sequences, tokens, across / width, width]), heads, &sight);
        let output = attended.output.reshape([rows, heads * width]);
        (self.output.onto(x, output, setting.dropped.of_attention(at)), attended.peak)
    }

    /// The norms of queries and keys.
    fn norms(&self) -> Option<[Tensor<B, 1>; 2]> {
        Some([self.query_norm.as_ref()?.val(), self.key_norm.as_ref()?.val()])
    }
}
