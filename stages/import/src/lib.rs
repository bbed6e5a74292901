//! `import`: a Hugging Face model as a checkpoint with its tokenizer, to begin from.
mod folder;
#[cfg(test)]
mod tests;

use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{ArtifactType, Context, FieldError, InputFiles, InputPort, OutputPort, Stage, StageError};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct Import;

/// What stands under `with:`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A folder with the model, where nothing is connected to `folder`: `config.json`, `*.safetensors`, `tokenizer.json`.
    #[serde(default)]
    pub path: Option<InputFiles>,
}

impl Stage for Import {
    type Params = Params;
    const KIND: &'static str = "import";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Turns a Hugging Face model into a checkpoint and its tokenizer.\n\n\
        Reads what `export` writes with `format: hf`, and any other folder of a `LlamaForCausalLM`, `MistralForCausalLM` or \
        `Qwen3ForCausalLM` with safetensors and a `tokenizer.json`. One of the hub comes by a `download` with `source: hub`, \
        `kind: model` and `as: files` in front. Weights stay as they are stored. A model that muse would compute otherwise \
        is refused. `docs/export.md` says which.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::optional("folder", &[ArtifactType::Folder])]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![
            OutputPort::new("checkpoint", ArtifactType::Checkpoint),
            OutputPort::new("tokenizer", ArtifactType::Tokenizer),
        ]
    }

    fn fits(&self, params: &Params, above: &muse_stage::Above<'_>) -> Result<(), FieldError> {
        match (&params.path, above.port("folder").is_empty()) {
            (None, true) => {
                let help =
                    "write `path: ../models/mine`, or connect `folder` to a `download` with `as: files`";
                Err(FieldError::new("", "no model is named").help(help))
            }
            (Some(_), false) => {
                let message = "a folder is connected, and `path` names another";
                Err(FieldError::new("/path", message).help("leave one of them out"))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let folder = match (context.optional("folder"), &params.path) {
            (Some(folder), None) => folder,
            (None, Some(path)) => context.work().join(path.path()),
            _ => return Err(StageError::new("one model is wanted: at `folder`, or by `path`")),
        };
        folder::import(context, &folder)
    }
}
