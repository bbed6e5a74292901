//! What lets the tokens of a block know of each other: attention, or another mixer; one for all blocks, or several in turn.
mod check;

use super::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// So many mixers come in turn at most.
const MOST_IN_TURN: usize = 16;

/// What lets the tokens of a block know of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mixer {
    /// Each token asks all that it sees, and takes of each as much as its key answers.
    #[default]
    Attention,
    /// Multi-head latent attention: keys and values are made of few numbers a token, and these alone are kept of a text in use. See `mla`.
    Mla,
    /// Test-time training: each head learns from token to token, by steps of gradient descent, which value belongs to which key. What it has
    /// learned is all that it keeps of a text. See `ttt`.
    Ttt,
    /// Chains of numbers that each token turns on by its potential and its coupling (BK-Core): the diagonal of the inverse of a matrix of
    /// three diagonals, from the left. Two numbers a chain are all that is kept of a text. See `bk`.
    Bk,
    /// Attention by how near queries and keys are in hyperbolic space (the ball of Poincaré), with a curvature for each head.
    Hyperbolic,
}

impl Mixer {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Mla => "mla",
            Self::Ttt => "ttt",
            Self::Bk => "bk",
            Self::Hyperbolic => "hyperbolic",
        }
    }

    /// Whether it has heads of keys and of values that queries share.
    pub fn shares_keys(self) -> bool {
        matches!(self, Self::Attention | Self::Hyperbolic)
    }

    /// Whether each token looks at those before it, which a window may bound and positions turn.
    pub fn looks_back(self) -> bool {
        !self.goes_along()
    }

    /// Whether what it keeps of a text is as large for many tokens as for few, and cannot be cut back to fewer.
    pub fn goes_along(self) -> bool {
        matches!(self, Self::Ttt | Self::Bk)
    }
}

/// The mixers of blocks in turn, from the first block on, and again from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Mixer>", into = "Vec<Mixer>")]
pub struct Mixers {
    turn: [Mixer; MOST_IN_TURN],
    count: usize,
}

impl Mixers {
    /// The same one in all blocks.
    pub const fn all(mixer: Mixer) -> Self {
        Self { turn: [mixer; MOST_IN_TURN], count: 1 }
    }

    /// That of block number `at`.
    pub fn of_block(&self, at: usize) -> Mixer {
        self.turn[at % self.count]
    }
}

impl Deref for Mixers {
    type Target = [Mixer];

    fn deref(&self) -> &[Mixer] {
        &self.turn[..self.count]
    }
}

impl TryFrom<Vec<Mixer>> for Mixers {
    type Error = String;

    fn try_from(all: Vec<Mixer>) -> Result<Self, String> {
        if !(1..=MOST_IN_TURN).contains(&all.len()) {
            return Err(format!("{} mixers in turn, and 1 to {MOST_IN_TURN} may be", all.len()));
        }
        let mut mixers = Self { count: all.len(), ..Self::all(Mixer::Attention) };
        mixers.turn[..all.len()].copy_from_slice(&all);
        Ok(mixers)
    }
}

impl From<Mixers> for Vec<Mixer> {
    fn from(mixers: Mixers) -> Self {
        mixers.to_vec()
    }
}

/// The sizes of multi-head latent attention. A head of queries and keys is `nope_width + rope_width` wide, one of values `head_width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mla {
    /// How many numbers a token's keys are made of, and its values, where they have no rank of their own.
    #[schemars(range(min = 1, max = 131_072))]
    pub rank: usize,
    /// How many numbers values are made of by themselves, as NANO-KIMI has it. Left out, they are made of what keys are made of (DeepSeek).
    #[serde(default)]
    #[schemars(range(min = 1, max = 131_072))]
    pub value_rank: Option<usize>,
    /// How many numbers queries are made of. Left out, they come of the token as it is.
    #[serde(default)]
    #[schemars(range(min = 1, max = 131_072))]
    pub query_rank: Option<usize>,
    /// How much of a head of queries and keys positions do not turn.
    #[schemars(range(min = 1, max = 8192))]
    pub nope_width: usize,
    /// How much of it they turn: any even number. All heads have these numbers of a key in common.
    #[schemars(range(min = 2, max = 8192))]
    pub rope_width: usize,
    /// What is added to what comes of the heads, a number for each of `width`.
    #[serde(default)]
    pub bias: bool,
}

impl Mla {
    /// How wide a head of queries and keys is.
    pub fn key_width(self) -> usize {
        self.nope_width + self.rope_width
    }

    /// How many numbers values are made of.
    pub fn value_rank(self) -> usize {
        self.value_rank.unwrap_or(self.rank)
    }

    /// How many numbers of a token are kept of a text.
    pub fn kept(self) -> usize {
        self.rank + self.rope_width + self.value_rank.unwrap_or(0)
    }
}

/// How heads learn from token to token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ttt {
    /// How large the step is that each token makes. Keys have a length of one: at 1 a head gives a key's last value, at less it goes that
    /// part of the way.
    #[serde(default = "rate")]
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub rate: f64,
    /// What is asked, what answers and what it answers with.
    #[serde(default)]
    pub views: Views,
}

fn rate() -> f64 {
    0.1
}

impl Default for Ttt {
    fn default() -> Self {
        Self { rate: rate(), views: Views::default() }
    }
}

/// In how many ways a head that learns looks at a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Views {
    /// A query, a key and a value.
    #[default]
    Three,
    /// One for all three, of a length of one: a head learns what it has seen, and nothing else. Bit-Llama's.
    One,
}

/// The chains of BK-Core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bk {
    /// How many chains there are for each of `heads`.
    #[serde(default = "chains")]
    #[schemars(range(min = 1, max = 1024))]
    pub chains: usize,
}

fn chains() -> usize {
    1
}

impl Default for Bk {
    fn default() -> Self {
        Self { chains: chains() }
    }
}

impl Model {
    /// The mixer of block number `at`.
    pub fn mixer(&self, at: usize) -> Mixer {
        self.mixers.map_or(Mixer::Attention, |mixers| mixers.of_block(at))
    }

    /// Whether any block has such a mixer.
    pub fn any_mixer(&self, is: impl Fn(Mixer) -> bool) -> bool {
        self.mixers.unwrap_or(Mixers::all(Mixer::Attention)).iter().copied().any(is)
    }
}
