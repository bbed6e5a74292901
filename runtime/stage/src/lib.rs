//! The contract between muse and its stages: what a stage kind declares, what it is given, what it answers.
//!
//! A stage is a function from declared inputs and parameters to declared outputs. It implements [`Stage`];
//! muse holds it as a [`StageKind`], which is the same thing with its parameters as JSON. Three links lead
//! from a stage to muse, and all of them end here: the built-in list, a binary of your own that hands its
//! list to `muse::main`, and an executable `muse-stage-NAME` whose `main` is [`plugin_main`].
//!
//! This crate knows no YAML, no store and no terminal, so that others can compile against it for years.
mod above;
mod artifact;
mod context;
mod describe;
mod error;
mod event;
mod fields;
mod job;
mod kind;
mod machine;
mod plugin;
mod story;
mod units;

pub use above::{Above, Given};
pub use artifact::ArtifactType;
pub use context::Context;
pub use describe::{Description, InputPort, OutputPort};
pub use error::{FieldError, StageError};
pub use event::StageEvent;
pub use fields::{CommandText, ConfigFile, EnvMap, Execution, Extendable, InputFiles, OutputName, mark};
pub use job::{Job, JobInput, JobMode, Offer};
pub use kind::{Said, Stage, StageKind};
pub use machine::Machine;
pub use plugin::{plugin_main, run_job, stop_on_sigterm};
pub use story::{Origin, Story, Told};
pub use units::{Bytes, Count, Duration, UnitError};

pub use schemars;
