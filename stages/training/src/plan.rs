//! What follows from a recipe: rates, how data is cut, what a longer training shares with a shorter one.
use crate::chance::draw;
use crate::data::StepSize;
use crate::recipe::{Recipe, Recompute};
use muse_model::config::Shape;
use muse_model::count::{Optimizer, States, Training};
use muse_model::optim::{OptimizerKind, StateKind};
use muse_model::pass;
use muse_model::schedule::ScheduleKind;

/// Tokens that go through the model at once where the page does not say.
const MICRO_TOKENS: u64 = 16_384;
/// What seeds of micro-batches are drawn for.
const DROPPED: u64 = 2;

impl Recipe {
    /// The learning rate of a step, the first being 0.
    pub fn rate(&self, step: u64) -> f64 {
        self.lr * self.schedule.rate(step, self.steps)
    }

    /// Whether an evaluation stands behind so many steps in any training, however long: what it finds goes into checkpoints.
    /// The one behind the last step is the result's alone, since a longer training has none there.
    pub fn evaluates(&self, made: u64) -> bool {
        made > 0 && made.is_multiple_of(self.eval_every.max(1))
    }

    /// Whether nothing but the next step comes behind so many steps: no evaluation, no checkpoint, no end.
    pub fn goes_on_at(&self, made: u64) -> bool {
        let kept = made.is_multiple_of(self.checkpoint_every.max(1)) || self.shared() == Some(made);
        made < self.steps && !kept && !self.evaluates(made)
    }

    /// Sequences of a step, where one has `context` tokens.
    pub fn sequences(&self, context: usize) -> u64 {
        let context = context.max(1) as u64;
        ((self.batch_tokens + context / 2) / context).max(1)
    }

    /// How sequences of `context` tokens become steps, where attention sees `window` of them and so many devices share them.
    pub fn step_size(&self, context: usize, window: Option<usize>, devices: usize) -> StepSize {
        let (sequences, devices) = (self.sequences(context), devices.max(1) as u64);
        let mut micro_batch = match self.micro_batch {
            Some(micro_batch) => micro_batch.clamp(1, sequences),
            None => {
                let most = (MICRO_TOKENS / context.max(1) as u64).max(1);
                // As few parts as will do, as many for each device, and these as even as they can be.
                sequences.div_ceil(sequences.div_ceil(most).next_multiple_of(devices).min(sequences))
            }
        };
        if sequences.div_ceil(micro_batch) < devices {
            micro_batch = (sequences / devices).max(1);
        }
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        StepSize { sequences: whole(sequences), micro_batch: whole(micro_batch), window }
    }

    /// The seed of a micro-batch of a step, both from 0: what is dropped in it.
    pub fn seed_of(&self, step: u64, micro_batch: u64) -> u64 {
        draw(draw(self.seed, DROPPED, step), DROPPED, micro_batch)
    }

    /// What the model keeps on its way forward.
    pub fn keeps(&self) -> pass::Recompute {
        match (self.recompute, self.offload) {
            (Recompute::None, _) => pass::Recompute::Nothing,
            (Recompute::Block, false) => pass::Recompute::Block,
            (Recompute::Block, true) => pass::Recompute::BlockOffloaded,
        }
    }

    /// How each of so many devices trains a model of this shape, as far as memory goes.
    pub fn training(&self, shape: &Shape, devices: usize) -> Training {
        let size = self.step_size(shape.context, None, devices);
        Training {
            micro_batch: size.micro_batch as u64,
            adds_up: size.micro_batches() > devices.max(1),
            optimizer: match self.optimizer.kind {
                OptimizerKind::Adamw => Optimizer::Adamw,
                OptimizerKind::Muon | OptimizerKind::Muonclip => Optimizer::Muon,
                OptimizerKind::Sgd => Optimizer::Sgd,
            },
            states: match self.optimizer.state {
                StateKind::F32 => States::F32,
                StateKind::Bf16 => States::Bf16,
                StateKind::Int8 => States::Int8,
            },
            precision: self.precision,
            recompute: self.recompute == Recompute::Block,
            offload: self.offload,
            lora: self.lora.as_ref().map(|lora| lora.count(shape)),
        }
    }

    /// How many steps a longer training has in common with this one, where it may go on from it at all: its rate must not
    /// have begun to fall. A checkpoint after so many steps belongs into the result.
    pub fn shared(&self) -> Option<u64> {
        let stays = matches!(self.schedule.kind, ScheduleKind::Wsd | ScheduleKind::Constant);
        let shared = self.schedule.stable_until(self.steps);
        (self.extendable && stays && shared > 0).then_some(shared)
    }

    /// The step from which this training may go on from the result of another one, which differs from it in its length alone.
    /// It must come past that step before its own rate falls, to keep a checkpoint for the next.
    pub fn extends(&self, old: &Self) -> Option<u64> {
        old.shared().filter(|shared| self.shared() > Some(*shared))
    }
}
