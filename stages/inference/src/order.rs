//! What is asked of a model, and what it answers as it goes.
use crate::Sampling;

/// A text that is to be written.
#[derive(Clone, Debug)]
pub struct Order {
    /// What it goes on from.
    pub prompt: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The most tokens to write.
    pub most: usize,
    /// Texts that end it, and do not stand in it.
    pub stops: Vec<String>,
    /// Tokens that end it.
    pub ends: Vec<u32>,
    /// Tell of each token how likely it was, and of so many of the likeliest beside it.
    pub likely: Option<usize>,
    /// Tell it of the prompt's tokens too, and of the token that ends the text: all of it stands in pieces' tokens. Then nothing of the
    /// prompt is taken from what a slot holds.
    pub whole: bool,
}

impl Order {
    /// A text of at most so many tokens behind a prompt.
    pub fn new(prompt: Vec<u32>, most: usize) -> Self {
        Self {
            prompt,
            sampling: Sampling::default(),
            most,
            stops: Vec::new(),
            ends: Vec::new(),
            likely: None,
            whole: false,
        }
    }
}

/// What is told of a text as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It goes on.
    Piece(Piece),
    /// It is over.
    Ended(Ended),
}

/// More of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Whole characters. May be empty while a character or a stop is not decided.
    pub text: String,
    /// The tokens since the piece before, where the order asks how likely they were.
    pub tokens: Vec<Chosen>,
}

/// A token that was chosen, or stands in the prompt, and how likely it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The token.
    pub id: u32,
    /// The logarithm of its probability; the first token of a prompt stands behind nothing and has none.
    pub logprob: Option<f64>,
    /// The likeliest tokens with theirs, the likeliest first.
    pub others: Vec<(u32, f64)>,
}

/// How a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: Reason,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Of which so many were computed for a text before.
    pub cached: usize,
    /// Tokens that were written, the one that ended it included.
    pub written: usize,
}

/// Why a text is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By a token or a text that ends it.
    Stop,
    /// It has as many tokens as were asked for, or as there is room for.
    Length,
}
