//! A stage on its way from the file to the pipeline: checked by itself, not yet connected.
use super::kinds::Kind;
use super::node::{Node, Span};
use super::paths::FileInput;
use super::pipeline::{Keep, Port, Resources, StageSpec};
use super::schema::ResourcesDecl;
use super::written::Written;
use crate::diagnostic::Place;
use muse_stage::{ArtifactType, Duration};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// An expanded stage, as much of it as is known.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) base: Arc<str>,
    pub(crate) matrix: Vec<(String, String)>,
    /// `seed=1`, where a matrix made it.
    pub(crate) combination: Option<String>,
    /// Where its name stands.
    pub(crate) span: Span,
    pub(crate) kind: Option<Arc<Kind>>,
    pub(crate) identity: Value,
    pub(crate) execution: Value,
    pub(crate) files: Vec<FileInput>,
    /// `None` where something is wrong with the stage, so that nobody can say what it makes.
    pub(crate) outputs: Option<Vec<(String, ArtifactType)>>,
    pub(crate) habits: Habits,
    pub(crate) pins: Vec<String>,
    pub(crate) extendable: Arc<[String]>,
    /// Nothing is wrong with its parameters, and all of them are known.
    pub(crate) sound: bool,
    pub(crate) written: Option<Arc<Written>>,
    pub(crate) inputs: Option<Arc<Node>>,
    /// The sibling whose ports are the same.
    pub(crate) twin: Option<usize>,
    pub(crate) ports: Vec<Port>,
    pub(crate) resolved: Option<Arc<Node>>,
}

/// The execution fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Habits {
    resources: ResourcesDecl,
    timeout: Option<Duration>,
    retries: u32,
    keep: Value,
    pass_env: Vec<String>,
    secrets: Vec<String>,
}

impl Draft {
    /// The finished stage. `None` where there is no kind, which was reported.
    pub(crate) fn finish(self, place: Place) -> Option<StageSpec> {
        let Habits {
            resources: ResourcesDecl { cpu, gpu, memory },
            timeout,
            retries,
            keep,
            pass_env,
            secrets,
        } = self.habits;
        let keep = match &keep {
            Value::Null => Keep::Default,
            Value::String(text) if text == "temp" => Keep::Temp,
            Value::String(text) if text == "forever" => Keep::Forever,
            time => Duration::from_value(time).map_or(Keep::Default, |time| Keep::For(time.0)),
        };
        Some(StageSpec {
            name: self.name,
            base: self.base,
            matrix: self.matrix,
            kind: self.kind?,
            identity: self.identity,
            execution: self.execution,
            files: self.files,
            inputs: self.ports,
            outputs: self.outputs?,
            resources: Resources { cpu, gpu, memory: memory.map(|bytes| bytes.0) },
            timeout: timeout.map(|time| time.0),
            retries,
            keep,
            pass_env,
            secrets,
            pins: self.pins,
            place,
            extendable: self.extendable,
            written: self.written,
            resolved: self.resolved,
        })
    }
}
