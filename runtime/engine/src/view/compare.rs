//! Two runs side by side: what went in, and which figures came out. `muse diff`.
use super::history::{RunHistory, StageHistory, metrics, record};
use crate::plan::{Cause, differences};
use muse_store::Store;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How a stage differs between two runs.
#[derive(Clone, Debug, Serialize)]
pub struct StageDifference {
    /// The stage.
    pub stage: String,
    /// It stands in the first run, in the second.
    pub in_runs: (bool, bool),
    /// What went in that differs; `old` is the first run's.
    pub inputs: Vec<Cause>,
    /// Outputs whose content differs.
    pub outputs: Vec<String>,
    /// Figures that differ, with the value of each run.
    pub metrics: BTreeMap<String, (Option<f64>, Option<f64>)>,
    /// How long it took in each.
    pub seconds: (f64, f64),
}

/// Compares stage by stage; stages that are the same in all are left out.
pub fn compare(store: &Store, first: &RunHistory, second: &RunHistory) -> Vec<StageDifference> {
    let by_name = |run: &RunHistory| -> BTreeMap<String, StageHistory> {
        run.stages.iter().map(|stage| (stage.stage.clone(), stage.clone())).collect()
    };
    let (first, second) = (by_name(first), by_name(second));
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let (a, b) = (first.get(name), second.get(name));
        let record = |stage: Option<&StageHistory>| record(store, stage?);
        let inputs = match (record(a), record(b)) {
            (Some(a), Some(b)) if a.key != b.key => differences(&a, &b),
            _ => Vec::new(),
        };
        let outputs =
            |stage: Option<&StageHistory>| stage.map(|stage| stage.outputs.clone()).unwrap_or_default();
        let (made_a, made_b) = (outputs(a), outputs(b));
        let changed: BTreeSet<&String> = made_a.keys().chain(made_b.keys()).collect();
        let changed = changed.into_iter().filter(|name| made_a.get(*name) != made_b.get(*name)).cloned();
        let figures =
            |stage: Option<&StageHistory>| stage.map(|stage| metrics(store, stage)).unwrap_or_default();
        let (figures_a, figures_b) = (figures(a), figures(b));
        let figures: BTreeSet<&String> = figures_a.keys().chain(figures_b.keys()).collect();
        let pair = |name: &String| (figures_a.get(name).copied(), figures_b.get(name).copied());
        let figures = figures.into_iter().filter(|name| pair(name).0 != pair(name).1);
        let difference = StageDifference {
            stage: name.clone(),
            in_runs: (a.is_some(), b.is_some()),
            inputs,
            outputs: changed.collect(),
            metrics: figures.map(|name| (name.clone(), pair(name))).collect(),
            seconds: (a.map_or(0.0, |a| a.seconds), b.map_or(0.0, |b| b.seconds)),
        };
        let same =
            difference.inputs.is_empty() && difference.outputs.is_empty() && difference.metrics.is_empty();
        if !same || difference.in_runs != (true, true) {
            found.push(difference);
        }
    }
    found
}
