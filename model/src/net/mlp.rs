//! SwiGLU: `down(silu(gate x) * up x)`.
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
        let gated = B::swiglu(B::project(x.clone(), self.gate.val()), B::project(x, self.up.val()));
        B::project(gated, self.down.val())
    }
}
