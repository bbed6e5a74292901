//! SwiGLU: `down(silu(gate x) * up x)`.
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::{Dropout, Ops};

/// The three matrices of SwiGLU, each `[out, in]`.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    pub(super) gate: Param<Tensor<B, 2>>,
    pub(super) up: Param<Tensor<B, 2>>,
    pub(super) down: Param<Tensor<B, 2>>,
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
        let both = B::project_normed(x.clone(), norm, epsilon, vec![self.gate.val(), self.up.val()]);
        B::project_gated_onto(x, both, self.down.val(), dropped)
    }
}
