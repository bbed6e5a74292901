//! How a training fits into memory: the fewest sacrifices that do. All memory is counted by the planner of `muse params`.
use crate::commands::init::choices::Precision;
use muse_stages::budget::{Cost, Device, Model, Optimizer, States, Training};

/// More tokens at once do not make it faster.
const MOST_AT_ONCE: u64 = 16_384;
/// With fewer, what saves memory costs less than small portions do.
const ENOUGH_AT_ONCE: u64 = 2_048;

/// What is to be fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) model: &'a Model,
    pub(crate) context: u64,
    /// Tokens of a step.
    pub(crate) batch_tokens: u64,
    pub(crate) precision: Precision,
    /// Sequences at once, where they are not to be chosen.
    pub(crate) micro_batch: Option<u64>,
    /// The optimizer's numbers are in f32, whatever that takes.
    pub(crate) exact: bool,
    pub(crate) on_gpu: bool,
    /// The memory that it may take.
    pub(crate) memory: u64,
}

/// A way to train, and what it costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    /// Sequences at once.
    pub(crate) micro_batch: u64,
    /// Blocks are computed a second time for their backward.
    pub(crate) recompute: bool,
    /// The optimizer's numbers take a byte each.
    pub(crate) int8: bool,
    /// What it costs.
    pub(crate) cost: Cost,
    /// It takes no more than it may.
    pub(crate) fits: bool,
}

impl Asked<'_> {
    /// The way with the fewest sacrifices that fits; the thriftiest, where none does.
    pub(crate) fn fit(&self) -> Fit {
        let sequences = ((self.batch_tokens + self.context / 2) / self.context.max(1)).max(1);
        let most = match self.micro_batch {
            Some(micro_batch) => micro_batch.clamp(1, sequences),
            None => (MOST_AT_ONCE / self.context.max(1)).clamp(1, sequences),
        };
        let least = if self.micro_batch.is_some() { most } else { 1 };
        let ways = [(false, false), (true, false), (true, true)];
        let ways = ways.into_iter().filter(|(_, int8)| !(*int8 && self.exact));
        let halves =
            || std::iter::successors(Some(most), |half| Some(half / 2)).take_while(|half| *half >= least);
        let all = ways.flat_map(|(recompute, int8)| halves().map(move |micro| (micro, recompute, int8)));
        let all: Vec<Fit> =
            all.map(|(micro, recompute, int8)| self.way(micro, recompute, int8, sequences)).collect();
        let enough = |fit: &&Fit| {
            fit.fits
                && (fit.micro_batch == most || fit.micro_batch.saturating_mul(self.context) >= ENOUGH_AT_ONCE)
        };
        let found = all.iter().find(enough).or_else(|| all.iter().find(|fit| fit.fits)).or(all.last());
        found.copied().unwrap_or_else(|| self.way(1, true, !self.exact, sequences))
    }

    fn way(&self, micro_batch: u64, recompute: bool, int8: bool, sequences: u64) -> Fit {
        let training = Training {
            micro_batch,
            adds_up: micro_batch < sequences,
            optimizer: Optimizer::Adamw,
            states: if int8 { States::Int8 } else { States::F32 },
            precision: self.precision.into(),
            recompute,
            offload: false,
            lora: None,
        };
        let device = if self.on_gpu { Device::Gpu } else { Device::Cpu };
        let context = usize::try_from(self.context).unwrap_or(usize::MAX);
        let cost = Cost::of(&self.model.shape(1, context), &training, device);
        Fit { micro_batch, recompute, int8, cost, fits: cost.training.total <= self.memory }
    }
}

impl Fit {
    /// Operations for a token in a training.
    pub(crate) fn operations(&self) -> f64 {
        let flops = self.cost.flops_per_token;
        let operations = if self.recompute { flops.training_with_recompute } else { flops.training };
        (operations as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::init::sizes::Sized;

    fn fit(memory: u64, change: impl FnOnce(&mut Asked<'_>)) -> Fit {
        let sized = Sized::shipped("125m").unwrap();
        let mut asked = Asked {
            model: &sized.model,
            context: 1024,
            batch_tokens: 1 << 19,
            precision: Precision::Bf16,
            micro_batch: None,
            exact: false,
            on_gpu: true,
            memory,
        };
        change(&mut asked);
        asked.fit()
    }

    #[test]
    fn what_costs_least_goes_first() {
        let plenty = fit(80 << 30, |_| ());
        assert_eq!(
            (plenty.micro_batch, plenty.recompute, plenty.int8, plenty.fits),
            (16, false, false, true)
        );
        let mut ways = Vec::new();
        for memory in (1..=40).rev().map(|quarters| quarters << 28) {
            let fit = fit(memory, |_| ());
            assert!(!fit.fits || fit.cost.training.total <= memory);
            let way = (fit.recompute, fit.int8, fit.fits);
            if ways.last() != Some(&way) {
                ways.push(way);
            }
        }
        assert_eq!(
            ways,
            [(false, false, true), (true, false, true), (true, true, true), (true, true, false)]
        );
    }

    #[test]
    fn what_is_said_stays() {
        let said = fit(80 << 30, |asked| asked.micro_batch = Some(3));
        assert_eq!((said.micro_batch, said.recompute), (3, false));
        let short = fit(1 << 30, |asked| (asked.micro_batch, asked.exact) = (Some(8), true));
        assert_eq!((short.micro_batch, short.recompute, short.int8, short.fits), (8, true, false, false));
        assert_eq!(fit(80 << 30, |asked| asked.batch_tokens = 1).micro_batch, 1);
    }
}
