//! BK-Core: chains that each token turns on by its potential and its coupling.
use super::linear::{Linear, project_behind};
use super::mixer::Site;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::activation::softplus;
use muse_kernels::{Linking, Ops};

/// No potential is larger.
pub(crate) const MOST_POTENTIAL: f64 = 5.0;
/// What keeps chains apart from zero is no less.
pub(crate) const LEAST_ETA: f64 = 1e-4;

/// The matrices around chains.
#[derive(Module, Debug)]
pub struct Chains<B: Backend> {
    pub(super) potential: Linear<B>,
    pub(super) coupling: Linear<B>,
    pub(super) output: Linear<B>,
    pub(super) potential_bias: Param<Tensor<B, 1>>,
    pub(super) coupling_bias: Param<Tensor<B, 1>>,
    pub(super) eta: Param<Tensor<B, 1>>,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Chains<B> {
    /// x and what chains add to it.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn forward(&self, x: Tensor<B, 2>, site: &Site<'_, B>) -> Tensor<B, 2> {
        let (dtype, [sequences, tokens], [rows, _]) = (x.dtype(), site.batch.starts.dims(), x.dims());
        let both = project_behind(
            x.clone(),
            Some(site.norm.clone()),
            self.norm_eps,
            &[&self.potential, &self.coupling],
        );
        let (across, biases) = (both.dims()[1], [self.potential_bias.val(), self.coupling_bias.val()]);
        let links = B::bounded(both, biases, MOST_POTENTIAL).reshape([sequences, tokens, across]);
        let eta = softplus(self.eta.val(), 1.0).add_scalar(LEAST_ETA);
        let found = B::link(links, eta, &Linking { begins: site.batch.begins() });
        let found = found.reshape([rows, across]).cast(dtype);
        self.output.onto(x, found, site.dropped())
    }
}
