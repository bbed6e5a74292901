//! The result of a training: the last weights, the best, and what a longer training goes on from.
use crate::folder::{EXTEND, Folder};
use crate::recipe::Recipe;
use crate::trainer::Trainer;
use muse_artifacts::checkpoint::{BEST, Checkpoint, CheckpointWriter, Facts};
use muse_model::kernels::Ops;
use muse_stage::{Context, StageError};
use std::fs;
use std::path::Path;

/// The loss by step, in the result.
const REPORT: &str = "report.json";

/// The factors by themselves, in the result, where factors were trained.
const ADAPTER: &str = "adapter";

pub(crate) fn write<B: Ops>(
    context: &mut Context,
    recipe: &Recipe,
    trainer: &Trainer<'_, B>,
    folder: &Folder,
) -> Result<(), StageError> {
    let out = context.output("checkpoint");
    let state = trainer.state();
    let last = state.evaluated.filter(|point| point.step == state.made);
    trainer.save(&out, last.map(|point| point.loss), false)?;
    trainer.save_adapter(&out.join(ADAPTER))?;
    if let Some(best) = state.best.filter(|best| best.step != state.made) {
        model_alone(&folder.best(best.step)?, &out.join(BEST))?;
    }
    if recipe.shared().is_some() {
        folder.hand_on(&out.join(EXTEND))?;
    }
    let told = [("loss", state.losses.last()), ("validation_loss", last.map(|point| point.loss))];
    told.into_iter().for_each(|(name, loss)| loss.into_iter().for_each(|loss| context.fact(name, loss)));
    let report = state.losses.report(&state.guard);
    let path = out.join(REPORT);
    let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(StageError::io(&path))
}

/// A checkpoint again, without what training needs to go on.
pub(crate) fn model_alone(from: &Checkpoint, to: &Path) -> Result<(), StageError> {
    let mut writer = CheckpointWriter::create(to)?;
    let tensors: Vec<_> = from.model().iter().cloned().collect();
    writer.model::<_, StageError>(&tensors, |tensor| Ok(from.model().read(&tensor.name)?))?;
    let about = from.about();
    writer.finish(Facts {
        config: about.config.clone(),
        tokenizer: about.tokenizer.clone(),
        step: about.step,
        tokens: about.tokens,
        figures: about.figures.clone(),
    })?;
    Ok(())
}
