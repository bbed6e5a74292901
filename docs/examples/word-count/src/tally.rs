//! What is counted so far: the state that survives a stop, and the report at the end.
use muse_stage::StageError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Counts up to a line.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Lines that are counted.
    pub(crate) lines: u64,
    /// Words in them.
    pub(crate) words: u64,
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// What an earlier attempt at the same key left, or nothing.
    pub(crate) fn load(path: &Path) -> Result<Self, StageError> {
        match std::fs::read(path) {
            // A file that does not read is of no use: begin again.
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(StageError::io(path)(error)),
        }
    }

    /// Whole or not at all: a stop in the middle leaves the file of before.
    pub(crate) fn save(&self, path: &Path) -> Result<(), StageError> {
        let half = path.with_extension("half");
        let text = serde_json::to_vec(self).map_err(|error| StageError::new(error.to_string()))?;
        std::fs::write(&half, text).map_err(StageError::io(&half))?;
        std::fs::rename(&half, path).map_err(StageError::io(path))
    }

    pub(crate) fn add(&mut self, line: &str, lowercase: bool) {
        self.lines += 1;
        for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let word = if lowercase { word.to_lowercase() } else { word.to_owned() };
            self.words += 1;
            *self.counts.entry(word).or_default() += 1;
        }
    }

    /// No time, no path, no speed: the same text gives the same bytes.
    pub(crate) fn report(&self, top: usize) -> String {
        let mut words: Vec<(&String, &u64)> = self.counts.iter().collect();
        words.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        words.truncate(top);
        format!("{:#}\n", serde_json::json!({ "lines": self.lines, "words": self.words, "top": words }))
    }
}
