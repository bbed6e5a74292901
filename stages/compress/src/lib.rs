//! `compress`: the first weights of a model of small forms, or a trained model in them, tensor by tensor.
mod bits;
mod params;
mod report;
mod source;
mod write;

#[cfg(test)]
mod tests;

pub use params::Params;

use muse_artifacts::above::model_of;
use muse_model::config::Model;
use muse_model::kernels::with_threads;
use muse_stage::{Above, ArtifactType, Context, FieldError, InputPort, OutputPort, Stage, StageError};
use source::Source;

/// The kind.
pub struct Compress;

impl Stage for Compress {
    type Params = Params;
    const KIND: &'static str = "compress";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Makes the first weights of a small form of a model, or a small form of a trained one.\n\n\
        With `model` in front, its matrices are taken apart and rounded as the fields say. Without, a model of the file that \
        `model` names is begun, which `pretrain` takes at `init`. Never is more than one matrix in memory. `compress.json` in the \
        result says of each matrix what it stands for, what is trained of it, what it takes and how far it is off. \
        `docs/compress.md` says more.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::optional("model", &[ArtifactType::Checkpoint])]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("checkpoint", ArtifactType::Checkpoint)]
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        params.check()
    }

    fn fits(&self, params: &Params, above: &Above<'_>) -> Result<(), FieldError> {
        let connected = above.port("model");
        params.check_source(!connected.is_empty())?;
        // What is not known fits.
        let known = connected.first().and_then(model_of);
        match known.and_then(|(config, _)| serde_json::from_value::<Model>(config).ok()) {
            Some(model) => params.target(&model, true).map(drop),
            None => Ok(()),
        }
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let source = Source::open(context, &params)?;
        with_threads(context.threads(), || write::write(context, &source))
    }
}
