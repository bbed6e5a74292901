//! What runs a model, on whatever device: tokens in, logits out.
use crate::{InferenceError, Kept, Result};
use muse_artifacts::checkpoint::Tensors;
use muse_model::config::Model;
use muse_model::decode::{Cpu, Decode, Decoder, More, Room, TwoBits, Weights, gpu};
use muse_model::net::Weight;
use std::ops::Range;

/// Tokens of prompts that run in one step.
pub(crate) const PORTION: usize = 512;
/// Logits that are in memory at once.
pub(crate) const LOGITS: usize = 16 << 20;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// On the processor.
    Cpu,
    /// On the GPU of that number, of those that CUDA sees.
    Cuda(usize),
}

/// A model that runs. Texts have slots, and what a slot holds is not computed again.
pub trait Engine {
    /// How many texts have room, and how long they may be.
    fn room(&self) -> Room;
    /// How many tokens there are to choose from.
    fn vocabulary(&self) -> usize;
    /// Forgets what a slot holds behind its first tokens, or all of it, where it cannot be cut there: gives how many it holds then.
    fn keep(&mut self, slot: usize, tokens: usize) -> usize;
    /// Runs tokens, and gives the logits that are wanted, one row behind the other.
    fn run(&mut self, more: &[More<'_>]) -> Result<Vec<f32>>;
    /// Runs tokens, and gives of each row that is wanted the likeliest token, of the first `among`.
    fn likeliest(&mut self, more: &[More<'_>], among: usize) -> Result<Vec<u32>>;
}

impl<D: Decode> Engine for Decoder<D> {
    fn room(&self) -> Room {
        self.room()
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary()
    }

    fn keep(&mut self, slot: usize, tokens: usize) -> usize {
        self.keep(slot, tokens)
    }

    fn run(&mut self, more: &[More<'_>]) -> Result<Vec<f32>> {
        Ok(self.run(more)?)
    }

    fn likeliest(&mut self, more: &[More<'_>], among: usize) -> Result<Vec<u32>> {
        Ok(self.likeliest(more, among)?)
    }
}

/// Brings a model to a device.
pub fn load(
    model: &Model,
    tensors: &Tensors,
    device: Device,
    kept: Kept,
    room: Room,
) -> Result<Box<dyn Engine>> {
    Ok(match device {
        Device::Cpu => Box::new(decoder(model, tensors, Cpu::new(kept), room)?),
        Device::Cuda(index) => Box::new(decoder(model, tensors, gpu(index, model, kept)?, room)?),
    })
}

fn decoder<D: Decode>(model: &Model, tensors: &Tensors, device: D, room: Room) -> Result<Decoder<D>> {
    Decoder::new(model, room, device, InFiles(tensors))
}

/// Weights in their files.
struct InFiles<'a>(&'a Tensors);

impl Weights for InFiles<'_> {
    type Error = InferenceError;

    fn rows(&self, weight: &Weight, rows: Range<usize>) -> Result<Vec<f32>> {
        Ok(self.0.read_rows(&weight.name, rows)?)
    }

    fn two_bits(&self, weight: &Weight) -> Result<Option<TwoBits>> {
        let stored = self.0.read_two_bits(&weight.name)?;
        Ok(stored.map(|(codes, size)| TwoBits { codes, size }))
    }
}
