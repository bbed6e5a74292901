//! The mixer of a block in use, with what it keeps of texts.
use super::Room;
use super::latent::Latent;
use super::linear::{Linear, Source};
use super::weights::{InOrder, Weights};
use crate::config::{self, Shape, Views};
use crate::net::{CURVATURE, LEAST_ETA, MOST_POTENTIAL};
use muse_kernels::{CacheSize, Decode, DeviceResult, Heads, Links, Step};

/// What is run: a step, through a model of these sizes.
pub(super) struct At<'a> {
    pub(super) step: &'a Step<'a>,
    pub(super) shape: &'a Shape,
    /// What norms add below the root.
    pub(super) epsilon: f64,
}

/// What lets the tokens of a block know of each other.
pub(super) enum Mixer<D: Decode> {
    /// Attention, by products or by distances.
    Attention(Attention<D>),
    Latent(Latent<D>),
    Learner(Learner<D>),
    Chains(Chains<D>),
}

pub(super) struct Attention<D: Decode> {
    queries_keys_values: Linear<D>,
    output: Linear<D>,
    query_norm: Option<D::Vector>,
    key_norm: Option<D::Vector>,
    /// The curvature and the sharpness of each head.
    spaces: Option<[D::Vector; 2]>,
    cache: D::Cache,
}

pub(super) struct Learner<D: Decode> {
    views: Linear<D>,
    output: Linear<D>,
    state: D::State,
}

pub(super) struct Chains<D: Decode> {
    potentials_couplings: Linear<D>,
    output: Linear<D>,
    potential: D::Vector,
    coupling: D::Vector,
    eta: D::Vector,
    state: D::State,
}

fn softplus(x: f32) -> f32 {
    // What is large is itself, and its exponential no number.
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

impl<D: Decode> Mixer<D> {
    /// Takes its weights in their order.
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        kind: config::Mixer,
        room: Room,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        Ok(match kind {
            config::Mixer::Attention => Self::Attention(Attention::new(device, shape, room, false, weights)?),
            config::Mixer::Hyperbolic => Self::Attention(Attention::new(device, shape, room, true, weights)?),
            config::Mixer::Mla => Self::Latent(Latent::new(device, shape, room, weights)?),
            config::Mixer::Ttt => Self::Learner(Learner::new(device, shape, room, weights)?),
            config::Mixer::Bk => Self::Chains(Chains::new(device, shape, room, weights)?),
        })
    }

    /// x, and what comes of it behind the block's norm.
    pub(super) fn run(
        &mut self,
        device: &mut D,
        at: &At<'_>,
        x: D::Rows,
        normed: &D::Rows,
    ) -> DeviceResult<D::Rows> {
        match self {
            Self::Attention(mixer) => mixer.run(device, at, x, normed),
            Self::Latent(mixer) => mixer.run(device, at, x, normed),
            Self::Learner(Learner { views, output, state }) => {
                let views = views.times(device, normed)?;
                let answers = device.learn(at.step, views, at.shape.heads, at.shape.ttt().rate, state)?;
                output.onto(device, x, &answers)
            }
            Self::Chains(Chains { potentials_couplings, output, potential, coupling, eta, state }) => {
                let both = potentials_couplings.times(device, normed)?;
                let links = Links { potential, coupling, eta, most: MOST_POTENTIAL };
                let found = device.link(at.step, both, &links, state)?;
                output.onto(device, x, &found)
            }
        }
    }
}

impl<D: Decode> Attention<D> {
    fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        room: Room,
        near: bool,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        let (width, attended) = (shape.width, shape.query_width());
        let sources = [0; 3].map(|_| Source::next(shape, weights));
        let queries_keys_values = Linear::new(device, shape, &sources, width)?;
        let output = Linear::new(device, shape, &[Source::next(shape, weights)], attended)?;
        let mut norm = || match shape.qk_norm {
            true => Ok::<_, W::Error>(Some(device.vector(&weights.plain().all()?)?)),
            false => Ok(None),
        };
        let (query_norm, key_norm) = (norm()?, norm()?);
        let mut spaces = None;
        if near {
            let [least, most] = CURVATURE.map(|bound| bound as f32);
            let curvatures = weights
                .plain()
                .all()?
                .into_iter()
                .map(|x| softplus(x).clamp(least, most))
                .collect::<Vec<f32>>();
            let sharpness = weights.plain().all()?.into_iter().map(softplus).collect::<Vec<f32>>();
            spaces = Some([device.vector(&curvatures)?, device.vector(&sharpness)?]);
        }
        let size = CacheSize::even(room.slots, room.context, shape.kv_heads, shape.head_width);
        let cache = device.cache(CacheSize { near, ..size })?;
        Ok(Self { queries_keys_values, output, query_norm, key_norm, spaces, cache })
    }

    fn run(&mut self, device: &mut D, at: &At<'_>, x: D::Rows, normed: &D::Rows) -> DeviceResult<D::Rows> {
        let At { step, shape, epsilon } = *at;
        let heads = Heads {
            queries: shape.heads,
            keys: shape.kv_heads,
            width: shape.head_width,
            norms: [self.query_norm.as_ref(), self.key_norm.as_ref()],
            epsilon,
            window: shape.window,
            spaces: self.spaces.as_ref().map(|spaces| spaces.each_ref()),
        };
        let all = self.queries_keys_values.times(device, normed)?;
        let attended = device.attend(step, all, &heads, &mut self.cache)?;
        self.output.onto(device, x, &attended)
    }
}

impl<D: Decode> Learner<D> {
    fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        room: Room,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        let views = if shape.ttt().views == Views::Three { 3 } else { 1 };
        let sources: Vec<_> = (0..views).map(|_| Source::next(shape, weights)).collect();
        let views = Linear::new(device, shape, &sources, shape.width)?;
        let answers = shape.query_width();
        let output = Linear::new(device, shape, &[Source::next(shape, weights)], answers)?;
        let state = device.state(room.slots, answers * shape.head_width)?;
        Ok(Self { views, output, state })
    }
}

impl<D: Decode> Chains<D> {
    fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        room: Room,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        let found = 2 * shape.chains();
        let sources = [0; 2].map(|_| Source::next(shape, weights));
        let potentials_couplings = Linear::new(device, shape, &sources, shape.width)?;
        let output = Linear::new(device, shape, &[Source::next(shape, weights)], found)?;
        let (potential, coupling) =
            (device.vector(&weights.plain().all()?)?, device.vector(&weights.plain().all()?)?);
        let eta =
            weights.plain().all()?.into_iter().map(|x| softplus(x) + LEAST_ETA as f32).collect::<Vec<f32>>();
        let eta = device.vector(&eta)?;
        let state = device.state(room.slots, found)?;
        Ok(Self { potentials_couplings, output, potential, coupling, eta, state })
    }
}
