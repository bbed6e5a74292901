//! The trait that a stage kind implements, and the object-safe form in which muse holds it.
use crate::describe::{Description, InputPort, OutputPort};
use crate::{Context, FieldError, StageError};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A step that turns inputs into outputs. The same parameters and inputs must give the same bytes, so it reads
/// no clock, no environment and no path that it was not given, and writes only below [`Context::work`].
pub trait Stage: Send + Sync + 'static {
    /// What stands under `with:`. Doc comments become the reference page, `#[serde(default)]` the defaults,
    /// and the types of [`crate::mark`] say what is no plain value. No `flatten`, `untagged` or `tag`: they
    /// lose the place of an error. `Serialize` is what puts the defaults into the schema; without them a default
    /// that is written out would move the key.
    type Params: DeserializeOwned + Serialize + JsonSchema;

    /// The word after `uses:`.
    const KIND: &'static str;
    /// Raised by hand whenever the same inputs would give a result that means something else.
    const VERSION: u32;
    /// What it is for; the first line stands in lists.
    const DOC: &'static str;

    /// The ports that may be connected.
    fn inputs(&self) -> Vec<InputPort> {
        Vec::new()
    }

    /// What it makes.
    fn outputs(&self) -> Vec<OutputPort>;

    /// What it makes with these parameters, for a kind that does not always make the same.
    fn makes(&self, _params: &Self::Params) -> Vec<OutputPort> {
        self.outputs()
    }

    /// Habits beyond ports and parameters: change what differs and return it.
    fn habits(&self, description: Description) -> Description {
        description
    }

    /// What the schema cannot say of the parameters.
    fn check(&self, _params: &Self::Params) -> Result<(), FieldError> {
        Ok(())
    }

    /// Outside things that these parameters name and that must be pinned before there is a key, beside the texts
    /// of the fields of [`Description::pins`].
    fn pins(&self, _params: &Self::Params) -> Vec<String> {
        Vec::new()
    }

    /// Top-level fields that do not count, given the others. They are checked like all, and then it is as if they
    /// had not been written: they enter no key and reach no job.
    fn idle(&self, _params: &Self::Params) -> Vec<&'static str> {
        Vec::new()
    }

    /// What an outside thing is today: a commit, a digest. Where the kind resumes, this may leave what it fetched
    /// in [`Context::resume`], where `run` finds it.
    fn pin(&self, _context: &mut Context, _params: Self::Params, id: &str) -> Result<String, StageError> {
        Err(StageError::new(format!("`{}` pins nothing, so `{id}` has no value", Self::KIND)))
    }

    /// Does the work, in a process of its own.
    fn run(&self, context: &mut Context, params: Self::Params) -> Result<(), StageError>;
}

/// What a kind says of parameters that are right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// [`Stage::pins`].
    pub pins: Vec<String>,
    /// [`Stage::idle`].
    pub idle: Vec<&'static str>,
    /// [`Stage::makes`].
    pub makes: Vec<OutputPort>,
}

/// A stage kind as muse holds it: parameters are JSON. Implemented for every [`Stage`].
pub trait StageKind: Send + Sync {
    /// [`Stage::KIND`].
    fn name(&self) -> &'static str;
    /// [`Stage::VERSION`].
    fn version(&self) -> u32;
    /// Name, version, ports, parameters.
    fn describe(&self) -> Description;
    /// [`Stage::check`], and what follows from parameters that are right.
    fn check_json(&self, params: &Value) -> Result<Said, FieldError>;
    /// [`Stage::pin`].
    fn pin_json(&self, context: &mut Context, params: Value, id: &str) -> Result<String, StageError>;
    /// [`Stage::run`].
    fn run_json(&self, context: &mut Context, params: Value) -> Result<(), StageError>;
}

impl<S: Stage> StageKind for S {
    fn name(&self) -> &'static str {
        S::KIND
    }

    fn version(&self) -> u32 {
        S::VERSION
    }

    fn describe(&self) -> Description {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<S::Params>();
        self.habits(Description {
            format: 1,
            name: S::KIND.into(),
            version: S::VERSION,
            doc: S::DOC.into(),
            inputs: self.inputs(),
            any_input: false,
            outputs: self.outputs(),
            outputs_from: None,
            params: schema.to_value(),
            pins: Vec::new(),
            resumes: false,
            single_thread: false,
            clean_env: false,
        })
    }

    fn check_json(&self, params: &Value) -> Result<Said, FieldError> {
        let params = typed::<S>(params.clone()).map_err(|error| FieldError::new("", error.to_string()))?;
        self.check(&params)?;
        Ok(Said { pins: self.pins(&params), idle: self.idle(&params), makes: self.makes(&params) })
    }

    fn pin_json(&self, context: &mut Context, params: Value, id: &str) -> Result<String, StageError> {
        self.pin(context, typed::<S>(params)?, id)
    }

    fn run_json(&self, context: &mut Context, params: Value) -> Result<(), StageError> {
        self.run(context, typed::<S>(params)?)
    }
}

fn typed<S: Stage>(params: Value) -> Result<S::Params, StageError> {
    serde_json::from_value(params)
        .map_err(|error| StageError::new(format!("the parameters of `{}` do not fit: {error}", S::KIND)))
}
