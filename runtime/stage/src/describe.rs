//! What a stage kind says of itself: `muse stages` prints it, `--describe` answers it, the planner checks by it.
use crate::ArtifactType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A stage kind's ports, parameters and habits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Version of this description's own format: 1.
    #[serde(rename = "muse_stage")]
    pub format: u32,
    /// The word after `uses:`.
    pub name: String,
    /// Raised by hand whenever the same inputs would give a result that means something else. Part of every key.
    pub version: u32,
    /// What the stage is for; the first line stands in lists.
    #[serde(default)]
    pub doc: String,
    /// The ports that may be connected.
    #[serde(default)]
    pub inputs: Vec<InputPort>,
    /// Any other port name is welcome too, with any type and any number of entries.
    #[serde(default)]
    pub any_input: bool,
    /// What it makes.
    #[serde(default)]
    pub outputs: Vec<OutputPort>,
    /// The top-level parameter (a list of names) that names the outputs, where `outputs` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_from: Option<String>,
    /// JSON Schema of `with`. Defaults stand in it; marks (`x-muse`) say which fields are more than values.
    pub params: Value,
    /// Top-level parameters whose text names something outside that must be pinned in the lock file.
    #[serde(default)]
    pub pins: Vec<String>,
    /// Wants a `resume` folder that outlives attempts.
    #[serde(default)]
    pub resumes: bool,
    /// Uses one thread unless `resources.cpu` says more; the others use all there are.
    #[serde(default)]
    pub single_thread: bool,
    /// Computes on a GPU where it is given one: takes one where the machine has any, unless `resources.gpu` or
    /// `--device` says otherwise, and sees none that it was not given.
    #[serde(default)]
    pub device: bool,
    /// Is told how its inputs came to be ([`Context::story`](crate::Context::story)), and its key depends on that: it is
    /// made again where anything above was made in another way, though its inputs be the same bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub story: bool,
    /// Sees nothing of the caller's environment but `PATH` and what it declares.
    #[serde(default)]
    pub clean_env: bool,
}

/// A named place where results of other stages come in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputPort {
    /// The name under `inputs:`.
    pub name: String,
    /// The types it takes.
    pub types: Vec<ArtifactType>,
    /// The stage cannot run without it.
    #[serde(default)]
    pub required: bool,
    /// Takes a list.
    #[serde(default)]
    pub many: bool,
}

impl InputPort {
    /// A port that must be connected.
    pub fn required(name: &str, types: &[ArtifactType]) -> Self {
        Self { name: name.into(), types: types.to_vec(), required: true, many: false }
    }

    /// A port that may stay empty.
    pub fn optional(name: &str, types: &[ArtifactType]) -> Self {
        Self { required: false, ..Self::required(name, types) }
    }

    /// The same port, taking a list as well.
    #[must_use]
    pub fn many(self) -> Self {
        Self { many: true, ..self }
    }
}

/// A named result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPort {
    /// The name behind the dot in `stage.output`, and the name below `out/`.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ArtifactType,
}

impl OutputPort {
    /// An output of that name and type.
    pub fn new(name: &str, kind: ArtifactType) -> Self {
        Self { name: name.into(), kind }
    }
}
