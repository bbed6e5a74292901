//! The trait that a stage kind implements, and the object-safe form in which muse holds it.
use crate::describe::{Description, InputPort, OutputPort};
use crate::{Above, Context, FieldError, Machine, StageError};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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

    /// What the parameters and the stages above say against each other: a model that has no room for the words of
    /// the tokenizer. Asked when a pipeline is checked, once nothing else is wrong with these stages.
    fn fits(&self, _params: &Self::Params, _above: &Above<'_>) -> Result<(), FieldError> {
        Ok(())
    }

    /// What speaks against running on this machine: too little memory for these parameters and what stands above. Asked
    /// by `run` alone, of stages that will or may run, before anything does. `--device` and `resources` are settled by
    /// then.
    fn room(&self, _params: &Self::Params, _above: &Above<'_>, _machine: &Machine) -> Result<(), FieldError> {
        Ok(())
    }

    /// The step from which a run with `new` may go on from a result made with `old`, which differs in fields of type
    /// [`crate::Extendable`] alone; `None` where it may not. Only where a run from nothing would give the same bytes.
    fn extends(&self, _new: &Self::Params, _old: &Self::Params) -> Option<u64> {
        None
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
    /// [`Stage::fits`].
    fn fits_json(&self, params: &Value, above: &Above<'_>) -> Result<(), FieldError>;
    /// [`Stage::room`].
    fn room_json(&self, params: &Value, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError>;
    /// [`Stage::extends`]. Parameters that cannot be read, as those of an old result may be, extend nothing.
    fn extends_json(&self, new: &Value, old: &Value) -> Option<u64>;
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
            device: false,
            story: false,
            clean_env: false,
        })
    }

    fn check_json(&self, params: &Value) -> Result<Said, FieldError> {
        let params = checked::<S>(params)?;
        self.check(&params)?;
        Ok(Said { pins: self.pins(&params), idle: self.idle(&params), makes: self.makes(&params) })
    }

    fn fits_json(&self, params: &Value, above: &Above<'_>) -> Result<(), FieldError> {
        self.fits(&checked::<S>(params)?, above)
    }

    fn room_json(&self, params: &Value, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        self.room(&checked::<S>(params)?, above, machine)
    }

    fn extends_json(&self, new: &Value, old: &Value) -> Option<u64> {
        self.extends(&typed::<S>(new).ok()?, &typed::<S>(old).ok()?)
    }

    fn pin_json(&self, context: &mut Context, params: Value, id: &str) -> Result<String, StageError> {
        self.pin(context, typed::<S>(&params)?, id)
    }

    fn run_json(&self, context: &mut Context, params: Value) -> Result<(), StageError> {
        self.run(context, typed::<S>(&params)?)
    }
}

fn typed<S: Stage>(params: &Value) -> Result<S::Params, StageError> {
    S::Params::deserialize(params)
        .map_err(|error| StageError::new(format!("the parameters of `{}` do not fit: {error}", S::KIND)))
}

fn checked<S: Stage>(params: &Value) -> Result<S::Params, FieldError> {
    typed::<S>(params).map_err(|error| FieldError::new("", error.to_string()))
}
