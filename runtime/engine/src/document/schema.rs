//! The structure of a pipeline file as Rust types: the JSON Schema comes from them, and the checks too.
use super::kinds::Kind;
use super::shape::Shape;
use muse_stage::{Bytes, Duration, mark};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A pipeline file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// Version of this format: 1.
    #[schemars(extend("const" = 1))]
    pub muse: u32,
    /// The pipeline's name; the file's stem where it is not written.
    #[serde(default)]
    pub name: Option<Name>,
    /// Values for `${params.NAME}`. `--set NAME=VALUE` is stronger.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// Named sets of params, taken by `--preset NAME`.
    #[serde(default)]
    pub presets: BTreeMap<String, BTreeMap<String, Value>>,
    /// Other files whose stages and params are taken in. What this file writes itself is stronger.
    #[serde(default)]
    pub include: Vec<String>,
    /// Executables of stage kinds by name, as paths from this file.
    #[serde(default)]
    pub plugins: BTreeMap<String, String>,
    /// The stages by name.
    #[serde(default)]
    pub stages: BTreeMap<String, StageDecl>,
}

/// A stage.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageDecl {
    /// The stage kind: built in, or a plugin's.
    pub uses: String,
    /// Parameters of the kind.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// What stands at each port: a stage, `stage.output`, or a list of them.
    #[serde(default)]
    pub inputs: BTreeMap<String, Sources>,
    /// Axes and their values: one stage for each combination.
    #[serde(default)]
    pub matrix: BTreeMap<String, Vec<Scalar>>,
    /// What the stage reserves while it runs. Never part of a key.
    #[serde(default)]
    pub resources: ResourcesDecl,
    /// How long an attempt may take.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// How often a failed attempt is repeated.
    #[serde(default)]
    pub retries: u32,
    /// What `muse gc` may take: `temp`, `forever`, or a time.
    #[serde(default)]
    pub keep: Option<KeepText>,
    /// Variables of the caller that the stage sees.
    #[serde(default)]
    pub pass_env: Vec<Variable>,
    /// Variables of the caller that the stage sees, and whose values are written nowhere.
    #[serde(default)]
    pub secrets: Vec<Variable>,
}

/// What a stage reserves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcesDecl {
    /// Threads that it may start.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub cpu: Option<u32>,
    /// GPUs. Where nothing is said, a kind that computes on a device takes one if there is any.
    #[serde(default)]
    pub gpu: Option<u32>,
    /// Memory.
    #[serde(default)]
    pub memory: Option<Bytes>,
}

macro_rules! written {
    ($(#[$doc:meta])* $name:ident($inner:ty), $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                Schema::try_from(json!($schema)).unwrap_or_default()
            }
        }
    };
}

written!(
    /// A name: letters, digits, `_`, `-`, and dots that are not at its start.
    Name(String), { "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$" }
);
written!(
    /// The name of an environment variable.
    Variable(String), { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }
);
written!(
    /// One stage or a list of them.
    Sources(Value), { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }
);
written!(
    /// A text, a number, or a truth value.
    Scalar(Value), { "type": ["string", "number", "boolean"] }
);
written!(
    /// `temp`, `forever`, or a time.
    KeepText(Value), { "anyOf": [
        { "enum": ["temp", "forever"] },
        { "type": ["number", "string"], "examples": ["3d"], (mark::KEYWORD): (mark::DURATION) },
    ] }
);

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// What the loader itself looks at is left out of these shapes.
pub(crate) fn file_shape(main: bool) -> &'static Shape {
    static MAIN: OnceLock<Shape> = OnceLock::new();
    static INCLUDED: OnceLock<Shape> = OnceLock::new();
    let shape = || {
        let shape = Shape::new(&schema_of::<PipelineFile>());
        ["params", "presets", "include", "plugins", "stages"]
            .iter()
            .fold(shape, |shape, name| shape.without(name))
    };
    if main { MAIN.get_or_init(shape) } else { INCLUDED.get_or_init(|| shape().optional("muse")) }
}

/// A stage but for what needs its kind.
pub(crate) fn stage_shape() -> &'static Shape {
    static STAGE: OnceLock<Shape> = OnceLock::new();
    STAGE.get_or_init(|| {
        let shape = Shape::new(&schema_of::<StageDecl>());
        ["with", "inputs", "matrix"].iter().fold(shape, |shape, name| shape.without(name))
    })
}

/// The JSON Schema of pipeline files, for editors: `with` and `inputs` by the kind, and `${…}` wherever a value
/// may stand.
pub fn pipeline_schema<'k>(kinds: impl IntoIterator<Item = &'k Arc<Kind>>) -> Value {
    super::editor::pipeline_schema(&schema_of::<PipelineFile>(), kinds)
}
