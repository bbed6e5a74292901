//! Several tokenizers side by side on the same texts.
use crate::measure::{measure, show};
use muse_artifacts::tokenizer::Tokenizer;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Texts whose tokens are shown.
const SHOWN: usize = 5;
/// Characters of each that are shown.
const SHOWN_CHARACTERS: usize = 60;

/// Measures tokenizers (folders, or `tokenizer.json` files) on texts: for each its size, characters and bytes per token by
/// language, what it does not know, and its tokens of the first texts. One that cannot be opened says so in its place,
/// under `error`, and the others are measured all the same.
pub fn compare(folders: &[PathBuf], texts: &[String]) -> Value {
    let one = |folder: &PathBuf| -> muse_artifacts::Result<Value> {
        let tokenizer = Tokenizer::open(folder)?;
        let measured = measure(&tokenizer, texts.iter().map(|text| ("", text.as_str())))?;
        let first =
            texts.iter().take(SHOWN).map(|text| text.chars().take(SHOWN_CHARACTERS).collect::<String>());
        let samples =
            first.map(|text| show(&tokenizer, &text)).collect::<muse_artifacts::Result<Vec<_>>>()?;
        Ok(json!({
            "vocab_size": tokenizer.vocab_size(),
            "digest": tokenizer.digest(),
            "total": measured.total,
            "languages": measured.languages,
            "samples": samples,
        }))
    };
    let row = |folder: &PathBuf| {
        let mut row = one(folder).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        row["tokenizer"] = folder.display().to_string().into();
        row
    };
    json!({ "tokenizers": folders.iter().map(row).collect::<Vec<_>>() })
}
