//! Sequences as the model takes them: flat columns of numbers, one sequence behind the other.
use super::labels;
use muse_artifacts::tokens::{IGNORED, Sequence};

/// Sequences of one length. Each column has a number for every token of every sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// How many tokens a sequence has.
    pub context: usize,
    /// The tokens.
    pub ids: Vec<i32>,
    /// What comes next, or `muse_artifacts::tokens::IGNORED`.
    pub labels: Vec<i32>,
    /// The place of each token in its document, as far as that stands in the sequence.
    pub positions: Vec<i32>,
    /// The first token of the sequence that each one sees: where its document begins, or where the window does.
    pub starts: Vec<i32>,
    /// How many tokens have a label.
    pub labelled: u64,
}

impl Rows {
    /// The columns of sequences of which attention sees `window` tokens.
    pub(super) fn new(sequences: &[Sequence], window: Option<usize>) -> Self {
        let context = sequences.first().map_or(0, |sequence| sequence.inputs().len());
        let column = || Vec::with_capacity(sequences.len() * context);
        let (ids, labels_, positions, starts) = (column(), column(), column(), column());
        let mut rows = Self { context, ids, labels: labels_, positions, starts, labelled: 0 };
        // The one that asks is one of those that are seen.
        let back = window.map_or(i32::MAX, |window| number(window.saturating_sub(1)));
        for sequence in sequences {
            // No vocabulary and no context is larger than what fits: whoever opens packed tokens looks.
            rows.ids.extend(sequence.inputs().iter().map(|id| *id as i32));
            rows.labels.extend(sequence.labels());
            let positions = sequence.positions().into_iter().map(|position| position as i32);
            rows.starts.extend(
                (0..).zip(positions.clone()).map(|(at, position): (i32, i32)| at - position.min(back)),
            );
            rows.positions.extend(positions);
            rows.labelled += labels(sequence);
        }
        rows
    }

    /// Filled up to so many sequences with copies of the last, from which nothing is learned: batches of one size use the same
    /// memory again.
    #[must_use]
    pub fn filled_up(mut self, sequences: usize) -> Self {
        let last = self.ids.len().saturating_sub(self.context);
        for _ in self.sequences()..if self.ids.is_empty() { 0 } else { sequences } {
            for column in [&mut self.ids, &mut self.positions, &mut self.starts] {
                column.extend_from_within(last..last + self.context);
            }
            self.labels.extend(std::iter::repeat_n(IGNORED, self.context));
        }
        self
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> usize {
        self.ids.len() / self.context.max(1)
    }

    /// Tokens, labels, positions and starts, in the order in which a batch of the model takes them.
    pub fn columns(&self) -> [&[i32]; 4] {
        [&self.ids, &self.labels, &self.positions, &self.starts]
    }
}

fn number(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
