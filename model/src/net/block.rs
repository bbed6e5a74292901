//! A block: a mixer and SwiGLU, each behind a norm, each added to what came in.
use super::mixer::Site;
use super::{Batch, Mixer, Mlp, Setting};
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::Ops;

/// One block of the decoder.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    pub(super) mixer_norm: Param<Tensor<B, 1>>,
    pub(super) mixer: Mixer<B>,
    pub(super) mlp_norm: Param<Tensor<B, 1>>,
    pub(super) mlp: Mlp<B>,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Block<B> {
    /// Runs the block, which is number `at`; gives the largest logit of each head beside, where its mixer has logits.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: &Batch<B>,
        setting: &Setting<B>,
        at: usize,
    ) -> (Tensor<B, 2>, Option<Tensor<B, 1>>) {
        let (x, peak) = self.mixer.forward(x, &Site { norm: self.mixer_norm.val(), batch, setting, at });
        let dropped = setting.dropped.of_mlp(at);
        (self.mlp.forward(x, self.mlp_norm.val(), self.norm_eps, dropped), peak)
    }
}
