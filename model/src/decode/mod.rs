//! A model in use: its weights as they stay, and the keys and values of the texts that it is at.
//!
//! Texts have slots. What a slot holds is not computed again: a token costs one row through the model, whatever stands before it.
mod block;
mod experts;
mod latent;
mod linear;
mod mixer;
mod sample;
#[cfg(test)]
mod tests;
mod weights;

pub use muse_kernels::{Cpu, Decode, DeviceError, DeviceResult, Gpu, GpuModel, Kept, PORTION, TwoBits};
pub use sample::{Sampler, Sampling};
pub use weights::{Weights, rows_of};

use crate::acting::table;
use crate::config::{Mixer, Model, Shape, rope::frequencies};
use crate::net::Weight;
use block::Block;
use mixer::At;
use muse_kernels::{Feed, InMemory, Parts, Step};
use weights::InOrder;

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

/// The GPU of that number, ready for a model.
pub fn gpu(index: usize, model: &Model, kept: Kept) -> DeviceResult<Gpu> {
    let shape = model.shape(1, 1);
    Gpu::new(index, GpuModel { kept, head_width: shape.head_width, group: shape.heads / shape.kv_heads })
}

/// A model that is ready to be used.
pub struct Decoder<D: Decode> {
    device: D,
    room: Room,
    shape: Shape,
    epsilon: f64,
    embedding: D::Matrix,
    blocks: Vec<Block<D>>,
    norm: D::Vector,
    /// None where the embedding serves as the head.
    head: Option<D::Matrix>,
    /// What it adds to logits.
    head_bias: Option<D::Vector>,
    /// How many tokens each slot holds.
    held: Vec<usize>,
}

impl<D: Decode> Decoder<D> {
    /// A model whose vocabulary is known. Its weights are read one after the other, each as its place on the device is made.
    pub fn new<W: Weights>(model: &Model, room: Room, mut device: D, weights: W) -> Result<Self, W::Error> {
        let shape = model.shape(1, room.context);
        let all = Weight::all(&shape);
        let mut weights = InOrder::new(&shape, &all, &weights);
        let embedding = rows_for_tokens(&mut device, &shape, &mut weights)?;
        let blocks = (0..shape.layers).map(|at| Block::new(&mut device, &shape, (at, room), &mut weights));
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        let norm = device.vector(&weights.plain().all()?)?;
        let head = if shape.tied { None } else { Some(rows_for_tokens(&mut device, &shape, &mut weights)?) };
        let head_bias = if shape.head_bias { Some(device.vector(&weights.plain().all()?)?) } else { None };
        if model.any_mixer(Mixer::shares_keys) {
            angles(&mut device, model, shape.head_width, room)?;
        }
        if let Some(mla) = model.mla {
            angles(&mut device, model, mla.rope_width, room)?;
        }
        Ok(Self {
            room,
            shape,
            epsilon: model.norm_eps,
            embedding,
            blocks,
            norm,
            head,
            head_bias,
            held: vec![0; room.slots],
            device,
        })
    }

    /// How many texts have room, and how long they may be.
    pub fn room(&self) -> Room {
        self.room
    }

    /// How many tokens there are to choose from.
    pub fn vocabulary(&self) -> usize {
        self.shape.vocab_size
    }

    /// How many tokens a slot holds.
    pub fn held(&self, slot: usize) -> usize {
        self.held[slot]
    }

    /// Forgets what a slot holds behind its first tokens, and gives how many it holds then: none where less is wanted than there is, and a
    /// block goes along the text, so that what it keeps cannot be cut.
    pub fn keep(&mut self, slot: usize, tokens: usize) -> usize {
        let cut = tokens < self.held[slot] && self.shape.all_mixers().any(Mixer::goes_along);
        self.held[slot] = if cut { 0 } else { self.held[slot].min(tokens) };
        self.held[slot]
    }

    /// Runs tokens through the model, those of several texts together. Gives the logits that are wanted, one row behind the other.
    ///
    /// Each slot may come once, and must have room for what comes.
    pub fn run(&mut self, more: &[More<'_>]) -> DeviceResult<Vec<f32>> {
        self.stepped(more, None)
    }

    /// The same, but of each row that is wanted the likeliest token, of the first `among`, in place of the logits.
    pub fn likeliest(&mut self, more: &[More<'_>], among: usize) -> DeviceResult<Vec<u32>> {
        // Numbers of tokens are small enough to be exact.
        Ok(self.stepped(more, Some(among))?.into_iter().map(|id| id as u32).collect())
    }

    fn stepped(&mut self, more: &[More<'_>], among: Option<usize>) -> DeviceResult<Vec<f32>> {
        let feed =
            |more: &More<'_>| Feed { slot: more.slot, held: self.held[more.slot], tokens: more.ids.len() };
        let feeds: Vec<Feed> = more.iter().map(feed).collect();
        let ids: Vec<u32> = more.iter().flat_map(|more| more.ids).copied().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // A device writes where it is told to.
        let fits = |feed: &Feed| feed.held + feed.tokens <= self.room.context;
        assert!(feeds.iter().all(fits), "the slot is full");
        assert!(ids.iter().all(|id| (*id as usize) < self.shape.vocab_size), "there is no such token");
        let wanted = wanted_rows(more);
        let step = Step { feeds: &feeds, ids: &ids, wanted: &wanted };
        let Self { device, shape, epsilon, embedding, blocks, norm, head, head_bias, held, .. } = self;
        let given = device.step(&step, among.map_or(0, |among| among + 1), &mut |device| {
            let at = At { step: &step, shape, epsilon: *epsilon };
            let mut x = device.looked_up(&step, embedding)?;
            for block in blocks.iter_mut() {
                x = block.run(device, &at, x)?;
            }
            if wanted.is_empty() {
                return Ok(None);
            }
            let x = device.wanted(&step, x)?;
            let x = device.norm(&x, norm, *epsilon)?;
            let logits = device.times(&x, head.as_ref().unwrap_or(embedding))?;
            let logits = match head_bias {
                None => logits,
                Some(bias) => device.add(logits, bias)?,
            };
            match among {
                None => Ok(Some(logits)),
                Some(among) => device.likeliest(&logits, among).map(Some),
            }
        })?;
        feeds.iter().for_each(|feed| held[feed.slot] += feed.tokens);
        Ok(given)
    }
}

/// Gives a device the angles of heads of so many numbers.
fn angles<D: Decode>(device: &mut D, model: &Model, width: usize, room: Room) -> DeviceResult<()> {
    let (turns, scale) = frequencies(&model.rope, width);
    let table = |f: fn(f64) -> f64| -> Vec<f32> {
        let row = |place: usize| turns.iter().map(move |turn| (f(place as f64 * turn) * scale) as f32);
        (0..room.context).flat_map(row).collect()
    };
    device.angles(&table(f64::cos), &table(f64::sin), turns.len())
}

/// A row for each token; where they are made of cores, as these make them.
fn rows_for_tokens<D: Decode, W: Weights>(
    device: &mut D,
    shape: &Shape,
    weights: &mut InOrder<'_, W>,
) -> Result<D::Matrix, W::Error> {
    let Some(embedding) = shape.embedding else {
        return device.matrix(&Parts::of(&[weights.plain()], shape.width));
    };
    let parts = [weights.plain().all()?, weights.plain().all()?, weights.plain().all()?];
    let rows = table(embedding, shape, parts);
    Ok(device.matrix(&Parts::of(&[InMemory::new(&rows, shape.width)], shape.width))?)
}

/// The rows whose logits are wanted.
fn wanted_rows(more: &[More<'_>]) -> Vec<u32> {
    let mut first = 0;
    let mut rows = Vec::new();
    for more in more {
        let end = first + more.ids.len() as u32;
        match more.wanted {
            Wanted::Nothing => {}
            Wanted::Last => rows.extend((first..end).next_back()),
            Wanted::All => rows.extend(first..end),
        }
        first = end;
    }
    rows
}
