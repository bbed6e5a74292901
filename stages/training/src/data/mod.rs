//! The data of a training: sequences in the order of a seed, as steps of equal size, each cut into micro-batches.
//!
//! A step is made whole before its first micro-batch, so that it is known how many tokens have a label: the loss is a mean
//! over all of them, however they are cut. Steps know nothing of each other; another thread may make them ahead.
mod held_out;
mod order;
mod rows;

#[cfg(test)]
pub(crate) mod tests;

pub use held_out::HeldOut;
pub use order::Order;
pub use rows::Rows;

use muse_artifacts::tokens::{IGNORED, Sequence, Split, Tokens};
use muse_stage::StageError;
use serde::{Deserialize, Serialize};

/// Where in the data a step begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// How often all sequences were taken.
    pub epoch: u64,
    /// How many were taken since.
    pub place: u64,
}

/// How sequences become steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSize {
    /// Sequences of a step.
    pub sequences: usize,
    /// Sequences that go through the model at once. The last micro-batch of a step may have fewer.
    pub micro_batch: usize,
    /// How many tokens attention sees, the one that asks counted; `None` where it sees all of its document.
    pub window: Option<usize>,
}

impl StepSize {
    /// How many micro-batches a step has.
    pub fn micro_batches(&self) -> usize {
        self.sequences.div_ceil(self.micro_batch.max(1))
    }
}

/// What is learned from, step by step and without an end.
pub struct Batches<'t> {
    tokens: &'t Tokens,
    order: Order,
    size: StepSize,
    cursor: Cursor,
}

impl<'t> Batches<'t> {
    /// Steps from the cursor on, in the order of the seed.
    pub fn new(tokens: &'t Tokens, seed: u64, size: StepSize, cursor: Cursor) -> Result<Self, StageError> {
        let order = Order::new(seed, tokens.sequences(Split::Train));
        if order.sequences() == 0 {
            return Err(StageError::new("there is nothing to learn from: all documents are held back")
                .help("write a smaller `validation` where the tokens are packed"));
        }
        if cursor.place >= order.sequences() {
            let said = format!(
                "a checkpoint goes on at sequence {} of an epoch, and there are {}: it is of other data",
                cursor.place,
                order.sequences()
            );
            return Err(StageError::new(said).help("take the data that it was trained on, or begin anew"));
        }
        Ok(Self { tokens, order, size, cursor })
    }

    /// Where the next step begins: what a checkpoint keeps.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next step begins there.
    pub fn go_to(&mut self, cursor: Cursor) {
        self.cursor = cursor;
    }

    /// The next step. An epoch may end within it, and the next begins there.
    pub fn step(&mut self) -> Result<Step, StageError> {
        let mut cursor = self.cursor;
        let mut sequences = Vec::with_capacity(self.size.sequences);
        while sequences.len() < self.size.sequences {
            match self.order.at(cursor.epoch, cursor.place) {
                Some(number) => {
                    sequences.push(self.tokens.sequence(Split::Train, number)?);
                    cursor.place += 1;
                }
                None => cursor = Cursor { epoch: cursor.epoch + 1, place: 0 },
            }
        }
        if cursor.place == self.order.sequences() {
            cursor = Cursor { epoch: cursor.epoch + 1, place: 0 };
        }
        self.cursor = cursor;
        Ok(Step::new(sequences, self.size))
    }
}

/// The data of one step of the optimizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    sequences: Vec<Sequence>,
    size: StepSize,
    labels: u64,
}

impl Step {
    fn new(sequences: Vec<Sequence>, size: StepSize) -> Self {
        let labels = sequences.iter().map(labels).sum();
        Self { sequences, size, labels }
    }

    /// How many tokens have a label, in all micro-batches.
    pub fn labels(&self) -> u64 {
        self.labels
    }

    /// What the loss of one token counts: added up over the micro-batches this is the mean of the step. 0 where no token has
    /// a label.
    pub fn share(&self) -> f64 {
        if self.labels == 0 { 0.0 } else { 1.0 / self.labels as f64 }
    }

    /// What each of its tokens counts where all count as much.
    pub fn of_a_row(&self) -> f64 {
        1.0 / self.tokens().max(1) as f64
    }

    /// How many tokens it has, those too that fill up.
    pub fn tokens(&self) -> u64 {
        self.sequences.iter().map(|sequence| sequence.inputs().len() as u64).sum()
    }

    /// Its sequences, some at a time.
    pub fn micro_batches(&self) -> impl ExactSizeIterator<Item = Rows> + '_ {
        self.share_of(0, 1).map(|(_, rows)| rows)
    }

    /// Those micro-batches that are `rank`'s of so many devices, each with its number in the step.
    pub fn share_of(&self, rank: usize, devices: usize) -> impl ExactSizeIterator<Item = (u64, Rows)> + '_ {
        let all = self.sequences.chunks(self.size.micro_batch.max(1)).enumerate();
        all.skip(rank)
            .step_by(devices.max(1))
            .map(|(number, sequences)| (number as u64, Rows::new(sequences, self.size.window)))
    }
}

/// How many positions have a label.
fn labels(sequence: &Sequence) -> u64 {
    sequence.labels().iter().filter(|label| **label != IGNORED).count() as u64
}
