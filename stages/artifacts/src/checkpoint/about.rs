//! `checkpoint.json`: what a checkpoint is of, and which files it has.
use super::{ABOUT, DAMAGED, disk};
use crate::{ArtifactError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Component, Path};

const FORMAT: u32 = 1;
/// What stands before and behind the digest of the text up to there, at the end of the file.
const SEAL: [&str; 2] = [",\n  \"digest\": \"", "\"\n}\n"];
/// A larger file is none of ours.
const LARGEST: u64 = 64 << 20;

/// What a training says of itself when it writes a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The model's configuration.
    pub config: Value,
    /// The digest of the tokenizer whose ids it learned, where it learned any.
    pub tokenizer: Option<String>,
    /// Steps that were made.
    pub step: u64,
    /// Tokens that were learned from.
    pub tokens: u64,
    /// What was measured: `loss`, `validation_loss` and others. What is no number is left out.
    pub figures: BTreeMap<String, f64>,
}

/// What `checkpoint.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Version of the format: 1.
    pub format: u32,
    /// The model's configuration.
    pub config: Value,
    /// The digest of the tokenizer whose ids it learned, where it learned any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// Steps that were made.
    pub step: u64,
    /// Tokens that were learned from.
    pub tokens: u64,
    /// What was measured.
    pub figures: BTreeMap<String, f64>,
    /// Numbers in the model's tensors.
    pub parameters: u64,
    /// All other files, by path.
    pub files: BTreeMap<String, FileFacts>,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3 hash, `b3:` and 64 hex digits.
    pub digest: String,
}

impl About {
    pub(super) fn new(facts: Facts, parameters: u64, files: BTreeMap<String, FileFacts>) -> Self {
        let Facts { config, tokenizer, step, tokens, mut figures } = facts;
        figures.retain(|_, figure| figure.is_finite());
        Self { format: FORMAT, config, tokenizer, step, tokens, figures, parameters, files }
    }

    /// The loss, where it was measured.
    pub fn loss(&self) -> Option<f64> {
        self.figures.get("loss").copied()
    }

    /// The loss on what was held back, where it was measured.
    pub fn validation_loss(&self) -> Option<f64> {
        self.figures.get("validation_loss").copied()
    }

    /// The bytes of all files but `checkpoint.json`.
    pub fn bytes(&self) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Reads the `checkpoint.json` at `path`. Looks at no other file.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |said: String| ArtifactError::format(path, said).help(DAMAGED);
        let text = disk::read_text(path, LARGEST)?;
        // The newline is the last byte that is written, so a file without it was cut.
        if !text.ends_with('\n') {
            return Err(wrong("it was cut".into()));
        }
        let strange = |error: serde_json::Error| wrong(format!("not what muse writes: {error}"));
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Some(sealed) = unseal(&text) else {
            return Err(wrong("it was changed: it is not what its own digest says".into()));
        };
        let version: Version = serde_json::from_str(&text).map_err(strange)?;
        ArtifactError::check_version(path, version.format, FORMAT)?;
        let about: Self = serde_json::from_str(&format!("{sealed}\n}}")).map_err(strange)?;
        match about.files.keys().find(|name| !is_plain(name)) {
            Some(name) => Err(wrong(format!("`{name}` is no file of a checkpoint"))),
            None => Ok(about),
        }
    }

    /// Writes it into the folder, which ends a checkpoint.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        disk::write(&folder.join(ABOUT), seal(self).as_bytes()).map(drop)
    }
}

/// The text, which ends with the digest of all that stands before the digest.
fn seal(about: &About) -> String {
    let text = serde_json::to_string_pretty(about).unwrap_or_default();
    let text = text.strip_suffix("\n}").unwrap_or_default().to_owned();
    let digest = disk::digest(&blake3::hash(text.as_bytes()));
    let [before, behind] = SEAL;
    text + before + &digest + behind
}

/// What was sealed, without its end, if the digest is right.
fn unseal(text: &str) -> Option<&str> {
    let [before, behind] = SEAL;
    let (sealed, digest) = text.strip_suffix(behind)?.rsplit_once(before)?;
    (disk::digest(&blake3::hash(sealed.as_bytes())) == digest).then_some(sealed)
}

/// A path that leads nowhere but into the folder.
fn is_plain(name: &str) -> bool {
    name != ABOUT
        && !name.is_empty()
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}
