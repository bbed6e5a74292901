//! The values that parameters choose between.
use muse_stage::FieldError;
use muse_stage::schemars::{self, JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Where data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The Hugging Face Hub.
    Hub,
    /// URLs.
    Http,
    /// Files beside the pipeline.
    #[default]
    File,
    /// A seeded generator of stories and dialogues, for trials without a network.
    Synthetic,
}

/// What to make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Texts and chats, as output `corpus`.
    #[default]
    Corpus,
    /// The bytes as they are, as output `files`.
    Files,
}

/// The sorts of repositories that hold files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepoKind {
    /// A data set.
    #[default]
    Dataset,
    /// A model.
    Model,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// By name or first bytes.
    #[default]
    Auto,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Jsonl,
    /// JSON values one after the other, or in an array.
    Json,
    /// Values parted by commas, below a line of names.
    Csv,
    /// Values parted by tabs, below a line of names.
    Tsv,
    /// Plain text.
    Text,
}

/// What a document is in plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// The whole file.
    #[default]
    File,
    /// Lines up to an empty one.
    Paragraph,
    /// Each line that is not empty.
    Line,
}

/// A language of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Japanese.
    Ja,
    /// English.
    En,
}

/// SHA-256 digests of URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Digests {
    written: Value,
}

impl From<Value> for Digests {
    fn from(written: Value) -> Self {
        Self { written }
    }
}

impl From<Digests> for Value {
    fn from(digests: Digests) -> Self {
        match digests.written {
            Value::Null => json!([]),
            written => written,
        }
    }
}

impl JsonSchema for Digests {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Digests".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let digest = json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" });
        let value = json!({ "anyOf": [{ "type": "array", "items": digest },
                                      { "type": "object", "additionalProperties": digest }] });
        Schema::try_from(value).unwrap_or_default()
    }
}

impl Digests {
    /// The digest of one of `urls`.
    pub(crate) fn of(&self, urls: &[String], url: &str) -> Option<String> {
        let found = match &self.written {
            Value::Array(list) => list.get(urls.iter().position(|one| one == url)?),
            Value::Object(map) => map.get(url),
            _ => None,
        };
        found.and_then(Value::as_str).map(str::to_ascii_lowercase)
    }

    pub(super) fn check(&self, urls: &[String]) -> Result<(), FieldError> {
        match &self.written {
            Value::Array(list) if !list.is_empty() && list.len() != urls.len() => {
                let message = format!("{} digests for {} URLs", list.len(), urls.len());
                Err(FieldError::new("/sha256", message)
                    .help("write one for each, or a map from URL to digest"))
            }
            Value::Object(map) => match map.keys().find(|url| !urls.contains(url)) {
                Some(url) => Err(FieldError::new("/sha256", format!("`{url}` is none of `urls`"))),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl RepoKind {
    /// As it stands in the hub's addresses.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
        }
    }
}
