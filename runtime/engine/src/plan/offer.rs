//! What a run may go on from: of the results of its family the one that leads furthest.
use crate::document::{Link, StageSpec};
use muse_store::{Digest, Key, Record, Store};
use serde_json::Value;

/// A result to go on from.
pub(crate) struct Offered {
    pub(crate) record: Record,
    /// The step that it leads to.
    pub(crate) step: u64,
}

/// The result of `family` that leads furthest towards `key`, its content there, though not yet read. `refused` will not
/// do.
pub(crate) fn furthest(
    store: &Store,
    spec: &StageSpec,
    family: &Digest,
    key: Key,
    refused: &[Key],
) -> Option<Offered> {
    let Link::BuiltIn(kind) = &spec.kind.link else { return None };
    let params = |identity: &Value| spec.params_with(identity, |file| file.text.as_str().into());
    let new = params(&spec.identity);
    // An offer is a favour: what cannot be read is not offered.
    let keys = store.family(family).ok()?.into_iter().filter(|old| *old != key && !refused.contains(old));
    let records = keys.filter_map(|old| store.record(&old).ok().flatten());
    let offers = records.filter(|record| record.family == Some(*family)).filter_map(|record| {
        let step = kind.extends_json(&new, &params(&record.params)).filter(|step| *step > 0)?;
        Some(Offered { record, step })
    });
    let there = |offer: &Offered| offer.record.outputs.values().all(|artifact| store.present(artifact));
    // Of two that lead equally far the same one every time.
    offers.filter(there).max_by_key(|offer| (offer.step, offer.record.key))
}
