//! What makes a stage's key, and what of it differs from the last result: `muse why`.
use crate::plan::{Action, Cause, Plan, Planner};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The parts of one stage's key, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// What is planned.
    pub action: Action,
    /// Its key; nothing while something above it is not made.
    pub key: Option<String>,
    /// Identity parameters that do not stand at their default.
    pub params: Value,
    /// For each port, what stands there.
    pub inputs: Vec<WhyInput>,
    /// For each name the digest of the files, and how many there are.
    pub files: BTreeMap<String, WhyFiles>,
    /// What outside things are pinned to; nothing where they are not.
    pub pins: BTreeMap<String, Option<String>>,
    /// Why it will run, or may.
    pub causes: Vec<Cause>,
    /// The last result's key, when it was made, and by which run.
    pub last: Option<WhyLast>,
    /// What the stage said of the result, where it is there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
    /// Where its result was put in by hand.
    pub adopted: bool,
}

/// One entry of a port.
#[derive(Clone, Debug, Serialize)]
pub struct WhyInput {
    /// The port.
    pub port: String,
    /// The stage and output that it comes from.
    pub from: String,
    /// Its content; nothing while it is not made.
    pub digest: Option<String>,
    /// The digest of how it came to be, where that enters the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
}

/// One set of input files.
#[derive(Clone, Debug, Serialize)]
pub struct WhyFiles {
    /// The digest of the set.
    pub digest: String,
    /// How many files there are.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

/// The last result.
#[derive(Clone, Debug, Serialize)]
pub struct WhyLast {
    /// Its key.
    pub key: String,
    /// When it was made.
    pub made: String,
    /// The run that made it.
    pub run: String,
    /// How long that took.
    pub seconds: f64,
}

/// Explains one wanted stage of a plan.
pub fn why(planner: &Planner<'_>, plan: &Plan, stage: usize) -> Option<Why> {
    let spec = planner.pipeline.stages.get(stage)?;
    let planned = plan.stages.get(stage)?.as_ref()?;
    let told = spec.kind.description.story;
    let mut inputs = Vec::new();
    for port in &spec.inputs {
        for entry in port.entries.iter() {
            let made = plan.stages.get(entry.stage).and_then(Option::as_ref);
            let record = made.filter(|made| !made.is_work()).and_then(|made| made.record.as_ref());
            let artifact = record.and_then(|record| record.outputs.get(&entry.output));
            let from = planner
                .pipeline
                .stages
                .get(entry.stage)
                .map(|from| format!("{}.{}", from.name, entry.output));
            inputs.push(WhyInput {
                port: port.name.clone(),
                from: from.unwrap_or_default(),
                digest: artifact.map(|artifact| artifact.digest.to_string()),
                story: artifact.filter(|_| told).and_then(|_| Some(plan.ways.of(entry.stage)?.to_string())),
            });
        }
    }
    let files = plan.files.of(stage).map(|(name, set)| {
        let bytes = set.files().map(|file| file.bytes).sum();
        (name.to_owned(), WhyFiles { digest: set.digest.to_string(), files: set.files().len(), bytes })
    });
    let pins = spec.pins.iter().map(|id| (id.clone(), planner.lock.get(id).map(str::to_owned)));
    let last = planner.last.record(&spec.name, planner.store);
    Some(Why {
        stage: spec.name.clone(),
        kind: spec.kind.description.name.clone(),
        version: spec.kind.description.version,
        action: planned.action,
        key: planned.key.map(|key| key.to_string()),
        params: spec.identity.clone(),
        inputs,
        files: files.collect(),
        pins: pins.collect(),
        causes: planned.causes.clone(),
        facts: planned.record.as_ref().map(|record| record.facts.clone()).unwrap_or_default(),
        adopted: planned.record.as_ref().is_some_and(|record| record.adopted),
        last: last.map(|record| WhyLast {
            key: record.key.to_string(),
            made: record.made,
            run: record.run,
            seconds: record.seconds,
        }),
    })
}
