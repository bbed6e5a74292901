//! [`Decode`]: what a model in use asks of the device that it is on: weights that stay as they are, keys and values that are
//! kept, and the few operations that lie between a token and the logits of the next.
use crate::parts::{Part, Parts};
use std::fmt;

/// What a weight is kept as while a model is used. Products add up in f32 whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Four bytes a number.
    F32,
    /// Two bytes a number.
    Bf16,
    /// One byte a number, and a scale in half precision for 32 of them: GGUF's Q8_0.
    Int8,
}

/// How much a cache of keys and values holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize {
    /// Texts at once.
    pub slots: usize,
    /// Tokens of each.
    pub context: usize,
    /// Heads of keys, and of values.
    pub heads: usize,
    /// Numbers of a head of keys.
    pub width: usize,
    /// Those of a head of values.
    pub values: Values,
    /// Whether it is for attention by distance, which asks how long keys are.
    pub near: bool,
}

/// Where the values of a cache are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// So many numbers stand beside those of each key.
    Own(usize),
    /// So many of the first numbers of a key are its value too.
    OfKeys(usize),
}

impl Values {
    /// How many numbers a value has.
    pub fn width(self) -> usize {
        let (Self::Own(width) | Self::OfKeys(width)) = self;
        width
    }
}

impl CacheSize {
    /// For heads whose keys and values are as wide as each other.
    pub fn even(slots: usize, context: usize, heads: usize, width: usize) -> Self {
        Self { slots, context, heads, width, values: Values::Own(width), near: false }
    }
}

/// Tokens of one text that run through the model together, behind those that its slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Whose keys and values are seen.
    pub slot: usize,
    /// How many tokens the slot holds.
    pub held: usize,
    /// How many come.
    pub tokens: usize,
}

/// What runs through the model at once: the tokens of several texts, one text behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Whose tokens, and where they stand.
    pub feeds: &'a [Feed],
    /// The tokens, a row each.
    pub ids: &'a [u32],
    /// The rows whose logits are wanted.
    pub wanted: &'a [u32],
}

/// How the heads of attention lie in a row of queries, keys and values, and what is done to them.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a, V> {
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys, and of values.
    pub keys: usize,
    /// Numbers of a head.
    pub width: usize,
    /// The norms of queries and of keys, where they have any.
    pub norms: [Option<&'a V>; 2],
    /// What they add below the root.
    pub epsilon: f64,
    /// How many tokens each one sees, itself counted; all before it where there is no window.
    pub window: Option<usize>,
    /// The curvature and the sharpness of each head of queries, where attention goes by distance.
    pub spaces: Option<[&'a V; 2]>,
}

/// Latent attention: queries are brought to what keys are made of, so that all heads ask the same numbers of a token.
#[derive(Clone, Copy, Debug)]
pub struct Latents<'a, M> {
    /// Heads of queries.
    pub heads: usize,
    /// Numbers of a head of queries that positions turn, behind those that they do not.
    pub turned: usize,
    /// What brings the others of each head, which stand apart, to what keys are made of.
    pub brought: &'a M,
    /// What logits are multiplied by.
    pub scale: f64,
    /// As [`Heads`] has it.
    pub window: Option<usize>,
    /// What keys and values are made of is rounded to 8 bits, row by row.
    pub rounded: bool,
}

/// The rows of latent attention.
pub struct LatentRows<R> {
    /// Of each head the numbers that positions do not turn, and those that they do.
    pub query: R,
    /// What keys are made of.
    pub key: R,
    /// The part of a key that positions turn.
    pub key_turned: R,
    /// What values are made of, where that is not what keys are made of.
    pub value: Option<R>,
}

/// A row of several, and how much what comes of it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picked {
    /// Which one.
    pub row: u32,
    /// What it is multiplied by.
    pub share: f32,
}

/// Chains, as a model in use has them.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a, V> {
    /// What is added to potentials.
    pub potential: &'a V,
    /// What is added to couplings.
    pub coupling: &'a V,
    /// How far each chain keeps from the real axis.
    pub eta: &'a V,
    /// No potential is larger.
    pub most: f64,
}

/// Why a device does not do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DeviceError {}

/// What a device gives, or why not.
pub type DeviceResult<T> = Result<T, DeviceError>;

/// A device that a model is used on. Its operations are those of [`crate::Ops`], joined as a model in use has them one behind the
/// other, so that a device may do several at once.
pub trait Decode {
    /// A matrix that stays as it is, `[out, in]`.
    type Matrix;
    /// Numbers that stay as they are, in f32.
    type Vector;
    /// Rows of numbers, one for each token of a step.
    type Rows;
    /// The keys and values of one block.
    type Cache;
    /// What a block that goes along a text keeps of it.
    type State;

    /// A matrix of parts, which are read as it is made.
    fn matrix<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Self::Matrix, P::Error>;

    /// The two parts of a gated layer, gate and up, for [`Decode::gated`].
    fn pair<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Self::Matrix, P::Error>;

    /// Numbers.
    fn vector(&mut self, numbers: &[f32]) -> DeviceResult<Self::Vector>;

    /// The angles of rotary embedding for heads of so many pairs: cosines and sines `[positions, pairs]`.
    fn angles(&mut self, cos: &[f32], sin: &[f32], pairs: usize) -> DeviceResult<()>;

    /// An empty cache.
    fn cache(&mut self, size: CacheSize) -> DeviceResult<Self::Cache>;

    /// So many numbers for each of some texts, which are zero where a text begins.
    fn state(&mut self, slots: usize, numbers: usize) -> DeviceResult<Self::State>;

    /// Runs a step: `body` says by the operations below what becomes of its tokens. Gives the numbers of the rows that it ends in,
    /// where it ends in any. A device may remember what it did for a step of the same shape and `kind`, and not ask `body` again.
    fn step(
        &mut self,
        step: &Step<'_>,
        kind: usize,
        body: &mut dyn FnMut(&mut Self) -> DeviceResult<Option<Self::Rows>>,
    ) -> DeviceResult<Vec<f32>>;

    /// The rows of a matrix that the tokens of the step name.
    fn looked_up(&mut self, step: &Step<'_>, weight: &Self::Matrix) -> DeviceResult<Self::Rows>;

    /// The rows that are wanted.
    fn wanted(&mut self, step: &Step<'_>, x: Self::Rows) -> DeviceResult<Self::Rows>;

    /// Each row divided by the root of its mean square, times the weight.
    fn norm(&mut self, x: &Self::Rows, weight: &Self::Vector, epsilon: f64) -> DeviceResult<Self::Rows>;

    /// The number of the largest of each row's first `among` numbers, the first of equals: rows of one number.
    fn likeliest(&mut self, x: &Self::Rows, among: usize) -> DeviceResult<Self::Rows>;

    /// `x wᵀ`
    fn times(&mut self, x: &Self::Rows, weight: &Self::Matrix) -> DeviceResult<Self::Rows>;

    /// The same, as what the next product multiplies.
    fn inner(&mut self, x: &Self::Rows, weight: &Self::Matrix) -> DeviceResult<Self::Rows>;

    /// `sum + x wᵀ`
    fn add_times(
        &mut self,
        sum: Self::Rows,
        x: &Self::Rows,
        weight: &Self::Matrix,
    ) -> DeviceResult<Self::Rows>;

    /// `silu(x gateᵀ) · x upᵀ`
    fn gated(&mut self, x: &Self::Rows, pair: &Self::Matrix) -> DeviceResult<Self::Rows>;

    /// Puts keys and values into the cache, turned as their places say, each behind those of its slot, and attends to all that each
    /// token sees. Rows hold queries, keys and values side by side.
    fn attend(
        &mut self,
        step: &Step<'_>,
        all: Self::Rows,
        heads: &Heads<'_, Self::Vector>,
        cache: &mut Self::Cache,
    ) -> DeviceResult<Self::Rows>;

    /// The same where keys and values are made of few numbers a token, and these are kept. Gives for each head what its values would be made
    /// of.
    fn attend_latent(
        &mut self,
        step: &Step<'_>,
        rows: LatentRows<Self::Rows>,
        latents: &Latents<'_, Self::Matrix>,
        cache: &mut Self::Cache,
    ) -> DeviceResult<Self::Rows>;

    /// The numbers of rows, one row behind the other: who asks waits for them.
    fn read(&mut self, x: &Self::Rows) -> DeviceResult<Vec<f32>>;

    /// Some rows, by themselves.
    fn picked(&mut self, x: &Self::Rows, picked: &[Picked]) -> DeviceResult<Self::Rows>;

    /// `sum`, in which to each row that is picked what came of it is added, as much as it counts. Each is picked once.
    fn add_picked(
        &mut self,
        sum: Self::Rows,
        given: &Self::Rows,
        picked: &[Picked],
    ) -> DeviceResult<Self::Rows>;

    /// Each row, and a vector that is added to it.
    fn add(&mut self, x: Self::Rows, vector: &Self::Vector) -> DeviceResult<Self::Rows>;

    /// [`crate::Ops::learn`] of so many heads, from what each text's state has learned: that is `width * width` numbers of each head.
    fn learn(
        &mut self,
        step: &Step<'_>,
        views: Self::Rows,
        heads: usize,
        rate: f64,
        state: &mut Self::State,
    ) -> DeviceResult<Self::Rows>;

    /// [`crate::Ops::link`] of what potentials and couplings are made of, from what each text's state hands on: two numbers of each chain.
    fn link(
        &mut self,
        step: &Step<'_>,
        both: Self::Rows,
        links: &Links<'_, Self::Vector>,
        state: &mut Self::State,
    ) -> DeviceResult<Self::Rows>;
}
