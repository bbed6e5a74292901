//! A decoder from weights as they begin, one after the other.
use super::{
    Attention, Block, Chains, Experts, Factored, Feed, Hyperbolic, Latent, Learner, Linear, Mixer, Mlp, Net,
    Start, Table,
};
use crate::config::{self, Model, Shape, Views};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;

pub(super) fn net<B: Backend>(model: &Model, shape: &Shape, seed: u64, device: &B::Device) -> Net<B> {
    let mut all = Start::all(model, shape).into_iter();
    let mut next = || {
        let (weight, start) = all.next().expect("Weight::all names every weight that a net has");
        TensorData::new(start.numbers(&weight, seed), weight.shape)
    };
    let embedding = table(&mut next, shape, device);
    let mut blocks = Vec::with_capacity(shape.layers);
    for at in 0..shape.layers {
        let mut block = Weights { next: &mut next, model, shape, device };
        let (mixer_norm, mixer) = (block.row(), block.mixer(shape.mixer(at)));
        let (feed_norm, feed) = (block.row(), block.feed(shape.experts_of(at)));
        blocks.push(Block { mixer_norm, mixer, feed_norm, feed, norm_eps: model.norm_eps });
    }
    let last = row(next(), device);
    let head = (!shape.tied).then(|| table(&mut next, shape, device));
    let head_bias = shape.head_bias.then(|| row(next(), device));
    Net { embedding, blocks, norm: last, head, head_bias, norm_eps: model.norm_eps }
}

fn row<B: Backend>(data: TensorData, device: &B::Device) -> Param<Tensor<B, 1>> {
    Param::from_tensor(Tensor::from_data(data, (device, DType::F32)))
}

fn matrix<B: Backend>(data: TensorData, device: &B::Device) -> Param<Tensor<B, 2>> {
    Param::from_tensor(Tensor::from_data(data, (device, DType::F32)))
}

fn table<B: Backend>(next: &mut impl FnMut() -> TensorData, shape: &Shape, device: &B::Device) -> Table<B> {
    let Some(embedding) = shape.embedding else { return Table::Whole(matrix(next(), device)) };
    Table::Factored(Factored {
        first: matrix(next(), device),
        second: matrix(next(), device),
        phase: row(next(), device),
        rows: shape.vocab_size,
        width: shape.width,
        rounding: embedding.round.map(Into::into),
        normed: embedding.normed,
    })
}

/// What a block is made of, one weight after the other.
struct Weights<'a, B: Backend, F> {
    next: &'a mut F,
    model: &'a Model,
    shape: &'a Shape,
    device: &'a B::Device,
}

impl<B: Backend, F: FnMut() -> TensorData> Weights<'_, B, F> {
    fn row(&mut self) -> Param<Tensor<B, 1>> {
        row((self.next)(), self.device)
    }

    fn linear(&mut self) -> Linear<B> {
        let first = matrix((self.next)(), self.device);
        let second = self.shape.low_rank.map(|_| matrix((self.next)(), self.device));
        Linear { first, second, rounding: self.shape.round.map(Into::into) }
    }

    fn mlp(&mut self) -> Mlp<B> {
        let [gate, up, down] = [(); 3].map(|()| self.linear());
        Mlp { gate, up, down }
    }

    fn feed(&mut self, experts: Option<config::Experts>) -> Feed<B> {
        let Some(config) = experts else { return Feed::Dense(self.mlp()) };
        let gate = matrix((self.next)(), self.device);
        let bias = config.has_bias().then(|| self.row());
        let experts = (0..config.count).map(|_| self.mlp()).collect();
        let shared = (config.shared > 0).then(|| self.mlp());
        Feed::Experts(Experts { gate, bias, experts, shared, config })
    }

    /// A norm of queries or keys, or of what they are made of.
    fn norm(&mut self) -> Option<Param<Tensor<B, 1>>> {
        self.shape.qk_norm.then(|| self.row())
    }

    fn mixer(&mut self, mixer: config::Mixer) -> Mixer<B> {
        match mixer {
            config::Mixer::Attention => Mixer::Attention(self.attention()),
            config::Mixer::Mla => Mixer::Latent(self.latent()),
            config::Mixer::Ttt => Mixer::Learner(self.learner()),
            config::Mixer::Bk => Mixer::Chains(self.chains()),
            config::Mixer::Hyperbolic => {
                let (attention, window) = (self.attention(), self.shape.window);
                let (curvature, sharpness) = (self.row(), self.row());
                Mixer::Hyperbolic(Hyperbolic { attention, curvature, sharpness, window })
            }
        }
    }

    fn attention(&mut self) -> Attention<B> {
        let [query, key, value, output] = [(); 4].map(|()| self.linear());
        let (query_norm, key_norm) = (self.norm(), self.norm());
        let (head_width, norm_eps) = (self.shape.head_width, self.model.norm_eps);
        Attention { query, key, value, output, query_norm, key_norm, head_width, norm_eps }
    }

    fn latent(&mut self) -> Latent<B> {
        let mla = self.shape.mla();
        let query_first = mla.query_rank.map(|_| self.linear());
        let query_norm = mla.query_rank.and_then(|_| self.norm());
        let query = self.linear();
        let (key_first, key_norm) = (self.linear(), self.norm());
        let (key, key_turned) = (self.linear(), self.linear());
        let value_first = mla.value_rank.map(|_| self.linear());
        let value_norm = mla.value_rank.and_then(|_| self.norm());
        let (value, output) = (self.linear(), self.linear());
        Latent {
            query_first,
            query_norm,
            query,
            key_first,
            key_norm,
            key,
            key_turned,
            value_first,
            value_norm,
            value,
            output,
            bias: mla.bias.then(|| self.row()),
            heads: self.shape.heads,
            nope_width: mla.nope_width,
            rope_width: mla.rope_width,
            norm_eps: self.model.norm_eps,
        }
    }

    fn learner(&mut self) -> Learner<B> {
        let ttt = self.shape.ttt();
        let three = ttt.views == Views::Three;
        let query = three.then(|| self.linear());
        let key = self.linear();
        let value = three.then(|| self.linear());
        let (output, head_width, norm_eps) = (self.linear(), self.shape.head_width, self.model.norm_eps);
        Learner { query, key, value, output, head_width, rate: ttt.rate, norm_eps }
    }

    fn chains(&mut self) -> Chains<B> {
        let [potential, coupling, output] = [(); 3].map(|()| self.linear());
        let [potential_bias, coupling_bias, eta] = [(); 3].map(|()| self.row());
        let norm_eps = self.model.norm_eps;
        Chains { potential, coupling, output, potential_bias, coupling_bias, eta, norm_eps }
    }
}
