//! Every size of a model, none left open: what layers are made by and parameters are counted from.
use super::{Embedding, Round};
use serde::Serialize;

/// Every size of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Numbers that stand for a token between blocks.
    pub width: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head_width: usize,
    /// The inner width of SwiGLU.
    pub ffn: usize,
    /// Numbers between the two matrices that each of a block's is, where it is two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_rank: Option<usize>,
    /// What the matrices of blocks are rounded to while they are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// What the rows for tokens are made of, where they are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
    /// Tokens of a sequence.
    pub context: usize,
    /// Tokens that attention sees.
    pub window: Option<usize>,
    /// Norms of queries and keys.
    pub qk_norm: bool,
    /// The head is the embedding.
    pub tied: bool,
}

impl Shape {
    /// All heads of queries side by side.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// All heads of keys side by side; values are as wide.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// The same sizes with each matrix whole, and nothing rounded.
    pub fn dense(&self) -> Self {
        Self { low_rank: None, round: None, embedding: None, ..*self }
    }

    /// How many tokens the last one of a sequence sees.
    pub fn seen(&self) -> usize {
        self.window.map_or(self.context, |window| window.min(self.context))
    }
}
