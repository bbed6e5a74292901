//! What must hold of any model: who sees whom, names and sizes, starts, dropout, half precision, accumulation.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::Model;
use muse_model::kernels::{NO_LABEL, Objective};
use muse_model::net::{Batch, Dropped, Net, Setting, Weight};
use muse_model::pass::{Pass, Recompute, pass};

type B = Flex;

const VOCABULARY: usize = 50;
const TOKENS: usize = 12;

fn model() -> Model {
    let mut model = Model::new(2, 32, 4, 48);
    model.kv_heads = Some(2);
    // Large, so that every path through the model counts.
    model.init_std = 0.3;
    model
}

fn net(model: &Model) -> Net<B> {
    Net::new(model, &model.shape(VOCABULARY, TOKENS), 1, &Default::default())
}

fn setting(model: &Model, dtype: DType) -> Setting<B> {
    Setting::new(model, TOKENS, dtype, &Default::default())
}

fn ids(rows: usize) -> Vec<i32> {
    (0..rows * TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect()
}

fn numbers<const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().convert::<f32>().to_vec().unwrap()
}

/// Logits of one sequence, row by row.
fn logits(model: &Model, ids: &[i32], documents: &[usize]) -> Vec<Vec<f32>> {
    let positions: Vec<i32> = documents.iter().flat_map(|length| 0..*length as i32).collect();
    let window = model.window.unwrap_or(TOKENS) as i32;
    let starts: Vec<i32> = (0..).zip(&positions).map(|(at, place)| at - (*place).min(window - 1)).collect();
    let batch = Batch::new(TOKENS, [ids, ids, &positions, &starts], &Default::default());
    let all = numbers(net(model).logits(&batch, &setting(model, DType::F32)));
    all.chunks(VOCABULARY).map(<[f32]>::to_vec).collect()
}

/// The rows whose logits differ after the token at `at` was changed.
fn moved(model: &Model, at: usize, documents: &[usize]) -> Vec<usize> {
    let before = ids(1);
    let mut after = before.clone();
    after[at] = (after[at] + 1) % VOCABULARY as i32;
    let (before, after) = (logits(model, &before, documents), logits(model, &after, documents));
    (0..TOKENS).filter(|row| before[*row] != after[*row]).collect()
}

#[test]
fn no_token_sees_what_comes_after_it() {
    for at in 0..TOKENS {
        assert_eq!(moved(&model(), at, &[TOKENS]), (at..TOKENS).collect::<Vec<_>>());
    }
}

#[test]
fn no_document_sees_another() {
    for at in 0..TOKENS {
        let own = if at < 5 { at..5 } else { at..TOKENS };
        assert_eq!(moved(&model(), at, &[5, TOKENS - 5]), own.collect::<Vec<_>>());
    }
}

#[test]
fn a_window_ends_what_is_seen() {
    let mut model = model();
    (model.window, model.layers) = (Some(3), 1);
    assert_eq!(moved(&model, 4, &[TOKENS]), [4, 5, 6]);
    model.layers = 2;
    assert_eq!(moved(&model, 4, &[TOKENS]), [4, 5, 6, 7, 8], "two blocks hand it on");
}

#[test]
fn weights_have_the_sizes_that_are_counted() {
    for (tied, qk_norm) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut model = model();
        (model.tied, model.qk_norm, model.head_width) = (tied, qk_norm, Some(10));
        let shape = model.shape(VOCABULARY, TOKENS);
        let weights = Weight::all(&shape);
        let net = net(&model);
        let lengths: Vec<usize> = net.flat().iter().map(|weight| weight.dims()[0]).collect();
        assert_eq!(lengths, weights.iter().map(Weight::len).collect::<Vec<_>>());
        assert_eq!(net.num_params(), weights.iter().map(Weight::len).sum::<usize>());
        assert_eq!(net.num_params() as u64, muse_model::count::Parameters::of(&shape).total());
    }
}

#[test]
fn a_start_depends_on_the_seed_alone() {
    let start = |seed| {
        let model = model();
        let net = Net::<B>::new(&model, &model.shape(VOCABULARY, TOKENS), seed, &Default::default());
        net.flat().into_iter().map(numbers).collect::<Vec<_>>()
    };
    assert_eq!(start(1), start(1));
    let (one, two) = (start(1), start(2));
    let weights = Weight::all(&model().shape(VOCABULARY, TOKENS));
    for ((one, two), weight) in one.iter().zip(&two).zip(&weights) {
        assert_eq!(one == two, weight.name.contains("norm"), "{}", weight.name);
    }
}

#[test]
fn logits_that_are_all_alike_cost_the_logarithm_of_the_vocabulary() {
    let mut model = model();
    model.init_std = 0.0;
    let labels = ids(2);
    let batch = Batch::plain(TOKENS, &ids(2), &labels, &Default::default());
    let loss =
        net(&model).loss(&batch, &setting(&model, DType::F32), &Objective::PLAIN, 1.0 / labels.len() as f64);
    let loss = numbers(loss.loss)[0];
    assert!((loss - (VOCABULARY as f32).ln()).abs() < 1e-5, "{loss}");
}

fn run(model: &Model, ids: &[i32], labels: &[i32], share: f64, dtype: DType, dropped: Dropped) -> Pass<B> {
    let batch = Batch::plain(TOKENS, ids, labels, &Default::default());
    let setting = Setting { dropped, ..setting(model, dtype) };
    pass(&net(model), &batch, &setting, &Objective::PLAIN, share, Recompute::Nothing, Onto::nothing())
}

#[test]
fn small_batches_add_up_to_the_large_one() {
    let model = model();
    let (all, mut labels) = (ids(4), ids(4));
    // The parts have different numbers of labels.
    labels[..TOKENS].fill(NO_LABEL);
    let share = 1.0 / (3 * TOKENS) as f64;
    let whole = run(&model, &all, &labels, share, DType::F32, Dropped::NOTHING);
    let parts: Vec<Pass<B>> = (0..2)
        .map(|part| {
            let half = part * 2 * TOKENS..(part + 1) * 2 * TOKENS;
            run(&model, &all[half.clone()], &labels[half], share, DType::F32, Dropped::NOTHING)
        })
        .collect();
    let loss: f32 = parts.iter().map(|part| numbers(part.loss.clone())[0]).sum();
    assert!((loss - numbers(whole.loss)[0]).abs() < 1e-5);
    for (at, grad) in whole.grads.into_iter().enumerate() {
        let sum = parts[0].grads[at].clone() + parts[1].grads[at].clone();
        let apart: f32 = numbers(sum - grad.clone()).iter().fold(0.0, |most, x| most.max(x.abs()));
        let size: f32 = numbers(grad).iter().fold(1e-3, |most, x| most.max(x.abs()));
        assert!(apart < 1e-5 * size, "weight {at}: {apart} of {size}");
    }
}

#[test]
fn dropout_changes_with_its_seed_and_recompute_drops_the_same() {
    let model = model();
    let ids = ids(2);
    let loss = |rate, attention, seed, recompute| {
        let batch = Batch::plain(TOKENS, &ids, &ids, &Default::default());
        let setting = Setting { dropped: Dropped { rate, attention, seed }, ..setting(&model, DType::F32) };
        let passed =
            pass(&net(&model), &batch, &setting, &Objective::PLAIN, 0.01, recompute, Onto::nothing());
        (numbers(passed.loss), passed.grads.into_iter().map(numbers).collect::<Vec<_>>())
    };
    for (rate, attention) in [(0.2, 0.0), (0.0, 0.2), (0.1, 0.3)] {
        let loss = |seed, recompute| loss(rate, attention, seed, recompute);
        let one = loss(1, Recompute::Nothing);
        assert_ne!(one.0, loss(2, Recompute::Nothing).0);
        assert_eq!(one, loss(1, Recompute::Nothing));
        assert_eq!(one, loss(1, Recompute::Block));
        assert_eq!(one, loss(1, Recompute::BlockOffloaded));
    }
}

#[test]
fn half_precision_is_near_to_full() {
    let model = model();
    let ids = ids(2);
    let run = |dtype| run(&model, &ids, &ids, 1.0 / 24.0, dtype, Dropped::NOTHING);
    let (full, half) = (run(DType::F32), run(DType::BF16));
    let (one, other) = (numbers(full.loss)[0], numbers(half.loss)[0]);
    assert!((one - other).abs() < 0.03 * one, "{one} {other}");
    for (at, (full, half)) in full.grads.into_iter().zip(half.grads).enumerate() {
        assert_eq!(half.dtype(), DType::F32);
        let (full, half) = (numbers(full), numbers(half));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let cosine = dot(&full, &half) / (dot(&full, &full) * dot(&half, &half)).sqrt();
        assert!(cosine > 0.99, "weight {at}: {cosine}");
    }
}
