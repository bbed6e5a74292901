//! `sft`: trains a model further on packed chats. `muse-training` is how; here are its parameters, and what is checked of them.
mod check;
pub mod params;

#[cfg(test)]
mod tests;

pub use params::Params;

use muse_artifacts::checkpoint::Checkpoint;
use muse_artifacts::tokens::{Loss, Tokens};
use muse_model::config::{Model, Shape};
use muse_model::count::Training as Memory;
use muse_stage::{
    Above, ArtifactType, Context, Description, FieldError, InputPort, Machine, OutputPort, Stage, StageError,
};
use muse_training::Training;
use muse_training::check::at_run;
use serde_json::Value;

/// Trains a model further on packed chats.
pub struct Sft;

impl Stage for Sft {
    type Params = Params;
    const KIND: &'static str = "sft";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Fine-tunes a model on packed chats: it learns what the assistant says.\n\n\
        The model is that of `init`, and so is the tokenizer. The data is packed with `mask: assistant`, so that nothing \
        is learned of what people ask. With `lora` factors beside the matrices are trained in their place; the result has \
        them merged, and by themselves in `adapter/`.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::required("data", &[ArtifactType::Tokens]),
            InputPort::required("init", &[ArtifactType::Checkpoint]),
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
        // How many steps epochs are is known only once there is data.
        new.recipe(new.steps()?).extends(&old.recipe(old.steps()?))
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let tokens = Tokens::open(&context.input("data")?)?;
        let init = Checkpoint::open(&context.input("init")?)?;
        init.verify()?;
        let model = model_of(&init)?;
        let meta = tokens.meta();
        check::masked(meta.loss == Loss::Mask).map_err(at_run)?;
        params.check_data(&model, Some(meta.vocab_size as usize), meta.context as usize).map_err(at_run)?;
        let recipe = params.recipe(params.steps_on(&tokens));
        Training { recipe: &recipe, model: &model, tokens: &tokens, init: Some(&init) }.run(context)
    }
}

/// How a stage with these parameters trains a model of this shape, as far as memory goes; nothing where they are not those of
/// `sft`.
pub fn memory(params: &Value, shape: &Shape) -> Option<Memory> {
    let params: Params = serde_json::from_value(params.clone()).ok()?;
    Some(params.recipe(1).training(shape, 1))
}

/// The model of a checkpoint.
fn model_of(init: &Checkpoint) -> Result<Model, StageError> {
    serde_json::from_value(init.about().config.clone()).map_err(|error| {
        let folder = init.folder().display();
        StageError::new(format!("{folder}: its model is none that is known here: {error}"))
            .help("begin from what `pretrain` or `sft` made")
    })
}
