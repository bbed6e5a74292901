//! What a training keeps in its resume folder: checkpoints by step in `step-000001000/` and so on, in `extend/` what a longer
//! training may go on from, in `best/` the best weights of a shorter one that it went on from.
use crate::recipe::Recipe;
use crate::result;
use crate::state::State;
use crate::tell::Tell;
use crate::trainer::Trainer;
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{BEST, Checkpoint, Checkpoints};
use muse_model::kernels::Ops;
use muse_stage::{Context, Offer, StageError};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the state stands from which a longer training may go on, in the resume folder and in the result.
pub(crate) const EXTEND: &str = "extend";

/// Stands in the resume folder once a training passes over what shorter ones left.
const ALONE: &str = "alone";

/// The folder of a training's checkpoints.
pub(crate) struct Folder {
    kept: Checkpoints,
    path: PathBuf,
}

impl Folder {
    /// The resume folder of this stage, without what writers left that were killed.
    pub(crate) fn of(context: &mut Context) -> Result<Self, StageError> {
        let path = context.resume()?;
        let kept = Checkpoints::of(&path);
        kept.clean()?;
        Ok(Self { kept, path })
    }

    /// The checkpoint to go on from: the newest of this training, or that of a shorter one, whichever is further.
    pub(crate) fn furthest(
        &self,
        context: &Context,
        recipe: &Recipe,
        tell: &Tell,
    ) -> Result<Option<Checkpoint>, StageError> {
        let own = self.newest(recipe, tell)?;
        let made = own.as_ref().map_or(0, |own| own.about().step);
        let wanted = |offer: &Offer| offer.step > made && !self.path.join(ALONE).exists();
        let Some(offer) = context.offer().filter(wanted) else { return Ok(own) };
        match self.take_over(&offer) {
            Ok(shorter) => Ok(Some(shorter)),
            Err(error) => {
                tell.say(&format!("what a shorter training left is passed over: {error}"));
                Ok(own)
            }
        }
    }

    /// The newest of its own of which all is there that the result will want. What is newer is taken away: it would count as
    /// good with all who look at sizes alone.
    fn newest(&self, recipe: &Recipe, tell: &Tell) -> Result<Option<Checkpoint>, StageError> {
        loop {
            let (newest, damaged) = self.kept.newest()?;
            for error in damaged {
                tell.say(&format!("a checkpoint is passed over: {error}"));
            }
            let Some(newest) = newest else {
                self.kept.forget_from(0)?;
                return Ok(None);
            };
            let step = newest.about().step;
            self.kept.forget_from(step + 1)?;
            match self.check(&newest, recipe) {
                Ok(()) => return Ok(Some(newest)),
                Err(error) if !error.is_damage() => return Err(error.into()),
                Err(error) => {
                    tell.say(&format!("the checkpoint of step {step} is passed over: {error}"));
                    // Its files are closed first: elsewhere they would be in the way.
                    drop(newest);
                    self.kept.forget_from(step)?;
                }
            }
        }
    }

    /// Whether all is there that belongs to a checkpoint: the best weights so far, and what a longer training goes on from.
    fn check(&self, one: &Checkpoint, recipe: &Recipe) -> Result<(), ArtifactError> {
        let state = State::of(one)?;
        if let Some(best) = state.best.filter(|best| best.step != state.made) {
            self.best(best.step)?;
        }
        let shared = recipe.shared();
        // On a way back it is passed again, but not written again.
        let written = shared.is_some_and(|shared| state.made >= shared || !state.guard.is_same_until(shared));
        if written { verified(&self.extend()).and_then(|extend| best_of(&extend)).map(drop) } else { Ok(()) }
    }

    /// What a shorter training left, whose best weights are kept here: the result may want them.
    fn take_over(&self, offer: &Offer) -> Result<Checkpoint, StageError> {
        let shorter = verified(&offer.path.join("checkpoint").join(EXTEND))?;
        let step = State::of(&shorter)?.made;
        if step != offer.step {
            return Err(StageError::new(format!("it is of step {step}, and not of {}", offer.step)));
        }
        result::model_alone(&best_of(&shorter)?, &self.path.join(BEST))?;
        Ok(shorter)
    }

    /// The checkpoint after so many steps, with all that belongs to it.
    pub(crate) fn at(&self, step: u64, recipe: &Recipe) -> Result<Checkpoint, ArtifactError> {
        let found = verified(&self.kept.place(step))?;
        self.check(&found, recipe)?;
        Ok(found)
    }

    /// From here on what shorter trainings left is passed over, however often this one is stopped: it went back to before that.
    pub(crate) fn go_alone(&self) -> Result<(), StageError> {
        let path = self.path.join(ALONE);
        fs::write(&path, "").map_err(StageError::io(&path))
    }

    /// The checkpoint of the best evaluation, which was after so many steps.
    pub(crate) fn best(&self, step: u64) -> Result<Checkpoint, ArtifactError> {
        verified(&self.kept.place(step)).or_else(|error| match verified(&self.path.join(BEST)) {
            Ok(found) if found.about().step == step => Ok(found),
            _ => Err(error),
        })
    }

    /// Takes away all after so many steps: those of a way that is not gone on.
    pub(crate) fn forget_after(&self, step: u64) -> Result<(), StageError> {
        Ok(self.kept.forget_from(step + 1)?)
    }

    /// Keeps what a longer training may go on from: all of this moment, and the best weights so far.
    pub(crate) fn save_to_extend<B: Ops>(
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

    /// Puts what a longer training may go on from at `to`.
    pub(crate) fn hand_on(&self, to: &Path) -> Result<(), StageError> {
        let from = verified(&self.extend())?;
        best_of(&from)?;
        copy(from.folder(), to)
    }

    fn extend(&self) -> PathBuf {
        self.path.join(EXTEND)
    }

    /// Keeps a checkpoint of this moment, and takes away those that are not needed any more.
    pub(crate) fn save<B: Ops>(
        &self,
        trainer: &Trainer<'_, B>,
        recipe: &Recipe,
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
        if validation.is_some() || Checkpoint::open(&place).is_err() {
            trainer.save(&place, validation, true)?;
        }
        // Whoever goes back asks for the best weights as they were there.
        let [best, best_when_good] =
            [state.best, state.best_when_good].map(|point| point.map(|point| point.step));
        // And should what a longer training goes on from be lost, it is to be made again, and not all from the start.
        let before = recipe.shared().map_or(Ok(None), |shared| self.kept.before(shared))?;
        let also: Vec<u64> =
            [Some(state.guard.good()), best, best_when_good, before].into_iter().flatten().collect();
        self.kept.keep_last(recipe.keep_last as usize, &also)?;
        Ok(())
    }
}

/// A checkpoint that is intact to the byte.
fn verified(place: &Path) -> Result<Checkpoint, ArtifactError> {
    let found = Checkpoint::open(place)?;
    found.verify()?;
    Ok(found)
}

/// The best weights up to the moment of what a longer training goes on from: those of before that stand in it, else its own.
fn best_of(extend: &Checkpoint) -> Result<Checkpoint, ArtifactError> {
    let state = State::of(extend)?;
    match state.best.filter(|best| best.step != state.made) {
        Some(_) => verified(&extend.folder().join(BEST)),
        None => verified(extend.folder()),
    }
}

/// A folder again, with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), StageError> {
    fs::create_dir_all(to).map_err(StageError::io(to))?;
    for entry in fs::read_dir(from).map_err(StageError::io(from))? {
        let entry = entry.map_err(StageError::io(from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(StageError::io(&to))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::pack;
    use crate::run::Training;
    use crate::tests::recipe;
    use burn::backend::Flex;
    use muse_artifacts::checkpoint::Look;
    use muse_model::config::Model;

    #[test]
    fn the_best_weights_of_a_way_back_stay() {
        let temporary = tempfile::tempdir().unwrap();
        let tokens = pack(temporary.path(), 8, &[40, 40], &[16]);
        let recipe = Recipe { steps: 50, batch_tokens: 16, keep_last: 1, ..recipe() };
        let model = Model::new(1, 8, 1, 8);
        let training = Training { recipe: &recipe, model: &model, tokens: &tokens, init: None };
        let mut trainer = Trainer::<Flex>::new(training, Default::default(), None).unwrap();
        let path = temporary.path().join("resume");
        let folder = Folder { kept: Checkpoints::of(&path), path };
        // Best at 10, good at 20; a better one at 30, where steps came to nothing of late; the last at 40.
        for (made, loss) in [(10, 1.0), (20, 2.0), (30, 0.5), (40, 3.0)] {
            let state = trainer.state_mut();
            state.made = made;
            if made == 30 {
                state.guard.judge(29, f64::NAN, 1.0).unwrap();
            }
            trainer.evaluated(loss);
            trainer.judged(Some(loss));
            folder.save(&trainer, &recipe, Some(loss)).unwrap();
        }
        let kept = folder.kept.list(Look::Content).unwrap();
        assert_eq!(kept.iter().map(|kept| kept.step).collect::<Vec<_>>(), [10, 20, 30, 40]);
        // Without a reason to go back to 20 it would not be kept, nor what was best there.
        trainer.state_mut().made = 150;
        trainer.judged(Some(3.0));
        folder.save(&trainer, &recipe, Some(3.0)).unwrap();
        let kept = folder.kept.list(Look::Sizes).unwrap();
        assert_eq!(kept.iter().map(|kept| kept.step).collect::<Vec<_>>(), [30, 150]);
    }
}
