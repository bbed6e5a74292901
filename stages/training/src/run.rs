//! A training from its inputs to its result: where it goes on, the loop, evaluations, checkpoints, what is told.
use crate::check::at_run;
use crate::folder::Folder;
use crate::guard::Verdict;
use crate::peak;
use crate::recipe::Recipe;
use crate::result;
use crate::team::Team;
use crate::tell::Tell;
use crate::trainer::failed;
use burn::backend::cuda::CudaDevice;
use burn::backend::{Cuda, Flex};
use muse_artifacts::checkpoint::Checkpoint;
use muse_artifacts::tokens::Tokens;
use muse_model::config::Model;
use muse_model::kernels::{Ops, gpu_libraries, on_gpus, with_threads};
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
        let threads = context.threads();
        with_threads(threads, || {
            if context.gpus().is_empty() {
                let device = Default::default();
                let peak = peak::measured::<Flex>(&device);
                train::<Flex>(context, self, vec![device], Some(peak))
            } else {
                // This process sees those alone that it was given.
                let devices: Vec<_> = (0..context.gpus().len()).map(CudaDevice::new).collect();
                let length = self.tokens.meta().context as usize;
                self.recipe.check_devices(length, devices.len()).map_err(at_run)?;
                let peak = peak::of_gpu(self.recipe.precision);
                on_gpus(|| train::<Cuda>(context, self, devices, peak)).map_err(failed)?
            }
        })
    }
}

/// Trains on devices with operations of so many a second each.
fn train<B: Ops>(
    context: &mut Context,
    training: Training<'_>,
    devices: Vec<B::Device>,
    peak: Option<f64>,
) -> Result<(), StageError> {
    // An attempt that is ending may hold the folder still, and the device's memory.
    let folder = Folder::of(context)?;
    let peak = peak.map(|peak| peak * devices.len() as f64);
    let threads = context.threads();
    Team::<B>::with(training, devices, threads, |team| steps(context, training.recipe, team, &folder, peak))
}

/// All steps, from the furthest checkpoint to the result.
fn steps<B: Ops>(
    context: &mut Context,
    recipe: &Recipe,
    team: &mut Team<'_, B>,
    folder: &Folder,
    peak: Option<f64>,
) -> Result<(), StageError> {
    let gpus = context.gpus().len();
    let mut tell = Tell::new(team.first(), recipe, peak, gpus > 0);
    if gpus > 0 {
        let missing = gpu_libraries(gpus).into_iter().filter(|library| !library.there);
        missing.for_each(|library| tell.say(&library.without()));
    }
    if let Some(why) = &team.by_way_of_host {
        tell.say(&format!("the GPUs add up gradients by way of the host's memory, which takes long: {why}"));
    }
    if let Some(checkpoint) = folder.furthest(context, recipe, &tell)? {
        team.load(&checkpoint)?;
        tell.goes_on(team.first().state().made);
    }
    while team.first().state().made < recipe.steps {
        let cancelled = context.cancelled();
        if cancelled && !team.first().is_ahead() {
            folder.save(team.first(), recipe, None)?;
            return Err(StageError::Interrupted);
        }
        let made = team.step(!cancelled)?;
        tell.step(context, team.first().state(), &made);
        if let Verdict::RollBack(to) = made.verdict {
            go_back(team, recipe, folder, to, &tell)?;
            continue;
        }
        after(context, recipe, team, folder, &mut tell)?;
    }
    result::write(context, recipe, team.first(), folder)
}

/// What follows a step: an evaluation, checkpoints.
fn after<B: Ops>(
    context: &mut Context,
    recipe: &Recipe,
    team: &mut Team<'_, B>,
    folder: &Folder,
    tell: &mut Tell,
) -> Result<(), StageError> {
    let (made, last) = (team.first().state().made, team.first().state().made == recipe.steps);
    // An evaluation that comes only because the training ends has no part in what a longer one goes on from.
    let regular = recipe.evaluates(made);
    let mut validation = None;
    if regular {
        validation = evaluate(context, team, tell)?;
        team.judged(validation);
    }
    // A training that went back from further on is on a way that a longer one does not take.
    if recipe.shared() == Some(made) && team.first().state().guard.is_same_until(made) {
        folder.save_to_extend(team.first(), validation)?;
    }
    if last && !regular {
        validation = evaluate(context, team, tell)?;
    }
    if regular || last || made.is_multiple_of(recipe.checkpoint_every.max(1)) {
        folder.save(team.first(), recipe, validation)?;
    }
    Ok(())
}

fn evaluate<B: Ops>(
    context: &mut Context,
    team: &mut Team<'_, B>,
    tell: &mut Tell,
) -> Result<Option<f64>, StageError> {
    let loss = tell.aside(|| team.evaluate())?;
    if let Some(loss) = loss {
        tell.evaluated(context, team.first().state(), loss);
    }
    if let Some(zeros) = tell.aside(|| team.first().zeros()) {
        context.metric(team.first().state().made, "zeros", zeros);
    }
    if let Some(load) = team.first().expert_load() {
        context.metric(team.first().state().made, "expert_load", load);
    }
    Ok(loss)
}

/// Goes back to the last good checkpoint.
fn go_back<B: Ops>(
    team: &mut Team<'_, B>,
    recipe: &Recipe,
    folder: &Folder,
    to: u64,
    tell: &Tell,
) -> Result<(), StageError> {
    // What comes after it was another way.
    folder.forget_after(to)?;
    if to == 0 {
        return team.go_back(None);
    }
    match folder.at(to, recipe) {
        Ok(checkpoint) => team.go_back(Some(&checkpoint)),
        Err(error) if !error.is_damage() => Err(error.into()),
        Err(error) => {
            // A training that took over from a shorter one, or whose disk failed. All the way leads to the same end.
            tell.say(&format!("begins anew, since the checkpoint to go back to is not there: {error}"));
            folder.forget_after(0)?;
            folder.go_alone()?;
            team.begin_anew()
        }
    }
}
