//! The job file: all that a stage process is told, but for secrets, so that any machine can run it.
use crate::{ArtifactType, Story};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One attempt at one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Version of this format: 1.
    pub job: u32,
    /// Run the stage, or only say what outside things are today.
    pub mode: JobMode,
    /// The stage kind.
    pub kind: String,
    /// The executable that holds the kind, where it is not one of the binary's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PathBuf>,
    /// The version that the key was made with. A process that has another refuses.
    pub version: u32,
    /// The stage's name, for messages.
    pub stage: String,
    /// The key, for messages and for seeds.
    pub key: String,
    /// 1, 2, …: which try this is.
    pub attempt: u32,
    /// All parameters. A field of input files holds the place where they were laid out, relative to `work`.
    pub params: Value,
    /// The folder to work in, empty but for `in/` and `out/`.
    pub work: PathBuf,
    /// What stands at each port.
    pub inputs: BTreeMap<String, JobInput>,
    /// The outputs that must stand below `out/` at the end.
    pub outputs: BTreeMap<String, ArtifactType>,
    /// A folder that outlives attempts at this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<PathBuf>,
    /// The result of another run to go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// How its inputs came to be, for a kind that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<Story>,
    /// How many threads to use.
    pub threads: u32,
    /// The GPUs that are reserved, as CUDA numbers them.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// What outside things were pinned to.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// Names of environment variables whose values are secret.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// A result of the same family, whose key differs in extendable parameters alone, and which the kind says it may go on
/// from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// A folder with its outputs by their names, as they stood below `out/`; in a job file relative to `work`. It
    /// must not be changed: results are shared.
    pub path: PathBuf,
    /// The step that it leads to.
    pub step: u64,
    /// Its key, for messages.
    pub key: String,
}

/// Whether to work or to look outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobMode {
    /// Make the outputs.
    Run,
    /// Answer with one `pinned` event for each key of `pins`.
    Pin,
}

/// A port's entries, in the order of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobInput {
    /// Where the port stands: a file, a folder, or for a list a folder with one entry each.
    pub path: PathBuf,
    /// Connected to a list.
    #[serde(default)]
    pub list: bool,
    /// Name and place of each entry; one without a name where it is no list.
    pub entries: Vec<(String, PathBuf)>,
}
