//! BK-Core: chains that each token turns on by its potential and its coupling.
use super::linear::{Linear, project_behind};
use super::mixer::Site;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
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
        let (both, chains) = (both.cast(DType::F32), self.potential.out());
        let part = |first, bias: &Param<Tensor<B, 1>>| {
            both.clone().narrow(1, first, chains) + bias.val().cast(DType::F32).unsqueeze()
        };
        let potential =
            part(0, &self.potential_bias).div_scalar(MOST_POTENTIAL).tanh().mul_scalar(MOST_POTENTIAL);
        let coupling = softplus(part(chains, &self.coupling_bias), 1.0);
        let links = Tensor::cat(vec![potential, coupling], 1).reshape([sequences, tokens, 2 * chains]);
        let eta = softplus(self.eta.val().cast(DType::F32), 1.0).add_scalar(LEAST_ETA);
        let found = B::link(links, eta, &Linking { begins: site.batch.begins() });
        let found = found.reshape([rows, 2 * chains]).cast(dtype);
        self.output.onto(x, found, site.dropped())
    }
}
