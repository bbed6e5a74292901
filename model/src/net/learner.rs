//! Test-time training: heads that learn from token to token which value belongs to which key.
use super::linear::{Linear, project_behind};
use super::mixer::Site;
use burn::prelude::*;
use muse_kernels::{Learning, Ops};

/// The matrices around heads that learn.
#[derive(Module, Debug)]
pub struct Learner<B: Backend> {
    /// None where keys are queries and values too.
    pub(super) query: Option<Linear<B>>,
    pub(super) key: Linear<B>,
    pub(super) value: Option<Linear<B>>,
    pub(super) output: Linear<B>,
    pub(super) head_width: usize,
    pub(super) rate: f64,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Learner<B> {
    /// x and what heads add to it.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn forward(&self, x: Tensor<B, 2>, site: &Site<'_, B>) -> Tensor<B, 2> {
        let views: Vec<_> = self.query.iter().chain([&self.key]).chain(&self.value).collect();
        let all = project_behind(x.clone(), Some(site.norm.clone()), self.norm_eps, &views);
        let ([sequences, tokens], [rows, across], width) =
            (site.batch.starts.dims(), all.dims(), self.head_width);
        let heads = self.key.out() / width;
        let learning = Learning { heads, begins: site.batch.begins(), rate: self.rate };
        let answers = B::learn(all.reshape([sequences, tokens, across / width, width]), &learning);
        let answers = answers.reshape([rows, heads * width]);
        self.output.onto(x, answers, site.dropped())
    }
}
