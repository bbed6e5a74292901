//! Types for parameters that are more than values. Each leaves a mark in the JSON Schema, `x-muse`, and the
//! engine goes by the marks alone, so a plugin in another language writes the same marks by hand.
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The values of `x-muse`.
pub mod mark {
    /// The name of the schema keyword.
    pub const KEYWORD: &str = "x-muse";
    /// Changes how a stage runs but not its result: never part of a key.
    pub const EXECUTION: &str = "execution";
    /// Part of the key, but results that differ in such fields alone are of one family: a run may go on from one of
    /// them where the kind says so.
    pub const EXTENDABLE: &str = "extendable";
    /// A path, folder or glob of input files: the key takes their names and content.
    pub const FILES: &str = "files";
    /// A path to a YAML file of values: the key takes its parsed content, the stage gets it in the path's place.
    pub const CONFIG: &str = "config";
    /// Text for a shell or an argument list: `${in.x}` and `${out.x}` stay, and `${…}` may be the shell's.
    pub const COMMAND: &str = "command";
    /// A size in bytes, such as `8GiB`.
    pub const BYTES: &str = "bytes";
    /// A count, such as `2B` or `500k`.
    pub const COUNT: &str = "count";
    /// A time in seconds, such as `1.5h`.
    pub const DURATION: &str = "duration";
}

fn marked(mut schema: Schema, value: &str) -> Schema {
    // A size that is also execution has both marks.
    let marks = match schema.get(mark::KEYWORD) {
        Some(inner) => json!([value, inner]),
        None => value.into(),
    };
    schema.insert(mark::KEYWORD.into(), marks);
    schema
}

/// A parameter that changes how a stage runs, not what it makes. Never part of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Execution<T>(pub T);

impl<T> Deref for Execution<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: JsonSchema> JsonSchema for Execution<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Execution_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        marked(generator.subschema_for::<T>(), mark::EXECUTION)
    }
}

/// A parameter such as the number of steps: part of the key as any other, but a run with more of it may go on from the
/// result of a run with less, where [`crate::Stage::extends`] says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extendable<T>(pub T);

impl<T> Deref for Extendable<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: JsonSchema> JsonSchema for Extendable<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Extendable_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        marked(generator.subschema_for::<T>(), mark::EXTENDABLE)
    }
}

/// Input files: in the pipeline a path, a folder or a glob; in the stage the place where they were laid out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputFiles(pub PathBuf);

impl InputFiles {
    /// Where they are: a file, or a folder with the paths below the glob's fixed part.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl JsonSchema for InputFiles {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "InputFiles".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "string", mark::KEYWORD: mark::FILES }))
    }
}

/// Values that stand in a file of their own, below `configs/`: a path in the pipeline, the values in the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigFile<T>(pub T);

impl<T> Deref for ConfigFile<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: JsonSchema> JsonSchema for ConfigFile<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("ConfigFile_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let content = generator.subschema_for::<T>();
        schema(json!({ "type": "string", mark::KEYWORD: mark::CONFIG, "x-muse-content": content }))
    }
}

/// What `run` of a command holds: one line for `sh -c`, or the arguments of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub enum CommandText {
    /// One text for `sh -c`.
    Line(String),
    /// Program and arguments.
    Argv(Vec<String>),
}

impl From<Value> for CommandText {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(items) => Self::Argv(
                items.into_iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect(),
            ),
            other => Self::Line(other.as_str().unwrap_or_default().to_owned()),
        }
    }
}

impl From<CommandText> for Value {
    fn from(text: CommandText) -> Self {
        match text {
            CommandText::Line(line) => line.into(),
            CommandText::Argv(argv) => argv.into(),
        }
    }
}

impl JsonSchema for CommandText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "CommandText".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({
            "anyOf": [{ "type": "string", "minLength": 1 },
                      { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
            mark::KEYWORD: mark::COMMAND,
        }))
    }
}

/// One output's name: letters, digits, `_`, `-`, and dots that are not at its start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputName(pub String);

impl JsonSchema for OutputName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "OutputName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$" }))
    }
}

/// Environment variables by name.
pub type EnvMap = BTreeMap<String, String>;

fn schema(value: Value) -> Schema {
    // A literal object of this file is always a schema.
    Schema::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn a_field_may_have_two_marks() {
        let schema = SchemaGenerator::default().into_root_schema_for::<Execution<Bytes>>();
        assert_eq!(schema.get(mark::KEYWORD), Some(&json!([mark::EXECUTION, mark::BYTES])));
        let schema = SchemaGenerator::default().into_root_schema_for::<Execution<bool>>();
        assert_eq!(schema.get(mark::KEYWORD), Some(&json!(mark::EXECUTION)));
        let schema = SchemaGenerator::default().into_root_schema_for::<Extendable<Bytes>>();
        assert_eq!(schema.get(mark::KEYWORD), Some(&json!([mark::EXTENDABLE, mark::BYTES])));
    }
}
