//! `meta.json`: what the tokens were made with and how many there are.
use super::Dtype;
use crate::{ArtifactError, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

pub(super) const FORMAT: u32 = 1;
pub(super) const AGAIN: &str = "`muse verify --repair` drops what is damaged, and a run packs it again";

/// Which tokens carry loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// All.
    All,
    /// Those that `*.mask` names.
    Mask,
}

/// What a reader must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of the format: 1.
    pub format: u32,
    /// How a token is written.
    pub dtype: Dtype,
    /// The most tokens of a sequence.
    pub context: u32,
    /// How sequences were made of documents, for people.
    pub strategy: String,
    /// Which tokens carry loss.
    pub loss: Loss,
    /// Ids are smaller than this.
    pub vocab_size: u32,
    /// What ends each document and fills what is left of a sequence.
    pub end_of_text: u32,
    /// The digest of the tokenizer.
    pub tokenizer: String,
    /// What is learned from.
    pub train: SplitMeta,
    /// What is held back.
    pub validation: SplitMeta,
}

/// How much there is on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitMeta {
    /// Tokens, ends of texts too.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Sequences.
    pub sequences: u64,
    /// Runs of tokens that sequences are made of.
    pub pieces: u64,
}

impl Meta {
    /// Reads it from the folder of an artifact.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("meta.json");
        let none = || {
            ArtifactError::format(folder, "no packed tokens: there is no `meta.json` in it").help(
                "`pack` makes packed tokens of a corpus and a tokenizer, and of flat files that you have",
            )
        };
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => none(),
            _ => ArtifactError::io(&path)(error),
        })?;
        let wrong = |said: String| ArtifactError::format(&path, said).help(AGAIN);
        // The newline is the last byte that is written, so a file without it was cut.
        if !text.ends_with('\n') {
            return Err(wrong("it was cut".into()));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version =
            serde_json::from_str(&text).map_err(|error| wrong(format!("not what `pack` writes: {error}")))?;
        ArtifactError::check_version(&path, version.format, FORMAT)?;
        let meta: Self =
            serde_json::from_str(&text).map_err(|error| wrong(format!("not what `pack` writes: {error}")))?;
        if meta.context == 0 || meta.end_of_text >= meta.vocab_size || i32::try_from(meta.vocab_size).is_err()
        {
            return Err(wrong("its figures contradict each other".into()));
        }
        Ok(meta)
    }

    /// Writes it, which ends an artifact.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("meta.json");
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        fs::write(&path, text).map_err(ArtifactError::io(&path))
    }
}
