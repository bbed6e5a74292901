//! Packed tokens: documents one after another, and sequences that are made of them. docs/formats/tokens.md draws it.
//!
//! `train.bin` and `validation.bin` hold the tokens of all documents, each with its end of text. `*.idx` says where
//! documents end and which tokens each sequence holds, so one layout of tokens serves every strategy, a sequence knows
//! which documents it is made of, and `train.bin` is what readers of flat files read.
mod cut;
mod index;
mod layout;
mod map;
mod meta;
pub mod raw;
mod reader;
mod sequence;
mod stream;

pub use index::Piece;
pub use layout::Layout;
pub use meta::{Loss, Meta, SplitMeta};
pub use reader::{DocumentTokens, Tokens};
pub use sequence::{IGNORED, Segment, Sequence};
pub use stream::{Block, Stream, StreamWriter};

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which side of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// What is learned from.
    Train,
    /// What is held back.
    Validation,
}

impl Split {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Train, Self::Validation];

    /// The stem of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }

    /// Its file of that extension.
    pub fn file(self, folder: &Path, extension: &str) -> PathBuf {
        folder.join(format!("{}.{extension}", self.name()))
    }
}

/// How a token is written: little-endian, without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
}

impl Dtype {
    /// The smallest that has room for a vocabulary of that size.
    pub fn of(vocab_size: u32) -> Self {
        if vocab_size <= 1 << 16 { Self::U16 } else { Self::U32 }
    }

    /// Bytes of a token.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    /// Adds tokens to bytes.
    pub fn put(self, ids: &[u32], bytes: &mut Vec<u8>) {
        match self {
            // The writer of a vocabulary that fits in two bytes has no id that does not.
            Self::U16 => bytes.extend(ids.iter().flat_map(|id| (*id as u16).to_le_bytes())),
            Self::U32 => bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
    }

    /// The tokens of bytes.
    pub fn tokens(self, bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
        bytes.chunks_exact(self.bytes()).map(|token| match token {
            [a, b] => u32::from(u16::from_le_bytes([*a, *b])),
            [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
            _ => 0,
        })
    }
}
