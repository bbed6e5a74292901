//! The last known result of each stage of a pipeline: what causes compare with, and what gc keeps.
use crate::document::{Keep, StageSpec};
use muse_store::{Digest, Key, Record, Store, StoreError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// By stage name. Each run carries over what it did not touch, so that running one stage forgets nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastResults {
    /// The pipeline's name.
    pub pipeline: String,
    /// By stage.
    pub stages: BTreeMap<String, LastResult>,
    /// Results that another took the place of, and of which the pipeline said `keep: forever` or how long.
    #[serde(default)]
    pub older: BTreeMap<Key, Older>,
    /// Something is not as it was loaded. A run that has nothing to do must not write.
    #[serde(skip)]
    pub changed: bool,
    /// The stages that were noted or forgotten: of the others another run may know more by now.
    #[serde(skip)]
    touched: BTreeSet<String>,
    /// The records of these results, where they were read ahead.
    #[serde(skip)]
    pub records: HashMap<Key, Arc<Record>>,
}

/// A use is noted again when the last note is that old: gc by last use needs no more.
const NOTED_FOR: u64 = 3600;

/// A result that is no last one any more, but was to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Older {
    /// As in [`LastResult::keep`].
    pub keep: String,
    /// As in [`LastResult::used`].
    pub used: u64,
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

impl LastResult {
    /// The result of a stage that is used now.
    pub fn of(spec: &StageSpec, key: Key, run: &str) -> Self {
        Self { key, keep: keep(spec), used: crate::time::seconds(), run: run.to_owned() }
    }
}

/// What a stage says of keeping its result, as it is written down.
pub fn keep(spec: &StageSpec) -> Option<String> {
    match spec.keep {
        Keep::Default => None,
        Keep::Temp => Some("temp".into()),
        Keep::Forever => Some("forever".into()),
        Keep::For(duration) => Some(format!("{}s", duration.as_secs_f64())),
    }
}

impl LastResults {
    /// Those of all pipelines that ever ran on this store.
    pub fn all(store: &Store) -> Result<Vec<Self>, StoreError> {
        let mut all = Vec::new();
        for name in store.names("last-v1")? {
            let bytes = store.get_sealed(&format!("last-v1/{name}"), SEAL)?;
            all.extend(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()));
        }
        Ok(all)
    }

    /// Notes the result of a stage. One that it takes the place of is remembered where it is to be kept.
    pub fn note(&mut self, stage: &str, result: LastResult) {
        let same = |old: &LastResult| {
            let noted = old.used.saturating_add(NOTED_FOR) > result.used;
            old.key == result.key && old.keep == result.keep && noted
        };
        if self.stages.get(stage).is_some_and(same) {
            return;
        }
        self.changed = true;
        self.touched.insert(stage.to_owned());
        self.older.remove(&result.key);
        let key = result.key;
        if let Some(old) = self.stages.insert(stage.to_owned(), result).filter(|old| old.key != key)
            && let Some(keep) = old.keep.filter(|keep| keep != "temp")
        {
            self.older.insert(old.key, Older { keep, used: old.used });
        }
    }

    /// Forgets a stage that the pipeline does not have any more.
    pub fn forget(&mut self, stage: &str) {
        self.changed = true;
        self.touched.insert(stage.to_owned());
        if let Some(old) = self.stages.remove(stage)
            && let Some(keep) = old.keep.filter(|keep| keep != "temp")
        {
            self.older.insert(old.key, Older { keep, used: old.used });
        }
    }

    /// The last results of the pipeline at `path`; none where there was no run, or its note is damaged.
    pub fn load(store: &Store, path: &Path) -> Result<Self, StoreError> {
        let bytes = store.get_sealed(&place("last-v1", path), SEAL)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// The same with their records, which most stages will have if nothing was edited: read on all cores, ahead of
    /// need, while somebody else reads the pipeline.
    pub fn read_ahead(store: &Store, path: &Path) -> Result<Self, StoreError> {
        let mut last = Self::load(store, path)?;
        let keys: HashSet<Key> = last.stages.values().map(|last| last.key).collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let read = |key: &Key| Some((*key, Arc::new(store.record(key).ok().flatten()?)));
        last.records = keys.par_iter().with_min_len(16).filter_map(read).collect();
        Ok(last)
    }

    /// Writes them down, beside what other runs of the pipeline have written since these were loaded.
    pub fn save(&self, store: &Store, path: &Path) -> Result<(), StoreError> {
        let merged = self.beside(Self::load(store, path)?);
        store.put_sealed(&place("last-v1", path), SEAL, &serde_json::to_vec(&merged).unwrap_or_default())
    }

    /// Of stages that were not touched here, what stands there counts.
    fn beside(&self, there: Self) -> Self {
        let (pipeline, mut stages) = (self.pipeline.clone(), self.stages.clone());
        for (name, result) in there.stages.into_iter().filter(|(name, _)| !self.touched.contains(name)) {
            if stages.get(&name).is_none_or(|own| own.key != result.key) {
                stages.insert(name, result);
            }
        }
        let last: HashSet<Key> = stages.values().map(|last| last.key).collect();
        let mut older = self.older.clone();
        for (key, kept) in there.older.into_iter().filter(|(key, _)| !last.contains(key)) {
            older.entry(key).or_insert(kept);
        }
        Self { pipeline, stages, older, ..Self::default() }
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

/// Pipelines are told apart by their place, so that two projects can share a store.
pub(crate) fn place(folder: &str, path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let digest = Digest::of_bytes(path.as_os_str().as_encoded_bytes()).hex();
    format!("{folder}/{}", digest.get(..32).unwrap_or(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(of: &str, keep: Option<&str>) -> LastResult {
        let key = Key::new(Digest::of_bytes(of.as_bytes()));
        LastResult { key, keep: keep.map(str::to_owned), used: 1, run: String::new() }
    }

    #[test]
    fn two_runs_that_end_together_both_leave_their_notes() {
        let folder = tempfile::tempdir().unwrap();
        let (store, path) = (Store::open(folder.path()), folder.path().join("p.yaml"));
        let mut before = LastResults::default();
        for (stage, of) in [("a", "a1"), ("b", "b1"), ("gone", "g")] {
            before.note(stage, result(of, Some("forever")));
        }
        before.save(&store, &path).unwrap();
        let mut first = LastResults::load(&store, &path).unwrap();
        let mut second = LastResults::load(&store, &path).unwrap();
        first.note("a", result("a2", None));
        first.save(&store, &path).unwrap();
        second.note("b", result("b2", None));
        second.forget("gone");
        second.save(&store, &path).unwrap();
        let last = LastResults::load(&store, &path).unwrap();
        let stages: Vec<_> = last.stages.iter().map(|(name, last)| (name.as_str(), last.key)).collect();
        assert_eq!(stages, [("a", result("a2", None).key), ("b", result("b2", None).key)]);
        let older: BTreeSet<Key> = last.older.keys().copied().collect();
        assert_eq!(older, ["a1", "b1", "g"].map(|of| result(of, None).key).into());
    }
}
