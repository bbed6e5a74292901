//! Writes a tokenizer's folder: what the tokenizers library reads, and what `transformers` wants beside it.
use crate::params::{Normalize, Params};
use muse_artifacts::tokenizer::split::Split;
use muse_stage::StageError;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// What `tokenizer_config.json` and `special_tokens_map.json` say.
pub(crate) struct Settings {
    /// The settings of a base, which stay.
    pub(crate) base: BTreeMap<String, Value>,
    /// Tokens by their roles: `eos_token`, `pad_token`.
    pub(crate) roles: BTreeMap<String, Value>,
    /// How conversations are written.
    pub(crate) template: Option<String>,
}

impl Settings {
    /// The first special token ends documents, the first with `pad` in its name fills up.
    pub(crate) fn new(specials: &[String], template: String) -> Self {
        let mut roles = BTreeMap::new();
        if let Some(end) = specials.first() {
            let pad = specials.iter().find(|token| token.to_ascii_lowercase().contains("pad")).unwrap_or(end);
            roles.insert("eos_token".to_owned(), Value::from(end.as_str()));
            roles.insert("pad_token".to_owned(), Value::from(pad.as_str()));
            let others: Vec<_> = specials.iter().filter(|token| *token != end && *token != pad).collect();
            roles.insert("additional_special_tokens".to_owned(), json!(others));
        }
        Self { base: BTreeMap::new(), roles, template: Some(template) }
    }
}

/// What `tokenizer.json` says of the way to the model: normaliser, words, and back.
pub(crate) struct Way {
    pub(crate) normalizer: Value,
    pub(crate) pre_tokenizer: Value,
    pub(crate) decoder: Value,
}

impl Way {
    /// Text to words to the letters of their bytes.
    pub(crate) fn bytes(params: &Params) -> Self {
        let letters = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
        let steps = json!({ "type": "Sequence", "pretokenizers": [cut(params), letters] });
        Self { normalizer: normalizer(params), pre_tokenizer: steps, decoder: letters }
    }

    /// Text to words to characters.
    pub(crate) fn characters(params: &Params) -> Self {
        let back =
            json!({ "type": "Sequence", "decoders": [{ "type": "ByteFallback" }, { "type": "Fuse" }] });
        Self { normalizer: normalizer(params), pre_tokenizer: cut(params), decoder: back }
    }
}

fn cut(params: &Params) -> Value {
    let split = Split::from(params.split);
    json!({ "type": "Split", "pattern": { "Regex": split.pattern() }, "behavior": "Isolated", "invert": false })
}

/// What is done to text first.
pub(crate) fn normalizer(params: &Params) -> Value {
    let form = match params.normalize {
        Normalize::None => None,
        Normalize::Nfc => Some(json!({ "type": "NFC" })),
        Normalize::Nfkc => Some(json!({ "type": "NFKC" })),
    };
    let space = params.add_prefix_space.then(|| json!({ "type": "Prepend", "prepend": " " }));
    match (form, space) {
        (None, None) => Value::Null,
        (Some(one), None) | (None, Some(one)) => one,
        (Some(form), Some(space)) => json!({ "type": "Sequence", "normalizers": [form, space] }),
    }
}

/// A `tokenizer.json` of this model. `added` are its special tokens and their ids.
pub(crate) fn tokenizer_json(way: &Way, model: &Value, added: &[(String, u32)]) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added.iter().map(|(text, id)| special_token(text, *id)).collect::<Vec<_>>(),
        "normalizer": way.normalizer, "pre_tokenizer": way.pre_tokenizer, "post_processor": null,
        "decoder": way.decoder, "model": model,
    })
}

/// A special token, as `tokenizer.json` has it.
pub(crate) fn special_token(text: &str, id: u32) -> Value {
    json!({ "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
}

/// A byte-pair model of tokens with ids and merges.
pub(crate) fn pairs_model<'a>(
    tokens: impl Iterator<Item = (&'a str, usize)>,
    merges: impl Iterator<Item = [&'a str; 2]>,
    byte_fallback: bool,
) -> Value {
    json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": byte_fallback, "ignore_merges": false,
        "vocab": tokens.map(|(text, id)| (text.to_owned(), Value::from(id))).collect::<serde_json::Map<_, _>>(),
        "merges": merges.map(|pair| json!(pair)).collect::<Vec<_>>(),
    })
}

/// Writes the folder, all but its report. The library itself writes `tokenizer.json`, in its own order.
pub(crate) fn write(folder: &Path, json: &Value, settings: Settings) -> Result<(), StageError> {
    fs::create_dir_all(folder).map_err(StageError::io(folder))?;
    let broken = |error: &dyn std::fmt::Display| {
        StageError::new(format!("the tokenizer does not fit together: {error}"))
    };
    let tokenizer = tokenizers::Tokenizer::from_str(&json.to_string()).map_err(|error| broken(&error))?;
    let text = tokenizer.to_string(true).map_err(|error| broken(&error))?;
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(StageError::io(&path))
    };
    put("tokenizer.json", text + "\n")?;
    let Settings { mut base, roles, template } = settings;
    base.extend(roles.clone());
    base.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
    base.insert("clean_up_tokenization_spaces".into(), false.into());
    if let Some(template) = template {
        base.insert("chat_template".into(), template.as_str().into());
        put("chat_template.jinja", template)?;
    }
    put("tokenizer_config.json", pretty(&base))?;
    put("special_tokens_map.json", pretty(&roles))
}

/// JSON for people, the same wherever it is written.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let sorted = serde_json::to_value(value).map(sorted).unwrap_or_default();
    serde_json::to_string_pretty(&sorted).unwrap_or_default() + "\n"
}

/// Objects by their keys, whatever order the JSON library keeps them in.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
