//! SwiGLU: `down(silu(gate x) * up x)`.
use super::linear;
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::Ops;

/// The three matrices of SwiGLU, each `[out, in]`.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    pub(super) gate: Param<Tensor<B, 2>>,
    pub(super) up: Param<Tensor<B, 2>>,
    pub(super) down: Param<Tensor<B, 2>>,
}

impl<B: Ops> Mlp<B> {
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let gated = B::swiglu(linear(x.clone(), &self.gate), linear(x, &self.up));
        linear(gated, &self.down)
    }
}
