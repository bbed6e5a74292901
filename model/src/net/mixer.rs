//! What lets the tokens of a block know of each other: one of the mixers.
use super::{Attention, Batch, Chains, Hyperbolic, Latent, Learner, Setting};
use burn::prelude::*;
use muse_kernels::{Dropout, Ops, Sight};

/// Where a part of a block is run: behind which norm, for which tokens, and in which block.
pub struct Site<'a, B: Backend> {
    /// `[width]`: the weight of the norm before it.
    pub norm: Tensor<B, 1>,
    /// The tokens.
    pub batch: &'a Batch<B>,
    /// How they are run.
    pub setting: &'a Setting<B>,
    /// Which block it is.
    pub at: usize,
}

impl<B: Backend> Site<'_, B> {
    /// What heads of so many numbers see.
    pub(super) fn sight(&self, width: usize) -> Sight<B> {
        let scale = 1.0 / (width as f64).sqrt();
        let dropped = self.setting.dropped.within(self.at);
        Sight { starts: self.batch.starts.clone(), scale, dropped }
    }

    /// What is dropped of that which the mixer adds.
    pub(super) fn dropped(&self) -> Dropout {
        self.setting.dropped.of_attention(self.at)
    }

    /// The same of SwiGLU or of experts.
    pub(super) fn dropped_of_mlp(&self) -> Dropout {
        self.setting.dropped.of_mlp(self.at)
    }
}

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
    /// x and what the mixer adds to it, and the largest logit of each head, where it has logits.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 2>,
        site: &Site<'_, B>,
    ) -> (Tensor<B, 2>, Option<Tensor<B, 1>>) {
        match self {
            Self::Attention(mixer) => {
                let (x, peak) = mixer.forward(x, site);
                (x, Some(peak))
            }
            Self::Latent(mixer) => {
                let (x, peak) = mixer.forward(x, site);
                (x, Some(peak))
            }
            Self::Learner(mixer) => (mixer.forward(x, site), None),
            Self::Chains(mixer) => (mixer.forward(x, site), None),
            Self::Hyperbolic(mixer) => (mixer.forward(x, site), None),
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
