//! How the inputs of a stage came to be, for kinds that ask: [`Description::story`](crate::Description::story).
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// All that stands above a stage. It holds no name of a stage or pipeline, no path, time or host, so equal stories are of
/// equal results, whoever made them. It is part of the key of a stage that is told it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// What stands at each port that is connected, in the pipeline's order.
    pub inputs: BTreeMap<String, Vec<Origin>>,
    /// Every result above, each once and behind those that it is made of. The order depends on what they are alone.
    pub stages: Vec<Told>,
}

/// A result, and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The stage kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Its key.
    pub key: String,
    /// Parameters that entered the key: those at their default are left out.
    pub params: Value,
    /// What outside things were pinned to.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// What the stage said of its result.
    #[serde(default)]
    pub facts: BTreeMap<String, Value>,
    /// It was not made by the stage, but put in by a person, who says that it is what the stage would have made.
    #[serde(default)]
    pub adopted: bool,
    /// What stands at each of its ports.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<Origin>>,
}

/// Where something at a port comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its name in a list; empty where the port takes one thing.
    pub name: String,
    /// Its place in [`Story::stages`].
    pub stage: usize,
    /// Which output of that stage it is.
    pub output: String,
}
