//! A model in use: its weights as they stay, and the keys and values of the texts that it is at.
//!
//! Texts have slots. What a slot holds is not computed again: a token costs one row through the model, whatever stands before it.
mod block;
mod sample;
#[cfg(test)]
mod tests;

pub use muse_kernels::{Decode, Kept};
pub use sample::{Sampler, Sampling};

use crate::config::Model;
use crate::net::{Setting, Weight};
use block::Block;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Angles, CacheSize, Feed};

/// Tokens for one text, behind those that its slot holds.
#[derive(Clone, Copy, Debug)]
pub struct More<'a> {
    /// Which text.
    pub slot: usize,
    /// What comes.
    pub ids: &'a [u32],
    /// Whose logits are wanted.
    pub wanted: Wanted,
}

/// Whose logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No one's: there is more to come.
    Nothing,
    /// The last token's.
    Last,
    /// Every token's.
    All,
}

/// How many texts have room at once, and how many tokens each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Texts at once.
    pub slots: usize,
    /// Tokens of each.
    pub context: usize,
}

/// A model that is ready to be used.
pub struct Decoder<B: Decode> {
    room: Room,
    vocabulary: usize,
    window: Option<usize>,
    norm_eps: f64,
    angles: Angles<B>,
    embedding: B::Fixed,
    blocks: Vec<Block<B>>,
    norm: Tensor<B, 1>,
    /// None where the embedding serves as the head.
    head: Option<B::Fixed>,
    caches: Vec<B::Cache>,
    /// How many tokens each slot holds.
    held: Vec<usize>,
    device: B::Device,
}

impl<B: Decode> Decoder<B> {
    /// A model whose vocabulary is known, and whose weights `read` gives when it is asked for them, one after the other.
    pub fn new<E>(
        model: &Model,
        room: Room,
        kept: Kept,
        device: &B::Device,
        mut read: impl FnMut(&Weight) -> Result<TensorData, E>,
    ) -> Result<Self, E> {
        let shape = model.shape(1, room.context);
        let all = Weight::all(&shape);
        let mut all = all.iter();
        let mut next = || -> Result<(Tensor<B, 1>, Vec<usize>), E> {
            let weight = all.next().expect("as many are asked for as there are");
            let data = read(weight)?;
            let dtype = data.dtype;
            let flat = TensorData::from_bytes_vec(data.as_bytes().to_vec(), [weight.len()], dtype);
            let flat = Tensor::<B, 1>::from_data(flat, (device, dtype));
            let flat = if dtype == DType::F32 { flat } else { flat.cast(DType::F32) };
            Ok((flat, weight.shape.clone()))
        };
        let fixed =
            |(flat, shape): (Tensor<B, 1>, Vec<usize>)| B::fixed(flat.reshape([shape[0], shape[1]]), kept);
        let embedding = fixed(next()?);
        let blocks = (0..shape.layers).map(|_| Block::new(&shape, model.norm_eps, kept, &mut next));
        let blocks = blocks.collect::<Result<Vec<_>, E>>()?;
        let norm = next()?.0;
        let head = if shape.tied { None } else { Some(fixed(next()?)) };
        let Room { slots, context } = room;
        let size = CacheSize { slots, context, heads: shape.kv_heads, width: shape.head_width };
        Ok(Self {
            room,
            vocabulary: shape.vocab_size,
            window: shape.window,
            norm_eps: model.norm_eps,
            angles: Setting::new(model, context, DType::F32, device).angles,
            embedding,
            blocks,
            norm,
            head,
            caches: (0..shape.layers).map(|_| B::cache(size, device)).collect(),
            held: vec![0; slots],
            device: device.clone(),
        })
    }

    /// How many texts have room, and how long they may be.
    pub fn room(&self) -> Room {
        self.room
    }

    /// How many tokens there are to choose from.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// How many tokens a slot holds.
    pub fn held(&self, slot: usize) -> usize {
        self.held[slot]
    }

    /// Forgets what a slot holds behind its first tokens.
    pub fn keep(&mut self, slot: usize, tokens: usize) {
        self.held[slot] = self.held[slot].min(tokens);
    }

    /// Runs tokens through the model, those of several texts together. Gives the logits that are wanted, one row behind the other.
    ///
    /// Each slot may come once, and must have room for what comes.
    pub fn run(&mut self, more: &[More<'_>]) -> Vec<f32> {
        let feeds: Vec<Feed> = more
            .iter()
            .map(|more| Feed { slot: more.slot, held: self.held[more.slot], tokens: more.ids.len() })
            .collect();
        let ids: Vec<u32> = more.iter().flat_map(|more| more.ids).copied().collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let places: Vec<i32> = feeds
            .iter()
            .flat_map(|feed| feed.held..feed.held + feed.tokens)
            .map(|place| place as i32)
            .collect();
        let places = Tensor::from_data(TensorData::new(places, [ids.len()]), (&self.device, DType::I32));
        let mut x = B::looked_up(&self.embedding, &ids);
        for (block, cache) in self.blocks.iter().zip(&mut self.caches) {
            x = block.run(x, &self.angles, &places, cache, &feeds, self.window);
        }
        feeds.iter().for_each(|feed| self.held[feed.slot] += feed.tokens);
        let rows = wanted_rows(more);
        if rows.is_empty() {
            return Vec::new();
        }
        let x = if rows.len() == ids.len() {
            x
        } else {
            let count = rows.len();
            x.select(0, Tensor::from_data(TensorData::new(rows, [count]), (&self.device, DType::I32)))
        };
        let x = B::rms_norm(x, self.norm.clone(), self.norm_eps);
        let logits = B::times(x, self.head.as_ref().unwrap_or(&self.embedding));
        logits.into_data().iter::<f32>().collect()
    }
}

/// The rows whose logits are wanted.
fn wanted_rows(more: &[More<'_>]) -> Vec<i32> {
    let mut first = 0;
    let mut rows = Vec::new();
    for more in more {
        let end = first + more.ids.len() as i32;
        match more.wanted {
            Wanted::Nothing => {}
            Wanted::Last => rows.extend((first..end).next_back()),
            Wanted::All => rows.extend(first..end),
        }
        first = end;
    }
    rows
}
