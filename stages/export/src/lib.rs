//! `export`: a trained checkpoint as a folder that other tools load.
//!
//! `params` says what is wanted; `source` holds what is exported, checked; `hf`, `gguf` and `muse` write it, tensor by tensor,
//! and `card` tells how the model was made.
mod card;
mod gguf;
mod hf;
mod muse;
mod numbers;
mod params;
mod source;
#[cfg(test)]
mod tests;

pub use params::{Dtype, Format, Params};

use card::Card;
use muse_stage::{
    Above, ArtifactType, Context, Description, FieldError, InputPort, OutputPort, Stage, StageError,
};
use source::Source;
use std::fs;

/// The kind.
pub struct Export;

impl Stage for Export {
    type Params = Params;
    const KIND: &'static str = "export";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Turns a checkpoint into a folder that other tools load.\n\n\
        `hf` is what Python's `transformers` loads, `gguf` a file for llama.cpp, `muse` a folder for muse itself. Each holds \
        the tokenizer with its chat template, and a model card that tells how the model was made. What a format has no \
        word for is an error, and never another model. `docs/export.md` says what goes where.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::required("model", &[ArtifactType::Checkpoint]),
            InputPort::required("tokenizer", &[ArtifactType::Tokenizer]),
        ]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("folder", ArtifactType::Folder)]
    }

    fn habits(&self, description: Description) -> Description {
        Description { story: true, ..description }
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        params.check()
    }

    fn fits(&self, params: &Params, above: &Above<'_>) -> Result<(), FieldError> {
        params.check_above(above)
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let source = Source::open(context, params.weights, params.format != Format::Muse)?;
        if let Err(FieldError { message, help, .. }) = params.check_three(source.trained.linear) {
            let said = StageError::new(message);
            return Err(match help {
                Some(help) => said.help(help),
                None => said,
            });
        }
        let out = context.output("folder");
        let notes = match params.format {
            Format::Hf => hf::write(context, &params, &source, &out)?,
            Format::Gguf => gguf::write(context, &params, &source, &out)?,
            Format::Muse => muse::write(context, &params, &source, &out)?,
        };
        let path = out.join("README.md");
        let card = Card { params: &params, source: &source, notes: &notes, story: context.story() };
        fs::write(&path, card.text()).map_err(StageError::io(&path))
    }
}
