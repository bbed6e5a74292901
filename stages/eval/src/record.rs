//! What became of each item, and how numbers of it are kept.
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What became of an item: a line of `items.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) model: String,
    pub(crate) task: String,
    pub(crate) item: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// Its beginning was left out, since there was no room.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
    /// Places of the right choices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) right: Vec<usize>,
    /// The logarithm of each choice's probability.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) likelihoods: Vec<f64>,
    /// Whether the model would have written it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) greedy: Vec<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) written: Option<String>,
    /// What each filter took out of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) answers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) measured: Option<Measured>,
    /// Its part of each figure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) scores: BTreeMap<String, f64>,
}

/// How likely a text was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The logarithm of its probability.
    pub(crate) likelihood: f64,
    pub(crate) tokens: u64,
    pub(crate) bytes: u64,
    /// Letters of scripts whose words stand side by side.
    pub(crate) unspaced: u64,
    pub(crate) words: u64,
}

/// Six digits behind the point: more than figures need, and fewer than rounding reaches.
pub(crate) fn rounded(number: f64) -> f64 {
    let rounded = (number * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { f64::MIN }
}
