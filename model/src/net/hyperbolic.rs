//! Attention by how near queries and keys are in hyperbolic space.
use super::Attention;
use super::mixer::Site;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::softplus;
use muse_kernels::Ops;

/// The bounds of a curvature.
pub(crate) const CURVATURE: [f64; 2] = [0.01, 10.0];

/// The matrices of attention, and what each head's space is like.
#[derive(Module, Debug)]
pub struct Hyperbolic<B: Backend> {
    pub(super) attention: Attention<B>,
    /// `[heads]`: the curvature behind softplus.
    pub(super) curvature: Param<Tensor<B, 1>>,
    /// `[heads]`: how much a distance counts, behind softplus.
    pub(super) sharpness: Param<Tensor<B, 1>>,
    /// How many tokens each one sees at most.
    #[module(skip)]
    pub(super) window: Option<usize>,
}

impl<B: Ops> Hyperbolic<B> {
    /// x and what attention adds to it.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn forward(&self, x: Tensor<B, 2>, site: &Site<'_, B>) -> Tensor<B, 2> {
        let placed = self.attention.placed(x.clone(), site);
        let of = |weight: &Param<Tensor<B, 1>>| softplus(weight.val().cast(DType::F32), 1.0);
        let [least, most] = CURVATURE;
        let spaces = Tensor::stack::<2>(vec![of(&self.curvature).clamp(least, most), of(&self.sharpness)], 0);
        let sight = site.sight(self.attention.head_width);
        let answers = B::attend_near(placed, spaces, &sight, self.window);
        self.attention.added(x, answers, site)
    }
}
