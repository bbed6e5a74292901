//! What runs a model, on whatever device: tokens in, logits out.
use crate::{Kept, Result};
use burn::backend::cuda::CudaDevice;
use burn::backend::{Cuda, Flex};
use burn::prelude::*;
use muse_artifacts::checkpoint::Tensors;
use muse_model::config::Model;
use muse_model::decode::{Decode, Decoder, More, Room};

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
    /// Forgets what a slot holds behind its first tokens.
    fn keep(&mut self, slot: usize, tokens: usize);
    /// Runs tokens, and gives the logits that are wanted, one row behind the other.
    fn run(&mut self, more: &[More<'_>]) -> Vec<f32>;
}

impl<B: Decode> Engine for Decoder<B> {
    fn room(&self) -> Room {
        self.room()
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary()
    }

    fn keep(&mut self, slot: usize, tokens: usize) {
        self.keep(slot, tokens);
    }

    fn run(&mut self, more: &[More<'_>]) -> Vec<f32> {
        self.run(more)
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
        Device::Cpu => Box::new(decoder::<Flex>(model, tensors, &Default::default(), kept, room)?),
        Device::Cuda(index) => Box::new(decoder::<Cuda>(model, tensors, &CudaDevice { index }, kept, room)?),
    })
}

fn decoder<B: Decode>(
    model: &Model,
    tensors: &Tensors,
    device: &B::Device,
    kept: Kept,
    room: Room,
) -> Result<Decoder<B>> {
    Decoder::new(model, room, kept, device, |weight| {
        let numbers = tensors.read_f32(&weight.name)?;
        Ok(TensorData::new(numbers, weight.shape.clone()))
    })
}
