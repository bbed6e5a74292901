//! Attention: projections, norms of queries and keys if wished, rotary places, shared keys.
use super::{Batch, Setting};
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::{Ops, Sight};

/// The matrices of attention, each `[out, in]`, and the norms of its heads.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    pub(super) query: Param<Tensor<B, 2>>,
    pub(super) key: Param<Tensor<B, 2>>,
    pub(super) value: Param<Tensor<B, 2>>,
    pub(super) output: Param<Tensor<B, 2>>,
    pub(super) query_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) key_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) head_width: usize,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Attention<B> {
    /// What the attention of block `at` adds, and the largest logit of each head.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: &Batch<B>,
        setting: &Setting<B>,
        at: usize,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let ([sequences, tokens], width) = (batch.starts.dims(), self.head_width);
        let by_head = |x: Tensor<B, 2>| {
            let [_, all] = x.dims();
            x.reshape([sequences, tokens, all / width, width])
        };
        let query = self.placed(B::project(x.clone(), self.query.val()), &self.query_norm, batch, setting);
        let key = self.placed(B::project(x.clone(), self.key.val()), &self.key_norm, batch, setting);
        let value = B::project(x, self.value.val());
        let scale = 1.0 / (width as f64).sqrt();
        let sight = Sight { starts: batch.starts.clone(), scale, dropped: setting.dropped.within(at) };
        let attended = B::attend([query, key, value].map(by_head), &sight);
        let [_, _, heads, _] = attended.output.dims();
        let output = attended.output.reshape([sequences * tokens, heads * width]);
        (B::project(output, self.output.val()), attended.peak)
    }

    /// Queries or keys with their norm, turned by their places.
    fn placed(
        &self,
        x: Tensor<B, 2>,
        norm: &Option<Param<Tensor<B, 1>>>,
        batch: &Batch<B>,
        setting: &Setting<B>,
    ) -> Tensor<B, 2> {
        let ([rows, all], width) = (x.dims(), self.head_width);
        let heads = all / width;
        let x = match norm {
            None => x,
            Some(norm) => {
                B::rms_norm(x.reshape([rows * heads, width]), norm.val(), self.norm_eps).reshape([rows, all])
            }
        };
        let turned =
            B::rotate(x.reshape([rows, heads, width]), &setting.angles, batch.positions.clone(), false);
        turned.reshape([rows, all])
    }
}
