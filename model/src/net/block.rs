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
        let (x, peak) = self.attention.forward(x, self.attention_norm.val(), batch, setting, at);
        let dropped = setting.dropped.of_mlp(at);
        (self.mlp.forward(x, self.mlp_norm.val(), self.norm_eps, dropped), peak)
    }
}
