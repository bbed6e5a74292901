//! A block: attention and SwiGLU, each behind a norm, each added to what came in.
use super::{Attention, Batch, Mlp, Setting};
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::Ops;

/// One block of the decoder.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    pub(super) attention_norm: Param<Tensor<B, 1>>,
    pub(super) attention: Attention<B>,
    pub(super) mlp_norm: Param<Tensor<B, 1>>,
    pub(super) mlp: Mlp<B>,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Block<B> {
    /// Runs the block, which is number `at`; gives the largest logit of each head beside.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: &Batch<B>,
        setting: &Setting<B>,
        at: usize,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let place = 2 * at as u64 + 1;
        let (attended, peak) =
            self.attention.forward(x.clone(), self.attention_norm.val(), batch, setting, at);
        let x = B::add(x, setting.dropped.apply(attended, place));
        let added = self.mlp.forward(x.clone(), self.mlp_norm.val(), self.norm_eps);
        (B::add(x, setting.dropped.apply(added, place + 1)), peak)
    }
}
