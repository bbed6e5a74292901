//! Every size of a model, none left open: what layers are made by and parameters are counted from.
use super::{Bk, Embedding, Experts, Mixer, Mixers, Mla, Round, Ttt};
use serde::Serialize;

/// Every size of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    /// What lets tokens know of each other, block by block in turn, where it is not attention in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixers: Option<Mixers>,
    /// The sizes of blocks of latent attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mla: Option<Mla>,
    /// How blocks learn that do so from token to token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttt: Option<Ttt>,
    /// The chains of blocks that have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bk: Option<Bk>,
    /// The experts of blocks that have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
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
    /// The head adds a number to each token's logit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub head_bias: bool,
}

impl Shape {
    /// The mixer of block number `at`.
    pub fn mixer(&self, at: usize) -> Mixer {
        self.mixers.map_or(Mixer::Attention, |mixers| mixers.of_block(at))
    }

    /// The mixers of all blocks, first to last.
    pub fn all_mixers(&self) -> impl Iterator<Item = Mixer> {
        let shape = *self;
        (0..self.layers).map(move |at| shape.mixer(at))
    }

    /// A block of each kind, by its number, and how many are like it.
    pub(crate) fn kinds(&self) -> Vec<(usize, u64)> {
        let kind = |at: usize| (self.mixer(at), self.experts_of(at).is_some());
        let mut kinds: Vec<(usize, u64)> = Vec::new();
        for at in 0..self.layers {
            match kinds.iter_mut().find(|(first, _)| kind(*first) == kind(at)) {
                Some((_, blocks)) => *blocks += 1,
                None => kinds.push((at, 1)),
            }
        }
        kinds
    }

    /// The experts of block number `at`, where it is not dense.
    pub fn experts_of(&self, at: usize) -> Option<Experts> {
        self.experts.filter(|experts| at >= experts.dense)
    }

    /// The inner width of each expert.
    pub fn of_experts(&self) -> usize {
        self.experts.and_then(|experts| experts.width).unwrap_or(self.ffn)
    }

    /// The sizes of latent attention, which models that are checked have wherever a block is one.
    pub fn mla(&self) -> Mla {
        self.mla.unwrap_or(Mla {
            rank: self.head_width,
            value_rank: None,
            query_rank: None,
            nope_width: self.head_width,
            rope_width: self.head_width,
            bias: false,
        })
    }

    /// How blocks learn that do so.
    pub fn ttt(&self) -> Ttt {
        self.ttt.unwrap_or_default()
    }

    /// How many chains a block of them has.
    pub fn chains(&self) -> usize {
        self.heads * self.bk.unwrap_or_default().chains
    }

    /// Whether there are queries and keys with norms.
    pub fn norms_heads(&self) -> bool {
        self.qk_norm && self.all_mixers().any(Mixer::looks_back)
    }

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
