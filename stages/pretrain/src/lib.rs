//! `pretrain`: trains a model on packed tokens. `muse-training` is how; here are its parameters, and what is checked of them.
mod check;
pub mod params;

#[cfg(test)]
mod tests;

pub use params::Params;

use muse_artifacts::checkpoint::Checkpoint;
use muse_artifacts::tokens::Tokens;
use muse_model::config::Shape;
use muse_model::count::Training as Memory;
use muse_stage::{
    Above, ArtifactType, Context, Description, FieldError, InputPort, Machine, OutputPort, Stage, StageError,
};
use muse_training::Training;
use muse_training::check::at_run;
use serde_json::Value;

/// Trains a model on packed tokens.
pub struct Pretrain;

impl Stage for Pretrain {
    type Params = Params;
    const KIND: &'static str = "pretrain";
    const VERSION: u32 = 2;
    const DOC: &'static str = "Trains a model on packed tokens.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::required("data", &[ArtifactType::Tokens]),
            InputPort::optional("init", &[ArtifactType::Checkpoint]),
        ]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("checkpoint", ArtifactType::Checkpoint)]
    }

    fn habits(&self, description: Description) -> Description {
        Description { resumes: true, device: true, ..description }
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        params.check()
    }

    fn fits(&self, params: &Params, above: &Above<'_>) -> Result<(), FieldError> {
        params.check_above(above)
    }

    fn room(&self, params: &Params, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        params.check_room(above, machine)
    }

    fn extends(&self, new: &Params, old: &Params) -> Option<u64> {
        new.recipe().extends(&old.recipe())
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let tokens = Tokens::open(&context.input("data")?)?;
        params
            .check_data(tokens.meta().vocab_size as usize, tokens.meta().context as usize)
            .map_err(at_run)?;
        let init = context.optional("init").map(|path| Checkpoint::open(&path)).transpose()?;
        if let Some(init) = &init {
            init.verify()?;
        }
        let recipe = params.recipe();
        Training { recipe: &recipe, model: &params.model, tokens: &tokens, init: init.as_ref() }.run(context)
    }
}

/// How a stage with these parameters trains a model of this shape, as far as memory goes; nothing where they are not those of
/// `pretrain`.
pub fn memory(params: &Value, shape: &Shape) -> Option<Memory> {
    let params: Params = serde_json::from_value(params.clone()).ok()?;
    Some(params.recipe().training(shape, 1))
}
