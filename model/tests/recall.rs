//! What heads that learn are for: a text that comes a second time is known, though no weight has changed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Mixer, Mixers, Model, Ttt, Views};
use muse_model::kernels::{NO_LABEL, Objective, Ops};
use muse_model::net::{Batch, Net, Setting, Weight};
use muse_model::optim::{Optimizer, OptimizerConfig};
use muse_model::pass::{Pass, Recompute, pass};

type B = Flex;

const VOCABULARY: usize = 32;
/// Tokens of a text, which stands in a sequence twice.
const TEXT: usize = 64;
/// Other tokens between, at most.
const BETWEEN: usize = 32;
const TOKENS: usize = 2 * TEXT + BETWEEN;
const SEQUENCES: usize = 16;

/// Attention lets a token know of the one before it, and heads that learn which token follows which.
fn model(rate: f64) -> Model {
    let mixers = Some(Mixers::try_from(vec![Mixer::Attention, Mixer::Ttt]).unwrap());
    let ttt = Some(Ttt { rate, views: Views::Three });
    Model { mixers, ttt, init_std: 0.1, ..Model::new(2, 64, 4, 64) }
}

/// Sequences of texts of chance, each twice with some tokens between, by which no place says what comes; and what is to be said of the second time alone.
fn batch(seed: u64) -> Batch<B> {
    let noise = Flex::noise(SEQUENCES * (TOKENS + 1), seed, &Default::default());
    let noise = noise.into_data().convert::<f32>().to_vec::<f32>().unwrap();
    let (mut ids, mut labels) = (Vec::new(), Vec::new());
    for noise in noise.chunks_exact(TOKENS + 1) {
        let mut row: Vec<i32> =
            noise[1..].iter().map(|x| ((x * VOCABULARY as f32) as i32).min(VOCABULARY as i32 - 1)).collect();
        let again = TEXT + (noise[0] * BETWEEN as f32) as usize;
        row.copy_within(..TEXT, again);
        let known = again..again + TEXT - 1;
        labels.extend((0..TOKENS).map(|at| if known.contains(&at) { row[at + 1] } else { NO_LABEL }));
        ids.extend(row);
    }
    Batch::plain(TOKENS, &ids, &labels, &Default::default())
}

/// A pass over what was made of `seed`.
fn passed(net: &Net<B>, seed: u64) -> Pass<B> {
    let setting = Setting::new(&model(1.0), TOKENS, DType::F32, &Default::default());
    let share = 1.0 / (SEQUENCES * (TEXT - 1)) as f64;
    pass(net, &batch(seed), &setting, &Objective::PLAIN, share, Recompute::Nothing, Onto::nothing())
}

fn new(rate: f64) -> Net<B> {
    let model = model(rate);
    Net::new(&model, &model.shape(VOCABULARY, TOKENS), 1, &Default::default())
}

#[test]
fn a_text_that_comes_again_is_known() {
    let weights = Weight::all(&model(1.0).shape(VOCABULARY, TOKENS));
    let mut optimizer =
        Optimizer::<B>::new(&OptimizerConfig::default(), weights, &Default::default()).unwrap();
    let mut net = new(1.0);
    for step in 1..=400 {
        let grads = passed(&net, step).grads;
        optimizer.begin(step, 5e-3, Tensor::ones([1], &Default::default()), grads);
        net = net.changed_together(|weights| optimizer.update(weights));
    }
    // The same weights in heads that make no steps.
    let flat = net.flat();
    let off = new(1e-9).changed(|at, weight| flat[at].clone().reshape(weight.dims()));
    let [on, off] = [net, off].map(|net| passed(&net, 10_001).loss.into_scalar());
    let chance = (VOCABULARY as f32).ln();
    assert!(on + 0.5 < off.min(chance), "{on} with learning, {off} without, {chance} by chance");
}
