//! SwiGLU: `down(silu(gate x) * up x)`.
use super::linear::{Linear, project_behind};
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
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        norm: Tensor<B, 1>,
        epsilon: f64,
        dropped: Dropout,
    ) -> Tensor<B, 2> {
        let both = project_behind(x.clone(), Some(norm), epsilon, &[&self.gate, &self.up]);
        self.down.gated_onto(x, both, dropped)
    }
}
