//! The types of what flows between stages: a port takes some of them, an output is one of them.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an output holds, as far as ports care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactType {
    /// Text or chats in parquet, with their source.
    Corpus,
    /// A tokenizer's folder.
    Tokenizer,
    /// Packed tokens with their index.
    Tokens,
    /// Weights with what training needs to go on.
    Checkpoint,
    /// Figures and samples in JSON.
    Report,
    /// Any folder.
    Folder,
    /// Any file.
    File,
    /// Whatever a command wrote; the reader checks it.
    Any,
}

impl ArtifactType {
    /// The name that pages and messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Tokenizer => "tokenizer",
            Self::Tokens => "tokens",
            Self::Checkpoint => "checkpoint",
            Self::Report => "report",
            Self::Folder => "folder",
            Self::File => "file",
            Self::Any => "any",
        }
    }

    /// Whether something of type `self` may flow into a port that takes `wanted`.
    pub fn fits(self, wanted: &[ArtifactType]) -> bool {
        self == Self::Any || wanted.contains(&Self::Any) || wanted.contains(&self)
    }
}

impl fmt::Display for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
