//! A block of a model in use: a mixer with what it keeps of texts, and SwiGLU or experts. Products that read the same numbers are one.
use super::Room;
use super::experts::{Experts, Mlp};
use super::mixer::{At, Mixer};
use super::weights::{InOrder, Weights};
use crate::config::Shape;
use muse_kernels::{Decode, DeviceResult};

/// One block of the decoder.
pub(super) struct Block<D: Decode> {
    mixer_norm: D::Vector,
    mixer: Mixer<D>,
    feed_norm: D::Vector,
    feed: Feed<D>,
}

enum Feed<D: Decode> {
    Dense(Mlp<D>),
    Experts(Experts<D>),
}

impl<D: Decode> Block<D> {
    /// Takes the weights of block number `at` in their order.
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        (at, room): (usize, Room),
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        let mixer_norm = device.vector(&weights.plain().all()?)?;
        let mixer = Mixer::new(device, shape, shape.mixer(at), room, weights)?;
        let feed_norm = device.vector(&weights.plain().all()?)?;
        let feed = match shape.experts_of(at) {
            None => Feed::Dense(Mlp::new(device, shape, shape.ffn, weights)?),
            Some(experts) => Feed::Experts(Experts::new(device, shape, experts, weights)?),
        };
        Ok(Self { mixer_norm, mixer, feed_norm, feed })
    }

    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn run(&mut self, device: &mut D, at: &At<'_>, x: D::Rows) -> DeviceResult<D::Rows> {
        let normed = device.norm(&x, &self.mixer_norm, at.epsilon)?;
        let x = self.mixer.run(device, at, x, &normed)?;
        let normed = device.norm(&x, &self.feed_norm, at.epsilon)?;
        match &self.feed {
            Feed::Dense(mlp) => mlp.onto(device, x, &normed),
            Feed::Experts(experts) => experts.onto(device, x, &normed),
        }
    }
}
