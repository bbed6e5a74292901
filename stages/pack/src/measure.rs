//! What can be said of packed tokens by looking at them, whoever packed them.
use muse_artifacts::tokens::{Split, Tokens};
use muse_stage::{Context, StageError};

/// So many neighbours are looked at together for balance, as if each were on a device of its own.
const DEVICES: usize = 8;
/// How often, in sequences, to look whether to stop.
const LOOK_EVERY: u64 = 1 << 12;

/// Figures of one side.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Measure {
    /// Positions with a label.
    pub(crate) carry_loss: u64,
    /// Tokens of the longest document.
    pub(crate) longest: u64,
    /// Documents that stand in more than one sequence.
    pub(crate) cut: u64,
    /// Those of them that are no longer than a sequence.
    pub(crate) cut_though_they_fit: u64,
    /// The share of time that devices wait for the slowest where each takes one of eight neighbours, by the cost of
    /// attention: the square of each document's part, summed.
    pub(crate) imbalance: f64,
}

impl Measure {
    pub(crate) fn of(context: &Context, tokens: &Tokens, split: Split) -> Result<Self, StageError> {
        let mut measure = Self { carry_loss: tokens.carry_loss(split), ..Self::default() };
        let length = u64::from(tokens.meta().context);
        let (mut costs, mut waits, mut batches) = (Vec::with_capacity(DEVICES), 0.0, 0_u64);
        for number in 0..tokens.sequences(split) {
            if number % LOOK_EVERY == 0 {
                context.go_on()?;
            }
            let mut cost = 0.0;
            for (segment, whole) in tokens.segments(split, number)? {
                cost += (segment.length as f64).powi(2);
                measure.longest = measure.longest.max(whole);
                // A document's first part stands for all of them.
                let parted = segment.offset == 0 && (segment.length as u64) < whole;
                measure.cut += u64::from(parted);
                measure.cut_though_they_fit += u64::from(parted && whole <= length);
            }
            costs.push(cost);
            if costs.len() == DEVICES {
                let most = costs.iter().copied().fold(1.0, f64::max);
                waits += costs.iter().map(|cost| most - cost).sum::<f64>() / (most * DEVICES as f64);
                batches += 1;
                costs.clear();
            }
        }
        measure.imbalance = if batches > 0 { waits / batches as f64 } else { 0.0 };
        Ok(measure)
    }
}

/// Six digits are enough for people, and the same on every machine.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
