//! The last known result of each stage of a pipeline: what causes compare with, and what gc keeps.
use muse_store::{Digest, Key, Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// By stage name. Each run carries over what it did not touch, so that running one stage forgets nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastResults {
    /// The pipeline's name.
    pub pipeline: String,
    /// The last run.
    pub run: String,
    /// By stage.
    pub stages: BTreeMap<String, LastResult>,
}

/// The last result of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastResult {
    /// Its key.
    pub key: Key,
    /// What the pipeline says of keeping it: `temp`, `forever`, a number of seconds, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// When it was last used, in seconds since 1970.
    pub used: u64,
    /// The run that used it.
    pub run: String,
}

impl LastResults {
    /// The last results of the pipeline at `path`; none where there was no run, or its note is damaged.
    pub fn load(store: &Store, name: &str, path: &Path) -> Self {
        let bytes = store.get_sealed(&place(name, path), SEAL).ok().flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes them down.
    pub fn save(&self, store: &Store, path: &Path) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        store.put_sealed(&place(&self.pipeline, path), SEAL, &bytes)
    }

    /// The last known key of a stage.
    pub fn key(&self, stage: &str) -> Option<Key> {
        self.stages.get(stage).map(|last| last.key)
    }

    /// The record behind the last known key of a stage.
    pub fn record(&self, stage: &str, store: &Store) -> Option<Record> {
        store.record(&self.key(stage)?).ok().flatten()
    }
}

const SEAL: &str = "last";

/// Pipelines are told apart by name and place, so that two projects can share a store.
fn place(name: &str, path: &Path) -> String {
    let digest = Digest::of_bytes(path.as_os_str().as_encoded_bytes()).hex();
    format!("last-v1/{name}-{}", &digest[..16])
}
