//! What follows from a recipe.
use crate::Recipe;
use crate::data::StepSize;
use crate::recipe::Recompute;
use muse_model::config::{Linear, Model, Round};
use muse_model::count::Precision;
use muse_model::lora::LoraConfig;
use muse_model::loss::Loss;
use muse_model::optim::OptimizerConfig;
use muse_model::schedule::{Schedule, ScheduleKind};
use proptest::prelude::*;

/// A thousand steps by what most have.
pub(crate) fn recipe() -> Recipe {
    Recipe {
        steps: 1000,
        extendable: true,
        batch_tokens: 32_768,
        micro_batch: None,
        optimizer: OptimizerConfig::default(),
        lr: 6e-4,
        schedule: Schedule::default(),
        loss: Loss::default(),
        clip: 1.0,
        precision: Precision::F32,
        recompute: Recompute::None,
        offload: false,
        eval_every: 250,
        eval_tokens: 1_000_000,
        checkpoint_every: 1000,
        keep_last: 2,
        seed: 0,
        lora: None,
    }
}

#[test]
fn data_is_cut_into_whole_sequences() {
    let size = |change: fn(&mut Recipe), context| {
        let mut recipe = recipe();
        change(&mut recipe);
        let StepSize { sequences, micro_batch, .. } = recipe.step_size(context, None, 1);
        (sequences, micro_batch)
    };
    assert_eq!(size(|_| (), 1024), (32, 16));
    assert_eq!(size(|_| (), 32_768), (1, 1));
    assert_eq!(size(|r| r.batch_tokens = 500_000, 2048), (244, 8), "to the nearest");
    assert_eq!(size(|r| r.batch_tokens = 768, 64), (12, 12));
    // 33 at once would be too many: 17 and 16, and not 32 and 1.
    assert_eq!(size(|r| r.batch_tokens = 33 * 512, 512), (33, 17));
    assert_eq!(size(|r| r.micro_batch = Some(5), 1024), (32, 5));
    assert_eq!(size(|r| r.micro_batch = Some(1000), 1024), (32, 32));
    assert_eq!(recipe().step_size(64, Some(9), 1).window, Some(9));
}

#[test]
fn rates_and_evaluations_go_by_steps() {
    let schedule = Schedule { warmup: 2.0, ..Schedule::default() };
    let recipe = Recipe { steps: 10, lr: 0.5, schedule, eval_every: 4, ..recipe() };
    let rates: Vec<f64> = (0..10).map(|step| recipe.rate(step)).collect();
    assert_eq!(rates, [0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]);
    let evaluated: Vec<u64> = (0..=10).filter(|made| recipe.evaluates(*made)).collect();
    assert_eq!(evaluated, [4, 8]);
}

#[test]
fn every_micro_batch_has_a_seed_of_its_own() {
    let seeds = |recipe: Recipe| -> Vec<u64> {
        (0..100)
            .flat_map(|step| (0..8).map(move |micro| (step, micro)))
            .map(|(s, m)| recipe.seed_of(s, m))
            .collect()
    };
    let mut all = [seeds(recipe()), seeds(Recipe { seed: 1, ..recipe() })].concat();
    assert_eq!(all[0], 4_581_244_788_904_762_502, "it is part of every result with dropout");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 1600);
}

#[test]
fn a_longer_training_goes_on_where_the_rate_has_not_begun_to_fall() {
    let step = |schedule: &Schedule, new: u64, old: u64| {
        let of = |steps| Recipe { steps, schedule: schedule.clone(), ..recipe() };
        of(new).extends(&of(old))
    };
    let kind = |kind| Schedule { kind, ..Schedule::default() };
    let wsd = Schedule::default();
    assert_eq!(step(&wsd, 2000, 1000), Some(800));
    assert_eq!(step(&wsd, 500, 1000), None, "a shorter one");
    assert_eq!(step(&wsd, 1003, 1002), None, "its rate falls from the same step on");
    assert_eq!(step(&kind(ScheduleKind::Constant), 2000, 1000), Some(1000));
    assert_eq!(step(&kind(ScheduleKind::Cosine), 2000, 1000), None);
    assert_eq!(step(&Schedule { warmup: 0.1, ..wsd.clone() }, 2000, 1000), None, "another warmup");
    assert_eq!(step(&wsd, 2000, 100), None, "a warmup that was cut");
    let fixed = Recipe { extendable: false, ..recipe() };
    assert_eq!((fixed.shared(), recipe().shared()), (None, Some(800)));
}

#[test]
fn factors_beside_matrices_that_are_not_as_they_stand_are_refused() {
    let lora = LoraConfig { rank: 4, alpha: None, targets: None };
    let recipe = Recipe { lora: Some(lora), ..recipe() };
    let whole = Model::new(2, 16, 2, 24);
    assert!(recipe.check(Some(&whole)).is_ok());
    for (low_rank, round) in [(Some(4), None), (None, Some(Round::Ternary))] {
        let error = recipe.check(Some(&Model { linear: Some(Linear { low_rank, round }), ..whole.clone() }));
        assert_eq!(error.unwrap_err().pointer, "/lora");
    }
}

proptest! {
    #[test]
    fn micro_batches_are_few_and_even(batch in 1_u64..1_000_000, context in 1_usize..40_000) {
        let StepSize { sequences, micro_batch, .. } = Recipe { batch_tokens: batch, ..recipe() }.step_size(context, None, 1);
        prop_assert!((1..=sequences).contains(&micro_batch));
        prop_assert!(micro_batch == 1 || micro_batch * context <= 16_384);
        let parts = sequences.div_ceil(micro_batch);
        prop_assert_eq!(parts, sequences.div_ceil((16_384 / context).max(1)));
        let last = sequences - (parts - 1) * micro_batch;
        prop_assert!(micro_batch - last < parts);
        let off = (sequences * context).abs_diff(batch as usize);
        prop_assert!(off * 2 <= context || sequences == 1);
    }
}

proptest! {
    /// Each micro-batch of a step is one device's, and no device has two more than another.
    #[test]
    fn devices_share_a_step(
        sequences in 1_usize..200,
        devices in 1_usize..9,
        micro_batch in prop::option::of(1_u64..60),
    ) {
        let recipe = Recipe { batch_tokens: 8 * sequences as u64, micro_batch, ..recipe() };
        let size = recipe.step_size(8, None, devices);
        prop_assert_eq!((size.sequences, size.micro_batch > 0), (sequences, true));
        let share = |rank: usize| (rank..size.micro_batches()).step_by(devices).count();
        let shares: Vec<usize> = (0..devices).map(share).collect();
        prop_assert_eq!(shares.iter().sum::<usize>(), size.micro_batches());
        prop_assert!(shares[0] - shares[devices - 1] <= 1);
        prop_assert_eq!(shares[devices - 1] > 0, sequences >= devices);
        prop_assert_eq!(recipe.check_devices(8, devices).is_ok(), sequences >= devices);
        if let Some(micro_batch) = micro_batch {
            prop_assert!(size.micro_batch as u64 <= micro_batch, "memory was reckoned for that");
        }
        if devices == 1 {
            let one = recipe.micro_batch.unwrap_or(sequences as u64).min(sequences as u64);
            prop_assert_eq!(size.micro_batch as u64, one);
        }
    }
}
