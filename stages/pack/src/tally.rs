//! What is counted on the way.
use crate::split::Seen;
use serde::Serialize;
use std::collections::BTreeMap;

/// Figures of documents that were packed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seen: Seen,
    pub(crate) chats: u64,
    /// Documents that have no tokens, and so were left out.
    pub(crate) empty: u64,
    /// Tokens with ends of texts.
    pub(crate) tokens: u64,
    pub(crate) sources: BTreeMap<String, Part>,
}

/// What one source has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    /// Of text, which flat files do not have.
    #[serde(skip_serializing_if = "none")]
    pub(crate) bytes: u64,
    #[serde(skip_serializing_if = "none")]
    pub(crate) characters: u64,
}

fn none(count: &u64) -> bool {
    *count == 0
}

impl Part {
    pub(crate) fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
        self.characters += other.characters;
    }
}

impl Tally {
    pub(crate) fn document(&mut self, source: &str, part: &Part) {
        self.tokens += part.tokens;
        match self.sources.get_mut(source) {
            Some(sum) => sum.add(part),
            None => drop(self.sources.insert(source.to_owned(), part.clone())),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.seen = self.seen.and(other.seen);
        self.chats += other.chats;
        self.empty += other.empty;
        self.tokens += other.tokens;
        for (source, part) in other.sources {
            self.sources.entry(source).or_default().add(&part);
        }
    }

    pub(crate) fn total(&self) -> Part {
        self.sources.values().fold(Part::default(), |mut sum, part| {
            sum.add(part);
            sum
        })
    }
}
