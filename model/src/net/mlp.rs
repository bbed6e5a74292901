//! SwiGLU: `down(silu(gate x) * up x)`.
use super::linear::{Linear, project_behind};
use super::mixer::Site;
use burn::prelude::*;
use muse_kernels::{Dropout, Ops};

/// The three matrices of SwiGLU.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    pub(super) gate: Linear<B>,
    pub(super) up: Linear<B>,
    pub(super) down: Linear<B>,
}

impl<B: Ops> Mlp<B> {
    /// x, and what it adds to that behind the block's norm.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn forward(&self, x: Tensor<B, 2>, epsilon: f64, site: &Site<'_, B>) -> Tensor<B, 2> {
        let both = project_behind(x.clone(), Some(site.norm.clone()), epsilon, &[&self.gate, &self.up]);
        self.down.gated_onto(x, both, site.dropped_of_mlp())
    }

    /// `sum`, and what it makes of rows that are behind their norm.
    ///
    /// # Shapes
    /// both `[rows, width]` -> `[rows, width]`
    pub(super) fn onto(&self, sum: Tensor<B, 2>, normed: Tensor<B, 2>, dropped: Dropout) -> Tensor<B, 2> {
        let both = project_behind(normed, None, 0.0, &[&self.gate, &self.up]);
        self.down.gated_onto(sum, both, dropped)
    }
}
