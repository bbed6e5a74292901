//! What a key gave: outputs by digest, and all that a person may ask about how they came to be.
use crate::sealed::{seal, unseal};
use crate::store::Store;
use crate::{Artifact, Digest, Key, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A result. The store's truth: where it stands, the key is a hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whose result this is.
    pub key: Key,
    /// The stage kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// The stage's name when it ran, for people.
    pub stage: String,
    /// The pipeline's name when it ran, for people.
    pub pipeline: String,
    /// Parameters that entered the key.
    pub params: Value,
    /// For each port its entries in order: name and identity.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<(String, Digest)>>,
    /// Input files by name.
    #[serde(default)]
    pub files: BTreeMap<String, Digest>,
    /// What outside things were pinned to.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// How its inputs came to be, where the kind is told: for each port the output and the way of each entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub story: BTreeMap<String, Vec<(String, Digest)>>,
    /// What it has in common with results whose keys differ in extendable parameters alone, where the kind has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Digest>,
    /// The results by name.
    pub outputs: BTreeMap<String, Artifact>,
    /// What the stage said of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
    /// How long it took.
    pub seconds: f64,
    /// When it was made.
    pub made: String,
    /// The run that made it.
    pub run: String,
    /// Which attempt made it.
    pub attempt: u32,
    /// It was not made by the stage, but put in by a person.
    #[serde(default)]
    pub adopted: bool,
}

impl Record {
    /// Reads a record's file, or says what is wrong with it.
    pub fn from_bytes(file: &[u8]) -> Result<Self, String> {
        let body = unseal("record", file)?;
        serde_json::from_slice(body).map_err(|error| format!("it is no record: {error}"))
    }

    /// The text of a record's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut record = self.clone();
        if !record.seconds.is_finite() {
            // JSON has no word for it, and the record would not be read again.
            record.seconds = 0.0;
        }
        let body = serde_json::to_vec(&record).unwrap_or_default();
        seal("record", &body)
    }
}

impl Store {
    /// The result of a key. A damaged record is none, and a complaint.
    pub fn record(&self, key: &Key) -> Result<Option<Record>> {
        self.record_at(key, &self.0.home.record(key))
    }

    pub(crate) fn record_at(&self, key: &Key, path: &Path) -> Result<Option<Record>> {
        let Some(file) = self.0.disk.read_if_there(path)? else { return Ok(None) };
        match Record::from_bytes(&file) {
            Ok(record) if record.key == *key => Ok(Some(record)),
            Ok(_) => {
                self.complain(format!(
                    "{} is the record of another key; it counts for nothing",
                    path.display()
                ));
                Ok(None)
            }
            Err(why) => {
                self.complain(format!("{} is damaged ({why}); it counts for nothing", path.display()));
                Ok(None)
            }
        }
    }
}
