//! A block of a model in use: a mixer with what it keeps of texts, and SwiGLU. Products that read the same numbers are one.
use super::Room;
use super::linear::{Gated, Linear, Source};
use super::mixer::{At, Mixer};
use super::weights::{InOrder, Weights};
use crate::config::Shape;
use muse_kernels::{Decode, DeviceResult};

/// One block of the decoder.
pub(super) struct Block<D: Decode> {
    mixer_norm: D::Vector,
    mixer: Mixer<D>,
    mlp_norm: D::Vector,
    gate_and_up: Gated<D>,
    down: Linear<D>,
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
        let mlp_norm = device.vector(&weights.plain().all()?)?;
        let sources = [0; 2].map(|_| Source::next(shape, weights));
        let gate_and_up = Gated::new(device, shape, &sources, shape.width)?;
        let down = Linear::new(device, shape, &[Source::next(shape, weights)], shape.ffn)?;
        Ok(Self { mixer_norm, mixer, mlp_norm, gate_and_up, down })
    }

    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn run(&mut self, device: &mut D, at: &At<'_>, x: D::Rows) -> DeviceResult<D::Rows> {
        let normed = device.norm(&x, &self.mixer_norm, at.epsilon)?;
        let x = self.mixer.run(device, at, x, &normed)?;
        let normed = device.norm(&x, &self.mlp_norm, at.epsilon)?;
        let gated = self.gate_and_up.of(device, &normed)?;
        self.down.onto(device, x, &gated)
    }
}
