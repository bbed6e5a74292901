//! What a pipeline file says, checked and expanded: what the planner reads.
use super::kinds::Kind;
use super::node::Node;
use super::paths::FileInput;
use super::written::Written;
use crate::diagnostic::{Diagnostic, Place, Source, nearest};
use muse_stage::{ArtifactType, FieldError};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A pipeline, with every stage expanded and every reference resolved.
#[derive(Debug)]
pub struct Pipeline {
    /// Its name: what the file says, else the file's stem.
    pub name: String,
    /// The file, absolute and without links: the same however it was named, and from wherever.
    pub path: PathBuf,
    /// The folder of the file.
    pub folder: PathBuf,
    /// The parameters as they hold for this load.
    pub params: BTreeMap<String, Value>,
    /// The stages: those of includes first, then the file's own, each in the order written.
    pub stages: Vec<StageSpec>,
    /// From a stage's name, or the name of a whole matrix, to places in `stages`.
    pub index: HashMap<String, Vec<usize>>,
    /// The executables of the plugins that stages use.
    pub plugins: BTreeMap<String, PathBuf>,
    /// Every text that was read.
    pub sources: Vec<Arc<Source>>,
    /// What stands under `plugins:`.
    pub(crate) declared_plugins: Vec<(String, Node)>,
}

/// One stage, after matrix and interpolation.
#[derive(Debug)]
pub struct StageSpec {
    /// Its name: `base[seed=1]` where a matrix made it.
    pub name: String,
    /// The name in the file.
    pub base: Arc<str>,
    /// The combination, axis by axis.
    pub matrix: Vec<(String, String)>,
    /// The stage kind.
    pub kind: Arc<Kind>,
    /// The parameters that enter the key, canonical. Where input files are named stands null.
    pub identity: Value,
    /// The parameters that do not; laid over `identity` by [`StageSpec::params`].
    pub execution: Value,
    /// The input files that parameters name.
    pub files: Vec<FileInput>,
    /// What stands at each port, in the order written.
    pub inputs: Vec<Port>,
    /// What it makes.
    pub outputs: Vec<(String, ArtifactType)>,
    /// What it reserves.
    pub resources: Resources,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// How often a failed attempt is repeated.
    pub retries: u32,
    /// What gc may take.
    pub keep: Keep,
    /// Variables of the caller that it sees.
    pub pass_env: Vec<String>,
    /// Variables of the caller that it sees and nobody else.
    pub secrets: Vec<String>,
    /// Outside things that must be pinned before there is a key.
    pub pins: Vec<String>,
    /// Where its name stands.
    pub place: Place,
    /// JSON pointers of parameters that are extendable, as far as they are written.
    pub extendable: Arc<[String]>,
    /// Where its parameters stand.
    pub(crate) written: Option<Arc<Written>>,
    /// The stage as a file would write it after interpolation, where `expand` asked for it.
    pub(crate) resolved: Option<Arc<Node>>,
}

/// What stands at one port.
#[derive(Clone, Debug)]
pub struct Port {
    /// The port.
    pub name: String,
    /// Connected to a list: in the stage it is a folder with one entry each.
    pub list: bool,
    /// What is connected, in the order written. Siblings of a matrix share it where it is the same.
    pub entries: Arc<[Entry]>,
}

/// One result that flows into a port.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name of its folder below the port, where the port is a list; else the reference as written.
    pub name: String,
    /// The stage that makes it, as a place in [`Pipeline::stages`].
    pub stage: usize,
    /// The output.
    pub output: String,
    /// Where the reference stands.
    pub place: Place,
}

/// What a stage reserves while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Threads that it may start.
    pub cpu: Option<u32>,
    /// GPUs, where the pipeline says how many.
    pub gpu: Option<u32>,
    /// Bytes of memory.
    pub memory: Option<u64>,
}

/// What gc may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// What no last run of a pipeline names.
    #[default]
    Default,
    /// As soon as nothing needs it.
    Temp,
    /// Never.
    Forever,
    /// Once it is that old.
    For(Duration),
}

impl Pipeline {
    /// The stages that a name means: one stage, or a whole matrix.
    pub fn find(&self, name: &str) -> Result<&[usize], Diagnostic> {
        match self.index.get(name) {
            Some(stages) => Ok(stages),
            None => Err(self.unknown(name)),
        }
    }

    /// The stages that `STAGE` or `STAGE.OUTPUT` means, and the output where one is named.
    pub fn find_output<'t>(&self, text: &'t str) -> Result<(&[usize], Option<&'t str>), Diagnostic> {
        super::references::split(text, |name| self.index.contains_key(name))
            .and_then(|(name, output)| Some((self.index.get(name)?.as_slice(), output)))
            .ok_or_else(|| self.unknown(text))
    }

    /// Something wrong with a parameter of a stage, shown where it stands.
    pub(crate) fn wrong(&self, stage: &StageSpec, error: FieldError) -> Diagnostic {
        let span = stage.written.as_ref().map(|written| written.span(&error.pointer));
        let source = span.and_then(|span| Some((span, self.sources.get(span.source as usize)?)));
        let place = source.map(|(span, source)| Place {
            source: Arc::clone(source),
            start: span.start as usize,
            end: span.end as usize,
        });
        let problem = Diagnostic::at(place.unwrap_or_else(|| stage.place.clone()), error.message);
        match error.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let problem = Diagnostic::general(format!("`{}` has no stage `{name}`", self.name));
        let mut names: Vec<&str> = self.index.keys().map(String::as_str).collect();
        names.sort_unstable();
        match nearest(name, names.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        }
    }
}

impl StageSpec {
    /// What it reserves: a kind that computes on a device takes one GPU where nothing is said.
    pub fn reserves(&self) -> Resources {
        let gpu = self.resources.gpu.or(self.kind.description.device.then_some(1));
        Resources { gpu, ..self.resources }
    }

    /// All parameters, with `place` saying what stands in the place of each of the input files.
    pub fn params(&self, place: impl FnMut(&FileInput) -> Value) -> Value {
        self.params_with(&self.identity, place)
    }

    /// The same with other identity parameters: those of a result of the same family.
    pub(crate) fn params_with(&self, identity: &Value, place: impl FnMut(&FileInput) -> Value) -> Value {
        whole(identity, &self.execution, &self.files, place).into_owned()
    }
}

/// Identity and execution parameters together, with what stands in the place of input files.
pub(crate) fn whole<'v>(
    identity: &'v Value,
    execution: &Value,
    files: &[FileInput],
    mut place: impl FnMut(&FileInput) -> Value,
) -> Cow<'v, Value> {
    let mut params = Cow::Borrowed(identity);
    if !execution.is_null() {
        overlay(params.to_mut(), execution);
    }
    for file in files {
        if let Some(at) = params.to_mut().pointer_mut(&file.pointer) {
            *at = place(file);
        }
    }
    params
}

/// Lays execution parameters over the others. Null is nothing.
pub(crate) fn overlay(under: &mut Value, over: &Value) {
    match (under, over) {
        (_, Value::Null) => {}
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                match under.get_mut(name) {
                    Some(below) => overlay(below, value),
                    None => {
                        under.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(under), Value::Array(over)) => {
            under.iter_mut().zip(over).for_each(|(under, over)| overlay(under, over));
        }
        (under, over) => *under = over.clone(),
    }
}
