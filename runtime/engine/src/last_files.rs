//! The input files behind the last result of each stage: with them a cause can name the files that changed.
//!
//! Keys and records need the digest of a whole set alone, so this is a note beside them. Where it is lost, a cause
//! names the set and no more.
use crate::last::place;
use crate::plan::{Plan, ResolvedFiles};
use muse_store::{Digest, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

const SEAL: &str = "files";
/// Names that a cause tells, of each sort.
const TOLD: usize = 20;

/// By stage, and there by the name of the set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastFiles(BTreeMap<String, BTreeMap<String, Set>>);

/// The files of one set, as they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Set {
    digest: Digest,
    /// By name: the content, and whether it may be executed.
    files: BTreeMap<String, (Digest, bool)>,
}

/// What differs between two sets, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Other content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Files that were not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Files that are not there any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Names that were too many to tell.
    #[serde(skip_serializing_if = "is_none")]
    pub more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Set {
    fn of(set: &ResolvedFiles) -> Self {
        let file =
            |file: crate::plan::ResolvedFile<'_>| (file.name.to_owned(), (file.digest, file.executable));
        Self { digest: set.digest, files: set.files().map(file).collect() }
    }
}

impl LastFiles {
    /// Those of the pipeline at `path`.
    pub fn load(store: &Store, path: &Path) -> Self {
        let bytes = store.get_sealed(&place("files-v1", path), SEAL).ok().flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Notes the files of the stages that have a result now, and forgets stages that are not `known` any more.
    pub(crate) fn note<'a>(
        store: &Store,
        path: &Path,
        plan: &Plan,
        made: impl Iterator<Item = (usize, &'a str)>,
        known: impl Fn(&str) -> bool,
    ) {
        let before = Self::load(store, path);
        let mut now = before.clone();
        now.0.retain(|stage, _| known(stage));
        for (stage, name) in made {
            // One file has no names to tell.
            let sets = plan.files.of(stage).filter(|(_, set)| !set.single());
            let there = now.0.get(name);
            let same = |(name, set): (&str, &std::sync::Arc<ResolvedFiles>)| {
                there.and_then(|there| there.get(name)).is_some_and(|there| there.digest == set.digest)
            };
            if plan.files.of(stage).filter(|(_, set)| !set.single()).all(same) {
                continue;
            }
            now.0.insert(name.to_owned(), sets.map(|(name, set)| (name.to_owned(), Set::of(set))).collect());
        }
        if now != before {
            // A store that cannot take it still served the run.
            let body = serde_json::to_vec(&now).unwrap_or_default();
            let _ = store.put_sealed(&place("files-v1", path), SEAL, &body);
        }
    }

    /// What differs between the set that a result was made from, by its digest, and the set of now.
    pub(crate) fn changes(
        &self,
        stage: &str,
        name: &str,
        then: Digest,
        now: &ResolvedFiles,
    ) -> Option<Changes> {
        let then = self.0.get(stage)?.get(name).filter(|set| set.digest == then && !now.single())?;
        let mut changes = Changes::default();
        let mut tell = |sort: fn(&mut Changes) -> &mut Vec<String>, name: &str| {
            let told = sort(&mut changes);
            if told.len() < TOLD { told.push(name.to_owned()) } else { changes.more += 1 }
        };
        let mut gone: BTreeMap<&str, ()> = then.files.keys().map(|name| (name.as_str(), ())).collect();
        for file in now.files() {
            gone.remove(file.name);
            match then.files.get(file.name) {
                None => tell(|changes| &mut changes.added, file.name),
                Some(old) if *old != (file.digest, file.executable) => {
                    tell(|changes| &mut changes.changed, file.name)
                }
                Some(_) => {}
            }
        }
        gone.keys().for_each(|name| tell(|changes| &mut changes.removed, name));
        Some(changes)
    }
}
