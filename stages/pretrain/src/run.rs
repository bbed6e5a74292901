//! `pretrain` from its inputs to its result: where it goes on, the loop, evaluations, checkpoints, what is told.
use crate::guard::Verdict;
use crate::params::Params;
use crate::peak;
use crate::result;
use crate::tell::Tell;
use crate::trainer::Trainer;
use burn::backend::{Cuda, Flex};
use muse_artifacts::checkpoint::{Checkpoint, Checkpoints};
use muse_artifacts::tokens::Tokens;
use muse_model::kernels::{Ops, with_threads};
use muse_stage::{Context, StageError};
use std::path::{Path, PathBuf};

/// Where the state stands from which a longer training may go on, below the folder of checkpoints and in the result.
pub(crate) const EXTEND: &str = "extend";
/// Where the best weights stand in the result, if they are not the last.
pub(crate) const BEST: &str = "best";

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
    let kept = context.resume()?;
    let mut trainer = Trainer::<B>::new(params, tokens, init, device)?;
    let mut tell = Tell::new(&trainer, params, peak);
    let folder = Folder { kept: Checkpoints::of(&kept), path: kept };
    folder.kept.clean()?;
    if let Some(checkpoint) = folder.furthest(context, &tell)? {
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
            go_back(&mut trainer, &folder, to, init, &tell)?;
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
    let shared = trainer.state().guard.rolled_back().iter().all(|back| back.at < made);
    if params.shared() == Some(made) && shared {
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
    folder: &Folder,
    to: u64,
    init: Option<&Checkpoint>,
    tell: &Tell,
) -> Result<(), StageError> {
    // What comes after it was another way.
    folder.kept.forget_after(to)?;
    if to == 0 {
        return trainer.go_back(None, init);
    }
    let found = Checkpoint::open(&folder.kept.place(to)).and_then(|found| found.verify().map(|()| found));
    match found {
        Ok(checkpoint) => trainer.go_back(Some(&checkpoint), init),
        Err(error) => {
            // A training that took over from a shorter one, or whose disk failed. All the way leads to the same end.
            tell.say(&format!("begins anew, since the checkpoint to go back to is not there: {error}"));
            folder.kept.forget_after(0)?;
            trainer.begin_anew(init)
        }
    }
}

/// The folder of a training's checkpoints.
pub(crate) struct Folder {
    pub(crate) kept: Checkpoints,
    path: PathBuf,
}

impl Folder {
    /// The checkpoint to go on from: the newest of this training, or that of a shorter one, whichever is further.
    fn furthest(&self, context: &Context, tell: &Tell) -> Result<Option<Checkpoint>, StageError> {
        let (own, damaged) = self.kept.newest()?;
        for error in damaged {
            tell.say(&format!("a checkpoint is passed over: {error}"));
        }
        let made = own.as_ref().map_or(0, |own| own.about().step);
        let Some(offer) = context.offer().filter(|offer| offer.step > made) else { return Ok(own) };
        let path = offer.path.join("checkpoint").join(EXTEND);
        match Checkpoint::open(&path) {
            Ok(shorter) if shorter.about().step == offer.step => {
                // The best weights may be of before: the result will want them.
                let best = path.join(BEST);
                if best.exists() {
                    self.keep_best(&Checkpoint::open(&best)?)?;
                } else {
                    self.keep_best(&shorter)?;
                }
                Ok(Some(shorter))
            }
            Ok(_) => Ok(own),
            Err(error) => {
                tell.say(&format!("what a shorter training left is passed over: {error}"));
                Ok(own)
            }
        }
    }

    /// Keeps the best weights of a shorter training.
    fn keep_best(&self, best: &Checkpoint) -> Result<(), StageError> {
        result::model_alone(best, &self.path.join(BEST))
    }

    /// The checkpoint of the best evaluation, which was after so many steps.
    pub(crate) fn best(&self, step: u64) -> Result<Checkpoint, StageError> {
        let own = Checkpoint::open(&self.kept.place(step));
        let found = match own {
            Ok(found) => found,
            Err(error) => match Checkpoint::open(&self.path.join(BEST)) {
                Ok(found) if found.about().step == step => found,
                _ => return Err(error.into()),
            },
        };
        found.verify()?;
        Ok(found)
    }

    /// Keeps what a longer training may go on from: all of this moment, and the best weights so far.
    fn save_to_extend<B: Ops>(
        &self,
        trainer: &Trainer<'_, B>,
        validation: Option<f64>,
    ) -> Result<(), StageError> {
        let place = self.extend();
        trainer.save(&place, validation, true)?;
        match trainer.state().best.filter(|best| best.step != trainer.state().made) {
            Some(best) => result::model_alone(&self.best(best.step)?, &place.join(BEST)),
            None => Ok(()),
        }
    }

    /// Where the state stands that a longer training may go on from.
    pub(crate) fn extend(&self) -> PathBuf {
        self.path.join(EXTEND)
    }

    /// Keeps a checkpoint of this moment, and takes away those that are not needed any more.
    fn save<B: Ops>(
        &self,
        trainer: &Trainer<'_, B>,
        params: &Params,
        validation: Option<f64>,
    ) -> Result<(), StageError> {
        let state = trainer.state();
        if state.made == 0 {
            return Ok(());
        }
        let place = self.kept.place(state.made);
        // What goes on from an evaluation, and is stopped at once, knows it too.
        let here = state.evaluated.filter(|point| point.step == state.made);
        let validation = validation.or(here.map(|point| point.loss));
        // One that was kept at an evaluation knows more than one that a signal asks for.
        if validation.is_some() || !is_there(&place) {
            trainer.save(&place, validation, true)?;
        }
        // Whoever goes back asks for the best weights as they were there.
        let also = [Some(state.guard.good()), state.best_when_good.map(|point| point.step)];
        let also: Vec<u64> = also.into_iter().flatten().collect();
        self.kept.keep_last(*params.keep_last as usize, &also)?;
        Ok(())
    }
}

fn is_there(place: &Path) -> bool {
    Checkpoint::open(place).is_ok()
}
