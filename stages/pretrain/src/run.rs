//! `pretrain` from its inputs to its result: where it goes on, the loop, evaluations, checkpoints, what is told.
use crate::folder::Folder;
use crate::guard::Verdict;
use crate::params::Params;
use crate::peak;
use crate::result;
use crate::tell::Tell;
use crate::trainer::Trainer;
use burn::backend::{Cuda, Flex};
use muse_artifacts::checkpoint::Checkpoint;
use muse_artifacts::tokens::Tokens;
use muse_model::kernels::{Ops, with_threads};
use muse_stage::{Context, StageError};

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    let tokens = Tokens::open(&context.input("data")?)?;
    params
        .check_data(tokens.meta().vocab_size as usize, tokens.meta().context as usize)
        .map_err(|error| StageError::new(error.message).help(error.help.unwrap_or_default()))?;
    let init = context.optional("init").map(|path| Checkpoint::open(&path)).transpose()?;
    if let Some(init) = &init {
        init.verify()?;
    }
    let (tokens, init) = (&tokens, init.as_ref());
    with_threads(context.threads(), || {
        if context.gpus().is_empty() {
            let device = Default::default();
            let peak = peak::measured::<Flex>(&device);
            train::<Flex>(context, params, tokens, init, (device, Some(peak)))
        } else {
            let peak = peak::of_gpu(params.precision);
            train::<Cuda>(context, params, tokens, init, (Default::default(), peak))
        }
    })
}

fn train<B: Ops>(
    context: &mut Context,
    params: &Params,
    tokens: &Tokens,
    init: Option<&Checkpoint>,
    (device, peak): (B::Device, Option<f64>),
) -> Result<(), StageError> {
    // An attempt that is ending may hold the folder still, and the device's memory.
    let folder = Folder::of(context)?;
    let mut trainer = Trainer::<B>::new(params, tokens, init, device)?;
    let mut tell = Tell::new(&trainer, params, peak, !context.gpus().is_empty());
    if let Some(checkpoint) = folder.furthest(context, params, &tell)? {
        trainer.load(&checkpoint)?;
        tell.goes_on(trainer.state().made);
    }
    let steps = params.steps();
    while trainer.state().made < steps {
        if context.cancelled() {
            folder.save(&trainer, params, None)?;
            return Err(StageError::Interrupted);
        }
        let made = trainer.step()?;
        tell.step(context, trainer.state(), &made);
        if let Verdict::RollBack(to) = made.verdict {
            go_back(&mut trainer, params, &folder, to, init, &tell)?;
            continue;
        }
        after(context, params, &mut trainer, &folder, &mut tell)?;
    }
    result::write(context, params, &trainer, &folder)
}

/// What follows a step: an evaluation, checkpoints.
fn after<B: Ops>(
    context: &mut Context,
    params: &Params,
    trainer: &mut Trainer<'_, B>,
    folder: &Folder,
    tell: &mut Tell,
) -> Result<(), StageError> {
    let (made, last) = (trainer.state().made, trainer.state().made == params.steps());
    // An evaluation that comes only because the training ends has no part in what a longer one goes on from.
    let regular = params.evaluates(made);
    let mut validation = None;
    if regular {
        validation = evaluate(context, trainer, tell)?;
        trainer.judged(validation);
    }
    // A training that went back from further on is on a way that a longer one does not take.
    if params.shared() == Some(made) && trainer.state().guard.is_same_until(made) {
        folder.save_to_extend(trainer, validation)?;
    }
    if last && !regular {
        validation = evaluate(context, trainer, tell)?;
    }
    if regular || last || made.is_multiple_of(params.checkpoint_every.0.0.max(1)) {
        folder.save(trainer, params, validation)?;
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
    params: &Params,
    folder: &Folder,
    to: u64,
    init: Option<&Checkpoint>,
    tell: &Tell,
) -> Result<(), StageError> {
    // What comes after it was another way.
    folder.forget_after(to)?;
    if to == 0 {
        return trainer.go_back(None, init);
    }
    match folder.at(to, params) {
        Ok(checkpoint) => trainer.go_back(Some(&checkpoint), init),
        Err(error) if !error.is_damage() => Err(error.into()),
        Err(error) => {
            // A training that took over from a shorter one, or whose disk failed. All the way leads to the same end.
            tell.say(&format!("begins anew, since the checkpoint to go back to is not there: {error}"));
            folder.forget_after(0)?;
            folder.go_alone()?;
            trainer.begin_anew(init)
        }
    }
}
