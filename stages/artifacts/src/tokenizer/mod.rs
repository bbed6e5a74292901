//! A tokenizer: a folder with `tokenizer.json`, its settings and its chat template. docs/formats/tokenizer.md draws it.
//!
//! Text becomes the ids that the tokenizers crate (and so Python's `transformers`) gives. Special tokens that stand in a
//! text are text: only a chat template writes special tokens.
mod chat;
mod merges;
mod quick;
pub mod split;
mod template;

pub use chat::EncodedChat;
pub use template::CHATML;

use crate::{ArtifactError, Result};
use quick::Quick;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use template::Template;
use tokenizers::ModelWrapper;

/// The token that ends a document, where the vocabulary has it.
const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer that can be used, from any number of threads.
pub struct Tokenizer {
    folder: PathBuf,
    inner: tokenizers::Tokenizer,
    /// Where it is byte-level BPE as this makes it.
    quick: Option<Quick>,
    /// Special tokens and their ids, the longest first.
    specials: Vec<(String, u32)>,
    /// Tokens by their roles: `eos_token`, `pad_token`, `bos_token`.
    roles: Vec<(String, String)>,
    template: Option<Template>,
    vocab_size: usize,
    digest: String,
    /// The byte of each letter, where tokens are spelled byte by byte.
    letters: Option<FxHashMap<char, u8>>,
}

impl Tokenizer {
    /// Opens a folder with a `tokenizer.json`, or that file alone.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let bytes = fs::read(&file).map_err(ArtifactError::io(&file))?;
        let wrong = |error: &dyn std::fmt::Display| {
            let help = "a tokenizer is a folder with a `tokenizer.json` as the tokenizers library writes it";
            ArtifactError::format(&file, format!("not a tokenizer: {error}")).help(help)
        };
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| wrong(&error))?;
        inner.set_encode_special_tokens(true);
        whole_and_by_rule(&mut inner).map_err(|error| wrong(&error))?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
        let config = optional_json(&folder.join("tokenizer_config.json"))?;
        let added = inner.get_added_tokens_decoder();
        let mut specials: Vec<(String, u32)> = added
            .iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| (token.content.clone(), *id))
            .collect();
        specials.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        let largest = inner.get_vocab(true).into_values().max();
        Ok(Self {
            quick: Quick::new(&json),
            letters: is_byte_level(&json["decoder"]).then(quick::letters),
            template: Template::find(folder, config.as_ref())?,
            roles: roles(config.as_ref()),
            vocab_size: largest.map_or(0, |largest| largest as usize + 1),
            digest: format!("b3:{}", blake3::hash(&bytes).to_hex()),
            folder: folder.to_owned(),
            inner,
            specials,
        })
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// What tells it from every other: the digest of `tokenizer.json`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The id of a token by its text.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of a token, as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The token that ends a document: `<|endoftext|>`, else `eos_token` of its settings.
    pub fn end_of_text(&self) -> Option<u32> {
        // A chat model's settings may end generation with the turn; documents end with the text.
        let named = self.role("eos_token").and_then(|token| self.token_id(token));
        self.token_id(END_OF_TEXT).or(named)
    }

    /// A token by its role in the settings, such as `eos_token`.
    pub fn role(&self, role: &str) -> Option<&str> {
        self.roles.iter().find(|(name, _)| name == role).map(|(_, token)| token.as_str())
    }

    /// What the tokenizer puts before every text that stands alone, such as the token that begins texts; mostly nothing.
    pub fn beginning(&self) -> Result<Vec<u32>> {
        const SOME: &str = "a";
        let encode = |with| self.inner.encode_fast(SOME, with).map_err(|error| self.wrong(&error));
        let (with, without) = (encode(true)?, encode(false)?);
        let (with, without) = (with.get_ids(), without.get_ids());
        let at = with.windows(without.len().max(1)).position(|some| some == without);
        Ok(with[..at.unwrap_or_default()].to_vec())
    }

    /// Special tokens and their ids.
    pub fn specials(&self) -> &[(String, u32)] {
        &self.specials
    }

    /// Whether text takes the quick way; for benchmarks.
    pub fn is_quick(&self) -> bool {
        self.quick.is_some()
    }

    /// The ids of a text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids)?;
        Ok(ids)
    }

    /// Adds the ids of a text.
    pub fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        match &self.quick {
            Some(quick) => quick.encode(text, ids),
            None => ids.extend(self.encode_slowly(text)?),
        }
        Ok(())
    }

    /// The ids of a text by the tokenizers crate, whatever way [`Tokenizer::encode`] takes.
    pub fn encode_slowly(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self.inner.encode_fast(text, false).map_err(|error| self.wrong(&error))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of ids, special tokens as they are written.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(|error| self.wrong(&error))
    }

    /// The bytes that a token stands for; those of its name where it is special.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        match &self.inner.id_to_token(id) {
            None => Vec::new(),
            Some(token) if self.specials.iter().any(|(_, special)| *special == id) => {
                token.as_bytes().to_vec()
            }
            Some(token) => match &self.letters {
                // Byte-level: each letter is a byte.
                Some(letters) => token.chars().filter_map(|letter| letters.get(&letter).copied()).collect(),
                None => match byte_of(token) {
                    Some(byte) => vec![byte],
                    None => self.inner.decode(&[id], false).unwrap_or_default().into_bytes(),
                },
            },
        }
    }

    /// The text of ids without special tokens: what a person reads.
    pub fn text(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &dyn std::fmt::Display) -> ArtifactError {
        ArtifactError::format(&self.folder, error.to_string())
    }
}

/// Takes out what `tokenizer.json` may say of one use of it: a length to cut and fill to, and merges left out by chance.
fn whole_and_by_rule(inner: &mut tokenizers::Tokenizer) -> tokenizers::Result<()> {
    inner.with_truncation(None)?.with_padding(None);
    if let ModelWrapper::BPE(model) = inner.get_model()
        && model.dropout.is_some()
    {
        let mut model = model.clone();
        model.dropout = None;
        inner.with_model(model);
    }
    Ok(())
}

/// Whether tokens are spelled byte by byte, as the decoder says.
fn is_byte_level(decoder: &Value) -> bool {
    let steps = decoder["decoders"].as_array();
    decoder["type"] == "ByteLevel" || steps.is_some_and(|steps| steps.iter().any(is_byte_level))
}

/// The byte that `<0xE3>` stands for.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn optional_json(path: &Path) -> Result<Option<Value>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ArtifactError::io(path)(error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| ArtifactError::format(path, error.to_string()))
}

/// Every `…_token` of the settings that is a token: a text, or an object with its `content`.
fn roles(config: Option<&Value>) -> Vec<(String, String)> {
    let fields = config.and_then(Value::as_object).into_iter().flatten();
    let token = |value: &Value| value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned);
    fields
        .filter(|(name, _)| name.ends_with("_token"))
        .filter_map(|(name, value)| Some((name.clone(), token(value)?)))
        .collect()
}
