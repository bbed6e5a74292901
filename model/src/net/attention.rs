//! Attention: projections, norms of queries and keys if wished, rotary places, shared keys.
use super::linear::{Linear, of_heads, project_behind};
use super::mixer::Site;
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::{Ops, Placing};

/// The matrices of attention, and the norms of its heads.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    pub(super) query: Linear<B>,
    pub(super) key: Linear<B>,
    pub(super) value: Linear<B>,
    pub(super) output: Linear<B>,
    pub(super) query_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) key_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) head_width: usize,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Attention<B> {
    /// x and what attention adds to it, and the largest logit of each head.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub fn forward(&self, x: Tensor<B, 2>, site: &Site<'_, B>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let placed = self.placed(x.clone(), site);
        let attended = B::attend(placed, self.heads(), &site.sight(self.head_width));
        (self.added(x, attended.output, site), attended.peak)
    }

    /// Queries, keys and values, with their norms and turned by their places.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[batch, tokens, heads + 2 kv_heads, head_width]`
    pub(super) fn placed(&self, x: Tensor<B, 2>, site: &Site<'_, B>) -> Tensor<B, 4> {
        let ([sequences, tokens], width) = (site.batch.starts.dims(), self.head_width);
        let sources = [&self.query, &self.key, &self.value];
        let all = project_behind(x, Some(site.norm.clone()), self.norm_eps, &sources);
        let [rows, across] = all.dims();
        let placing = Placing {
            heads: self.heads(),
            angles: site.setting.angles.clone(),
            positions: site.batch.positions.clone(),
            norms: self.norms(),
            epsilon: self.norm_eps,
        };
        B::place(all.reshape([rows, across / width, width]), &placing).reshape([
            sequences,
            tokens,
            across / width,
            width,
        ])
    }

    /// x and what comes of the heads' answers `[batch, tokens, heads, head_width]`.
    pub(super) fn added(&self, x: Tensor<B, 2>, answers: Tensor<B, 4>, site: &Site<'_, B>) -> Tensor<B, 2> {
        let [rows, _] = x.dims();
        let answers = answers.reshape([rows, self.heads() * self.head_width]);
        self.output.onto(x, answers, site.dropped())
    }

    /// How many heads of queries there are.
    pub(super) fn heads(&self) -> usize {
        self.query.out() / self.head_width
    }

    /// Multiplies the logits of each head by its factor. Queries that share keys with others take the whole factor, since these keys are
    /// not theirs alone; where each head has its own keys both sides take its root.
    pub(super) fn scale_logits(&mut self, factors: Tensor<B, 1>) {
        let width = self.head_width;
        if self.query.out() == self.key.out() {
            let roots = factors.sqrt();
            self.query.scale_rows(of_heads(roots.clone(), width));
            self.key.scale_rows(of_heads(roots, width));
        } else {
            self.query.scale_rows(of_heads(factors, width));
        }
    }

    /// The norms of queries and keys.
    fn norms(&self) -> Option<[Tensor<B, 1>; 2]> {
        Some([self.query_norm.as_ref()?.val(), self.key_norm.as_ref()?.val()])
    }
}
