//! A training from its inputs to its result: where it goes on, the loop, evaluations, checkpoints, what is told.
use crate::folder::Folder;
use crate::guard::Verdict;
use crate::peak;
use crate::recipe::Recipe;
use crate::result;
use crate::tell::Tell;
use crate::trainer::Trainer;
use burn::backend::{Cuda, Flex};
use muse_artifacts::checkpoint::Checkpoint;
use muse_artifacts::tokens::Tokens;
use muse_model::config::Model;
use muse_model::kernels::{Ops, gpu_libraries, with_threads};
use muse_stage::{Context, StageError};

/// What is trained, how, and on what.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// How.
    pub recipe: &'a Recipe,
    /// The model; the data fills in the sizes that it leaves out.
    pub model: &'a Model,
    /// What is learned from.
    pub tokens: &'a Tokens,
    /// The weights to begin with, verified. None where they are drawn.
    pub init: Option<&'a Checkpoint>,
}

impl Training<'_> {
    /// Makes the result, which stands at `checkpoint`.
    pub fn run(self, context: &mut Context) -> Result<(), StageError> {
        with_threads(context.threads(), || {
            if context.gpus().is_empty() {
                let device = Default::default();
                let peak = peak::measured::<Flex>(&device);
                train::<Flex>(context, self, (device, Some(peak)))
            } else {
                let peak = peak::of_gpu(self.recipe.precision);
                train::<Cuda>(context, self, (Default::default(), peak))
            }
        })
    }
}

fn train<B: Ops>(
    context: &mut Context,
    training: Training<'_>,
    (device, peak): (B::Device, Option<f64>),
) -> Result<(), StageError> {
    let recipe = training.recipe;
    // An attempt that is ending may hold the folder still, and the device's memory.
    let folder = Folder::of(context)?;
    let mut trainer = Trainer::<B>::new(training, device)?;
    let on_gpu = !context.gpus().is_empty();
    let mut tell = Tell::new(&trainer, recipe, peak, on_gpu);
    if on_gpu {
        let missing = gpu_libraries().into_iter().filter(|library| !library.there);
        missing.for_each(|library| tell.say(&library.without()));
    }
    if let Some(checkpoint) = folder.furthest(context, recipe, &tell)? {
        trainer.load(&checkpoint)?;
        tell.goes_on(trainer.state().made);
    }
    let steps = recipe.steps;
    while trainer.state().made < steps {
        if context.cancelled() {
            folder.save(&trainer, recipe, None)?;
            return Err(StageError::Interrupted);
        }
        let made = trainer.step()?;
        tell.step(context, trainer.state(), &made);
        if let Verdict::RollBack(to) = made.verdict {
            go_back(&mut trainer, recipe, &folder, to, &tell)?;
            continue;
        }
        after(context, recipe, &mut trainer, &folder, &mut tell)?;
    }
    result::write(context, recipe, &trainer, &folder)
}

/// What follows a step: an evaluation, checkpoints.
fn after<B: Ops>(
    context: &mut Context,
    recipe: &Recipe,
    trainer: &mut Trainer<'_, B>,
    folder: &Folder,
    tell: &mut Tell,
) -> Result<(), StageError> {
    let (made, last) = (trainer.state().made, trainer.state().made == recipe.steps);
    // An evaluation that comes only because the training ends has no part in what a longer one goes on from.
    let regular = recipe.evaluates(made);
    let mut validation = None;
    if regular {
        validation = evaluate(context, trainer, tell)?;
        trainer.judged(validation);
    }
    // A training that went back from further on is on a way that a longer one does not take.
    if recipe.shared() == Some(made) && trainer.state().guard.is_same_until(made) {
        folder.save_to_extend(trainer, validation)?;
    }
    if last && !regular {
        validation = evaluate(context, trainer, tell)?;
    }
    if regular || last || made.is_multiple_of(recipe.checkpoint_every.max(1)) {
        folder.save(trainer, recipe, validation)?;
    }
    Ok(())
}

fn evaluate<B: Ops>(
    context: &mut Context,
    trainer: &mut Trainer<'_, B>,
    tell: &mut Tell,
) -> Result<Option<f64>, StageError> {
    let loss = tell.aside(|| trainer.evaluate())?;
    if let Some(loss) = loss {
        trainer.evaluated(loss);
        tell.evaluated(context, trainer.state(), loss);
    }
    Ok(loss)
}

/// Goes back to the last good checkpoint.
fn go_back<B: Ops>(
    trainer: &mut Trainer<'_, B>,
    recipe: &Recipe,
    folder: &Folder,
    to: u64,
    tell: &Tell,
) -> Result<(), StageError> {
    // What comes after it was another way.
    folder.forget_after(to)?;
    if to == 0 {
        return trainer.go_back(None);
    }
    match folder.at(to, recipe) {
        Ok(checkpoint) => trainer.go_back(Some(&checkpoint)),
        Err(error) if !error.is_damage() => Err(error.into()),
        Err(error) => {
            // A training that took over from a shorter one, or whose disk failed. All the way leads to the same end.
            tell.say(&format!("begins anew, since the checkpoint to go back to is not there: {error}"));
            folder.forget_after(0)?;
            folder.go_alone()?;
            trainer.begin_anew()
        }
    }
}
