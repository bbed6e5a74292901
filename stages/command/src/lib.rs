//! The `command` stage: any program, with declared inputs and outputs.
mod run;
mod text;

use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{
    CommandText, Context, Description, EnvMap, Execution, FieldError, InputFiles, OutputName, OutputPort,
    Stage, StageError,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct Command;

/// What stands under `with:`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What to run: a list is a program and its arguments, a text is one line for `sh -c`.
    /// `${in.NAME}` and `${out.NAME}` stand for the paths of inputs and outputs; other `${…}` are the shell's.
    pub run: CommandText,
    /// Input files by name: a path, a folder or a glob, relative to the pipeline file. Each is found at `in/NAME`.
    #[serde(default)]
    pub files: BTreeMap<String, InputFiles>,
    /// The names of the results. Each is expected at `out/NAME`, a file or a folder, when the command exits with 0.
    #[serde(default)]
    pub outputs: Vec<OutputName>,
    /// Environment variables that the result depends on.
    #[serde(default)]
    pub env: EnvMap,
    /// Give the command a folder that outlives failed and interrupted attempts, named by `MUSE_RESUME`.
    #[serde(default)]
    pub resume: Execution<bool>,
}

impl Stage for Command {
    type Params = Params;
    const KIND: &'static str = "command";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Runs any program.\n\n\
        The command starts in an empty folder. `in/PORT` is the result of the stage that `inputs` names, `in/NAME` \
        what `files` names, `out/NAME` is where each output is expected when it exits with 0. It sees the caller's \
        `PATH`, a `HOME` and `TMPDIR` of its own, `LANG=C.UTF-8`, `TZ=UTC`, what `env` sets and what `pass_env` and \
        `secrets` name. Nothing confines it: what it reads or writes by absolute path is its author's matter.";

    fn outputs(&self) -> Vec<OutputPort> {
        Vec::new()
    }

    fn habits(&self, description: Description) -> Description {
        Description {
            any_input: true,
            outputs_from: Some("outputs".into()),
            resumes: true,
            single_thread: true,
            clean_env: true,
            ..description
        }
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        for name in params.files.keys() {
            if !is_name(name) {
                let message = format!("`{name}` cannot name input files");
                return Err(FieldError::new(format!("/files/{name}"), message).help("use A-Z a-z 0-9 _ -"));
            }
        }
        for (at, OutputName(name)) in params.outputs.iter().enumerate() {
            let pointer = format!("/outputs/{at}");
            if name.starts_with('.')
                || name.is_empty()
                || !name.split('.').all(|part| part.is_empty() || is_name(part))
            {
                let message = format!("`{name}` cannot name an output");
                return Err(
                    FieldError::new(pointer, message).help("use A-Z a-z 0-9 _ - and dots that are not first")
                );
            }
            if params.outputs[..at].iter().any(|OutputName(earlier)| earlier == name) {
                return Err(FieldError::new(pointer, format!("output `{name}` is named twice")));
            }
        }
        for name in params.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("MUSE_") {
                let message = format!("`{name}` cannot name an environment variable");
                return Err(FieldError::new(format!("/env/{name}"), message));
            }
        }
        Ok(())
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        run::run(context, &params)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
