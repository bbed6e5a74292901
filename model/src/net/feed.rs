//! What a block does with each token by itself: SwiGLU, or experts, of which each is one.
use super::mixer::Site;
use super::{Experts, Mlp};
use burn::prelude::*;
use muse_kernels::Ops;

/// SwiGLU or experts.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a block has one, and a module cannot stand in a box")]
pub enum Feed<B: Backend> {
    /// One for all tokens.
    Dense(Mlp<B>),
    /// Many, of which each token goes through some.
    Experts(Experts<B>),
}

impl<B: Ops> Feed<B> {
    /// x, and what it adds to that behind the block's norm; and how many tokens went through each expert, where there are any.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 2>,
        epsilon: f64,
        site: &Site<'_, B>,
    ) -> (Tensor<B, 2>, Option<Vec<u32>>) {
        match self {
            Self::Dense(mlp) => (mlp.forward(x, epsilon, site), None),
            Self::Experts(experts) => {
                let (x, loads) = experts.forward(x, epsilon, site);
                (x, Some(loads))
            }
        }
    }
}
