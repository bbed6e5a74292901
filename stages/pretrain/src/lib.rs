//! `pretrain`: trains a model on packed tokens.
//!
//! `params` says what is wanted and `plan` what follows from it; `run` is the loop over a `trainer`, which holds the model, the
//! optimizer and the data; `guard` judges steps; `folder` keeps checkpoints; `result` is what comes out.
mod above;
pub mod budget;
mod chance;
mod check;
pub mod data;
mod folder;
pub mod guard;
pub mod params;
mod peak;
mod plan;
pub mod report;
mod result;
mod run;
mod state;
mod tell;
mod trainer;

#[cfg(test)]
mod tests;

pub use params::Params;

use muse_stage::{
    Above, ArtifactType, Context, Description, FieldError, InputPort, Machine, OutputPort, Stage, StageError,
};

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
        new.extends(old)
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        run::run(context, &params)
    }
}
