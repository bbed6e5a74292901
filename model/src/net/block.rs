//! A block: a mixer, and SwiGLU or experts, each behind a norm, each added to what came in.
use super::mixer::Site;
use super::{Batch, Feed, Mixer, Setting};
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::Ops;

/// One block of the decoder.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    pub(super) mixer_norm: Param<Tensor<B, 1>>,
    pub(super) mixer: Mixer<B>,
    pub(super) feed_norm: Param<Tensor<B, 1>>,
    pub(super) feed: Feed<B>,
    pub(super) norm_eps: f64,
}

/// What was seen of a block while it was run.
pub struct Seen<B: Backend> {
    /// `[heads]`: the largest logit of each, where its mixer has logits.
    pub peak: Option<Tensor<B, 1>>,
    /// How many tokens went through each expert, where it has any.
    pub loads: Option<Vec<u32>>,
}

impl<B: Ops> Block<B> {
    /// Runs the block, which is number `at`.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: &Batch<B>,
        setting: &Setting<B>,
        at: usize,
    ) -> (Tensor<B, 2>, Seen<B>) {
        let site = |norm: &Param<Tensor<B, 1>>| Site { norm: norm.val(), batch, setting, at };
        let (x, peak) = self.mixer.forward(x, &site(&self.mixer_norm));
        let (x, loads) = self.feed.forward(x, self.norm_eps, &site(&self.feed_norm));
        (x, Seen { peak, loads })
    }
}
