//! [`Decode`]: what a model that is used needs beyond [`Ops`]: weights that stay as they are, and keys and values that are kept.
use crate::ops::Ops;
use burn::prelude::*;

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
    /// Numbers of a head.
    pub width: usize,
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

/// The operations of a model in use, beside those of [`Ops`].
pub trait Decode: Ops {
    /// A matrix that stays as it is.
    type Fixed: Send;
    /// The keys and values of one block.
    type Cache: Send;

    /// A weight, kept as said.
    ///
    /// # Shapes
    /// `[out, in]`
    fn fixed(weight: Tensor<Self, 2>, kept: Kept) -> Self::Fixed;

    /// `x wᵀ`
    ///
    /// # Shapes
    /// x `[rows, in]` -> `[rows, out]`
    fn times(x: Tensor<Self, 2>, weight: &Self::Fixed) -> Tensor<Self, 2>;

    /// The rows of a weight that `ids` name, in f32.
    ///
    /// # Shapes
    /// `[rows]` -> `[rows, in]`
    fn looked_up(weight: &Self::Fixed, ids: &[u32]) -> Tensor<Self, 2>;

    /// An empty cache.
    fn cache(size: CacheSize, device: &Self::Device) -> Self::Cache;

    /// Puts keys and values into the cache, each behind those of its slot, and attends to all that each token sees: itself,
    /// and those before it in its slot, of which a `window` shows the last.
    ///
    /// # Shapes
    /// query `[rows, heads, width]`, key and value `[rows, kv_heads, width]` -> `[rows, heads, width]`, where the rows are
    /// those of the feeds, one behind the other
    fn attend_kept(
        sources: [Tensor<Self, 3>; 3],
        cache: &mut Self::Cache,
        feeds: &[Feed],
        window: Option<usize>,
    ) -> Tensor<Self, 3>;
}
