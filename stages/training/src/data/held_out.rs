//! What is held back to evaluate on: always the same sequences in the same order.
use super::{Rows, StepSize};
use muse_artifacts::tokens::{Split, Tokens};
use muse_stage::StageError;

/// The sequences that an evaluation takes.
pub struct HeldOut<'t> {
    tokens: &'t Tokens,
    size: StepSize,
    all: u64,
    taken: u64,
}

impl<'t> HeldOut<'t> {
    /// As many whole sequences as `most` tokens have room for, one at least, spread evenly over what is held back.
    pub fn new(tokens: &'t Tokens, size: StepSize, most: u64) -> Self {
        let all = tokens.sequences(Split::Validation);
        let room = most / u64::from(tokens.meta().context);
        Self { tokens, size, all, taken: all.min(room.max(1)) }
    }

    /// Nothing is held back.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// How many sequences it takes.
    pub fn sequences(&self) -> u64 {
        self.taken
    }

    /// Them, some at a time.
    pub fn batches(&self) -> impl Iterator<Item = Result<Rows, StageError>> + '_ {
        self.share_of(0, 1)
    }

    /// Those batches that are `rank`'s of so many devices.
    pub fn share_of(
        &self,
        rank: usize,
        devices: usize,
    ) -> impl Iterator<Item = Result<Rows, StageError>> + '_ {
        let step = self.size.micro_batch.max(1);
        (0..self.taken).step_by(step).skip(rank).step_by(devices.max(1)).map(move |first| {
            let last = self.taken.min(first + step as u64);
            let sequence = |at| self.tokens.sequence(Split::Validation, self.number(at));
            let sequences = (first..last).map(sequence).collect::<Result<Vec<_>, _>>()?;
            Ok(Rows::new(&sequences, self.size.window))
        })
    }

    pub(super) fn number(&self, at: u64) -> u64 {
        // Below `all`, so it fits again.
        (u128::from(at) * u128::from(self.all) / u128::from(self.taken)) as u64
    }
}
