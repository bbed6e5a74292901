//! What was dropped: counts by rule, source and input, with samples; the report of it, and the error where
//! nothing is left.
use crate::fate::{RULES, Rule};
use crate::same::Copies;
use muse_artifacts::corpus::{DocumentRef, Totals};
use muse_stage::StageError;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// So many samples of each rule.
const SAMPLES: usize = 5;
/// And of each so many characters.
const EXCERPT: usize = 120;
/// And in an error so many.
const SHORT: usize = 40;

/// Documents and bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Count {
    documents: u64,
    bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.bytes += other.bytes;
    }

    pub(crate) fn of(bytes: usize) -> Self {
        Self { documents: 1, bytes: bytes as u64 }
    }
}

/// A document that was dropped, shortened.
#[derive(Debug, Serialize)]
struct Sample {
    source: String,
    text: String,
    /// What the rule measured.
    #[serde(skip_serializing_if = "Value::is_null")]
    value: Value,
    /// The earlier document that it is a copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_of: Option<String>,
    #[serde(skip)]
    number: u32,
}

/// Counts of some documents, added up in their order.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) read: Count,
    /// Documents that normalisation changed, of those that are kept.
    pub(crate) changed: u64,
    dropped: BTreeMap<Rule, Dropped>,
    /// The beginnings of documents that samples are copies of.
    originals: BTreeMap<u32, String>,
}

#[derive(Default)]
struct Dropped {
    /// By what documents say of themselves.
    sources: BTreeMap<String, Count>,
    /// By the corpus at the port that they are in.
    inputs: BTreeMap<usize, Count>,
    samples: Vec<Sample>,
}

impl Tally {
    /// Counts a document that goes. `value` is asked for samples alone.
    pub(crate) fn drop(
        &mut self,
        (input, number): (usize, u32),
        rule: Rule,
        document: &DocumentRef<'_>,
        value: impl FnOnce() -> Value,
    ) {
        let dropped = self.dropped.entry(rule).or_default();
        let count = Count::of(document.bytes());
        dropped.inputs.entry(input).or_default().add(count);
        match dropped.sources.get_mut(document.source) {
            Some(sum) => sum.add(count),
            None => drop(dropped.sources.insert(document.source.to_owned(), count)),
        }
        if dropped.samples.len() < SAMPLES {
            let (source, text) = (document.source.to_owned(), excerpt(document));
            dropped.samples.push(Sample { source, text, value: value(), copy_of: None, number });
        }
    }

    /// Keeps the beginning of a document that others are copies of.
    pub(crate) fn original(&mut self, number: u32, document: &DocumentRef<'_>) {
        self.originals.insert(number, excerpt(document));
    }

    /// Adds what comes behind.
    pub(crate) fn add(&mut self, behind: Self) {
        self.read.add(behind.read);
        self.changed += behind.changed;
        self.originals.extend(behind.originals);
        for (rule, more) in behind.dropped {
            let dropped = self.dropped.entry(rule).or_default();
            for (source, count) in more.sources {
                dropped.sources.entry(source).or_default().add(count);
            }
            for (input, count) in more.inputs {
                dropped.inputs.entry(input).or_default().add(count);
            }
            let room = SAMPLES - dropped.samples.len();
            dropped.samples.extend(more.samples.into_iter().take(room));
        }
    }

    /// What goes into `report.json`, beside what is kept. `inputs` are the names of the corpora, where they have
    /// such.
    pub(crate) fn report(mut self, copies: &Copies, inputs: &[&str]) -> Map<String, Value> {
        let mut all = Count::default();
        let mut rules = Map::new();
        for (rule, name) in RULES {
            let Some(mut dropped) = self.dropped.remove(&rule) else { continue };
            for sample in &mut dropped.samples {
                let original = copies.get(&sample.number).and_then(|first| self.originals.get(first));
                sample.copy_of = original.cloned();
            }
            let mut sum = Count::default();
            dropped.sources.values().for_each(|count| sum.add(*count));
            all.add(sum);
            let mut told = json!({
                "documents": sum.documents,
                "bytes": sum.bytes,
                "sources": dropped.sources,
                "samples": dropped.samples,
            });
            if inputs.iter().any(|name| !name.is_empty()) {
                let named = dropped.inputs.iter().map(|(at, count)| (inputs.get(*at).unwrap_or(&""), count));
                told["inputs"] = json!(named.collect::<BTreeMap<_, _>>());
            }
            rules.insert(name.into(), told);
        }
        let mut report = Map::new();
        report.insert("read".into(), json!(self.read));
        report.insert("normalized".into(), json!(self.changed));
        report.insert(
            "dropped".into(),
            json!({ "documents": all.documents, "bytes": all.bytes, "rules": rules }),
        );
        report
    }

    /// An error where nothing was kept, which says what dropped it all.
    pub(crate) fn anything_left(&self, kept: &BTreeMap<String, Totals>) -> Result<(), StageError> {
        if kept.values().any(|totals| totals.documents > 0) {
            return Ok(());
        }
        let told = RULES.iter().filter_map(|(rule, name)| {
            let documents: u64 = self.dropped.get(rule)?.sources.values().map(|count| count.documents).sum();
            Some(format!("{name} dropped {documents}"))
        });
        let told: Vec<String> = told.collect();
        let message = format!("nothing is left of {} documents: {}", self.read.documents, told.join(", "));
        let sample = self.dropped.values().find_map(|dropped| dropped.samples.first());
        let example = sample.map(|sample| {
            let found = if sample.value.is_null() { String::new() } else { format!(" ({})", sample.value) };
            let short: String = sample.text.chars().take(SHORT).collect();
            format!(", for one{found}: {:?}", if short == sample.text { short } else { short + "…" })
        });
        Err(StageError::new(message + &example.unwrap_or_default()).help("loosen these rules under `with`"))
    }
}

/// The beginning of what was said, in one line.
fn excerpt(document: &DocumentRef<'_>) -> String {
    let words = document.texts().flat_map(|text| text.chars().take(4 * EXCERPT).chain([' ']));
    let mut short = String::new();
    let mut space = true;
    let (mut length, mut more) = (0, false);
    for character in words {
        let blank = character.is_whitespace() || character.is_control();
        if blank && (space || length == EXCERPT) {
            continue;
        }
        if length == EXCERPT {
            more = true;
            break;
        }
        short.push(if blank { ' ' } else { character });
        space = blank;
        length += 1;
    }
    short.truncate(short.trim_end().len());
    if more {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::{Document, Message};

    #[test]
    fn excerpts_are_short_and_one_line() {
        let told = |text: &str| excerpt(&Document::text(text, "s").borrow());
        assert_eq!(told(" a\0\n\n b\u{3000}c\n"), "a b c");
        assert_eq!(told(&"猫".repeat(500)), "猫".repeat(EXCERPT) + "…");
        assert_eq!(told(&"猫".repeat(EXCERPT)), "猫".repeat(EXCERPT));
        assert_eq!(told(""), "");
        let chat =
            Document::chat(vec![Message::new("user", "春は？"), Message::new("assistant", "あけぼの")], "s");
        assert_eq!(excerpt(&chat.borrow()), "春は？ あけぼの");
    }
}
