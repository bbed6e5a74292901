//! What lets the tokens of a block know of each other: one of the mixers.
use super::{Attention, Batch, Chains, Hyperbolic, Latent, Learner, Setting};
use burn::prelude::*;
use muse_kernels::Ops;

/// A mixer. The weights of each are those of [`super::Weight::of_block`], in their order.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a block has one, and a module cannot stand in a box")]
pub enum Mixer<B: Backend> {
    /// Attention.
    Attention(Attention<B>),
    /// Multi-head latent attention.
    Latent(Latent<B>),
    /// Heads that learn from token to token.
    Learner(Learner<B>),
    /// Chains of BK-Core.
    Chains(Chains<B>),
    /// Attention by distance.
    Hyperbolic(Hyperbolic<B>),
}

impl<B: Ops> Mixer<B> {
    /// x and what the mixer of block `at` adds to it, and the largest logit of each head, where it has logits. The norm before it is the
    /// block's.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 2>,
        norm: Tensor<B, 1>,
        batch: &Batch<B>,
        setting: &Setting<B>,
        at: usize,
    ) -> (Tensor<B, 2>, Option<Tensor<B, 1>>) {
        match self {
            Self::Attention(mixer) => {
                let (x, peak) = mixer.forward(x, norm, batch, setting, at);
                (x, Some(peak))
            }
            Self::Latent(mixer) => {
                let (x, peak) = mixer.forward(x, norm, batch, setting, at);
                (x, Some(peak))
            }
            Self::Learner(mixer) => (mixer.forward(x, norm, batch, setting, at), None),
            Self::Chains(mixer) => (mixer.forward(x, norm, batch, setting, at), None),
            Self::Hyperbolic(mixer) => (mixer.forward(x, norm, batch, setting, at), None),
        }
    }

    /// Whether it has logits that are products of queries and keys.
    pub(super) fn has_logits(&self) -> bool {
        matches!(self, Self::Attention(_) | Self::Latent(_))
    }

    /// Multiplies the logits of each head by its factor, in the weights, where it has logits.
    pub(super) fn scale_logits(&mut self, factors: Tensor<B, 1>) {
        match self {
            Self::Attention(mixer) => mixer.scale_logits(factors),
            Self::Latent(mixer) => mixer.scale_logits(factors),
            Self::Learner(_) | Self::Chains(_) | Self::Hyperbolic(_) => {}
        }
    }
}
