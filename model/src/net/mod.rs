//! The decoder in Burn's modules: embedding, blocks, a last norm, a head.
mod attention;
mod batch;
mod block;
mod build;
mod chains;
mod experts;
mod feed;
mod hyperbolic;
mod latent;
mod learner;
mod linear;
mod mixer;
mod mlp;
mod of_block;
mod start;
mod table;
mod weights;

pub use attention::Attention;
pub use batch::{Batch, Dropped, Setting};
pub use block::{Block, Seen};
pub use chains::Chains;
pub(crate) use chains::{LEAST_ETA, MOST_POTENTIAL};
pub use experts::Experts;
pub(crate) use experts::LEAST_SCORE;
pub use feed::Feed;
pub(crate) use hyperbolic::CURVATURE;
pub use hyperbolic::Hyperbolic;
pub use latent::Latent;
pub use learner::Learner;
pub use linear::Linear;
pub use mixer::{Mixer, Site};
pub use mlp::Mlp;
pub use start::Start;
pub(crate) use start::drawn;
pub use table::{Factored, Losses, Table};
pub(crate) use weights::Change;
pub use weights::{Part, Role, Weight, factors, phase};

use crate::config::{Model, Shape};
use crate::lora::Acting;
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::{Objective, Ops};

/// A decoder. The fields stand in the order in which [`Weight::all`] names them.
#[derive(Module, Debug)]
pub struct Net<B: Backend> {
    embedding: Table<B>,
    blocks: Vec<Block<B>>,
    norm: Param<Tensor<B, 1>>,
    /// None where the embedding serves as the head.
    head: Option<Table<B>>,
    /// What the head adds to logits, `[vocabulary]`.
    head_bias: Option<Param<Tensor<B, 1>>>,
    norm_eps: f64,
}

/// The last hidden state of a batch, and what was seen on the way.
pub struct Hidden<B: Backend> {
    /// `[rows, width]`, before the last norm.
    pub state: Tensor<B, 2>,
    /// Of each block that has logits the largest one of each head, `[heads]`.
    pub peaks: Vec<Tensor<B, 1>>,
    /// Of each block that has experts how many tokens went through each.
    pub loads: Vec<Vec<u32>>,
}

impl<B: Ops> Net<B> {
    /// A decoder whose weights are drawn by `seed`: the same numbers on every machine and device.
    pub fn new(model: &Model, shape: &Shape, seed: u64, device: &B::Device) -> Self {
        build::net(model, shape, seed, device)
    }

    /// Tokens to numbers: the rows of the embedding, in the type that the batch is worked on in.
    ///
    /// # Shapes
    /// `[rows, width]`
    pub fn embedded(&self, batch: &Batch<B>, setting: &Setting<B>) -> Tensor<B, 2> {
        self.embedding.embedded(batch, setting)
    }

    /// The blocks, first to last.
    pub fn blocks(&self) -> &[Block<B>] {
        &self.blocks
    }

    /// Runs a batch through all blocks.
    pub fn hidden(&self, batch: &Batch<B>, setting: &Setting<B>) -> Hidden<B> {
        Acting::from(self).hidden(batch, setting)
    }

    /// The loss of a batch, without a way back: what an evaluation asks for. Each token with a label counts `share`.
    pub fn loss(
        &self,
        batch: &Batch<B>,
        setting: &Setting<B>,
        objective: &Objective,
        share: f64,
    ) -> Losses<B> {
        Acting::from(self).loss(batch, setting, objective, share)
    }

    /// The logits of every token.
    ///
    /// # Shapes
    /// `[rows, vocabulary]`
    pub fn logits(&self, batch: &Batch<B>, setting: &Setting<B>) -> Tensor<B, 2> {
        let hidden = self.hidden(batch, setting).state;
        let normed = B::rms_norm(hidden, self.norm.val(), self.norm_eps);
        let logits = self.head().logits(normed);
        match &self.head_bias {
            None => logits,
            Some(bias) => logits.clone() + bias.val().cast(logits.dtype()).unsqueeze(),
        }
    }

    /// The head, which may be the embedding.
    pub(crate) fn head(&self) -> &Table<B> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    pub(crate) fn head_bias(&self) -> Option<Tensor<B, 1>> {
        self.head_bias.as_ref().map(Param::val)
    }

    pub(crate) fn embedding(&self) -> &Table<B> {
        &self.embedding
    }

    pub(crate) fn norm(&self) -> (Tensor<B, 1>, f64) {
        (self.norm.val(), self.norm_eps)
    }

    pub(crate) fn tied(&self) -> bool {
        self.head.is_none()
    }
}

impl<B: Ops> Acting<'_, B> {
    /// [`Net::hidden`].
    pub fn hidden(&self, batch: &Batch<B>, setting: &Setting<B>) -> Hidden<B> {
        let mut state = self.net.embedded(batch, setting);
        let (mut peaks, mut loads) = (Vec::new(), Vec::new());
        for at in 0..self.net.blocks.len() {
            let (next, seen) = self.block(at).forward(state, batch, setting, at);
            state = next;
            peaks.extend(seen.peak);
            loads.extend(seen.loads);
        }
        Hidden { state, peaks, loads }
    }

    /// [`Net::loss`].
    pub fn loss(
        &self,
        batch: &Batch<B>,
        setting: &Setting<B>,
        objective: &Objective,
        share: f64,
    ) -> Losses<B> {
        self.loss_of(self.hidden(batch, setting).state, batch, objective, share)
    }

    /// The same of the last hidden state.
    pub fn loss_of(
        &self,
        hidden: Tensor<B, 2>,
        batch: &Batch<B>,
        objective: &Objective,
        share: f64,
    ) -> Losses<B> {
        let (norm, norm_eps) = self.net.norm();
        let top = Top { norm, head: self.net.head().clone(), bias: self.net.head_bias(), norm_eps };
        top.loss(hidden, batch, objective, share, false)
    }
}

/// The last norm and the head: so the way back can begin here.
pub(crate) struct Top<B: Backend> {
    pub(crate) norm: Tensor<B, 1>,
    pub(crate) head: Table<B>,
    pub(crate) bias: Option<Tensor<B, 1>>,
    pub(crate) norm_eps: f64,
}

impl<B: Ops> Top<B> {
    pub(crate) fn loss(
        &self,
        hidden: Tensor<B, 2>,
        batch: &Batch<B>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> Losses<B> {
        let normed = B::rms_norm(hidden, self.norm.clone(), self.norm_eps);
        self.head.loss(normed, self.bias.clone(), batch.labels.clone(), (objective, share), back)
    }
}
