//! A training into a checkpoint and back from one.
use super::{Trainer, optimizer};
use crate::data::Batches;
use crate::state::{self, Numbers, State, Unfit};
use burn::prelude::*;
use burn::tensor::DType;
use muse_artifacts::checkpoint::{Checkpoint, CheckpointWriter, Facts, Tensors};
use muse_model::kernels::Ops;
use muse_model::lora::Lora;
use muse_model::net::Weight;
use muse_model::optim::StateTensor;
use muse_stage::StageError;
use std::path::Path;

impl<B: Ops> Trainer<'_, B> {
    /// Writes a checkpoint at `folder`; with what training needs to go on, or as a model alone.
    pub(crate) fn save(
        &self,
        folder: &Path,
        validation: Option<f64>,
        to_go_on: bool,
    ) -> Result<(), StageError> {
        let mut writer = CheckpointWriter::create(folder)?;
        let flat = self.net().flat();
        let layout: Vec<_> =
            self.weights.iter().zip(&flat).map(|(w, x)| state::tensor(w, x.dtype())).collect();
        writer.model::<_, StageError>(&layout, |tensor| {
            let at = self.weights.iter().position(|weight| weight.name == tensor.name);
            let at = at.ok_or_else(|| StageError::new(format!("there is no weight {}", tensor.name)))?;
            let weight = flat[at].clone();
            let acts = match &self.lora {
                Some(lora) => lora.merged(at, weight),
                None => weight,
            };
            Ok(Numbers(acts.into_data()))
        })?;
        if to_go_on {
            let (remembered, factors) = (self.optimizer.layout(), self.factors());
            let mut layout: Vec<_> = remembered.iter().map(state::state_tensor).collect();
            layout.extend(factors.iter().map(|(name, x)| state::tensor(name, x.dtype())));
            writer.optimizer::<_, StageError>(&layout, |tensor| {
                if let Some((_, x)) = factors.iter().find(|(weight, _)| weight.name == tensor.name) {
                    return Ok(Numbers(x.to_data()));
                }
                let one = remembered.iter().find(|one| one.name == tensor.name);
                let one = one.ok_or_else(|| StageError::new(format!("there is no state {}", tensor.name)))?;
                Ok(Numbers(self.optimizer.state(one)))
            })?;
            writer.state(&self.state.to_json())?;
        }
        // What was not done to them would be missing in what was read.
        self.checked()?;
        let figures = [("loss", self.state.losses.last()), ("validation_loss", validation)];
        let figures = figures.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?)));
        writer.finish(Facts {
            config: state::config(&self.model),
            tokenizer: Some(self.training.tokens.meta().tokenizer.clone()),
            step: self.state.made,
            tokens: self.state.tokens,
            figures: figures.collect(),
        })?;
        Ok(())
    }

    /// Goes on from a checkpoint that [`Trainer::save`] wrote to go on from.
    pub(crate) fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), StageError> {
        let state = State::of(checkpoint)?;
        let remembered = checkpoint.optimizer().ok_or_else(|| {
            let folder = checkpoint.folder().display();
            StageError::new(format!("{folder}: no training goes on from it: there is no optimizer in it"))
        })?;
        // The weights beside which factors stand are those that it began with, and never change.
        match self.lora.take() {
            Some(lora) => self.lora = Some(self.with_factors(lora, remembered)?),
            None => self.take_weights(checkpoint)?,
        }
        let read = |tensor: &StateTensor| state::read(remembered, &tensor.name).map_err(Unfit);
        self.optimizer.load(read).map_err(|unfit| unfit.0)?;
        self.batches =
            Batches::new(self.training.tokens, self.training.recipe.seed, self.size, state.cursor)?;
        self.state = state;
        self.asked.clear();
        self.clip.go_on();
        Ok(())
    }

    /// The factors by name; nothing where none are trained.
    pub(super) fn factors(&self) -> Vec<(&Weight, Tensor<B, 1>)> {
        self.lora.iter().flat_map(|lora| lora.names().iter().zip(lora.flat())).collect()
    }

    /// Factors with the numbers of a checkpoint.
    fn with_factors(&self, lora: Lora<B>, from: &Tensors) -> Result<Lora<B>, StageError> {
        let names = self.training.recipe.changes(&self.shape);
        let read = names.iter().map(|weight| state::read_weight(from, weight));
        let mut numbers = read.collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok(lora.changed(|_, old| match numbers.next() {
            Some(data) => Tensor::from_data(data, (&self.device, old.dtype())),
            None => old,
        }))
    }

    /// Goes back to a checkpoint, or to the start, but keeps the guard, which remembers why.
    pub(crate) fn go_back(&mut self, to: Option<&Checkpoint>) -> Result<(), StageError> {
        let guard = self.state.guard.clone();
        match to {
            Some(checkpoint) => self.load(checkpoint)?,
            None => self.begin_anew()?,
        }
        self.state.guard = guard;
        Ok(())
    }

    /// Back to the start, with nothing remembered.
    pub(crate) fn begin_anew(&mut self) -> Result<(), StageError> {
        // What there was goes first: the device may have no room for both.
        (self.net, self.lora) = (None, None);
        self.optimizer = optimizer(self.training.recipe, Vec::new(), &self.device)?;
        *self = Self::new(self.training, self.device.clone(), self.member.clone())?;
        Ok(())
    }

    /// Takes over the weights of a checkpoint, which must be of a model of the same sizes.
    pub(super) fn take_weights(&mut self, checkpoint: &Checkpoint) -> Result<(), StageError> {
        let mut failed = None;
        let (weights, device) = (&self.weights, &self.device);
        self.net = self.net.take().map(|net| {
            net.changed(|at, old| match state::read_weight(checkpoint.model(), &weights[at]) {
                Ok(data) => {
                    let new = Tensor::<B, 1>::from_data(data, (device, DType::F32));
                    if old.dtype() == DType::F32 { new } else { new.cast(old.dtype()) }
                }
                Err(error) => {
                    failed.get_or_insert(error);
                    old
                }
            })
        });
        failed.map_or(Ok(()), Err)
    }
}
