//! Factors beside matrices: what they add, their gradients, and that all else stays as it is.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Embedding, Mixer, Mixers, Mla, Model};
use muse_model::count::{Device, Optimizer, Precision, States};
use muse_model::count::{Parameters, Training, TrainingMemory};
use muse_model::kernels::{Objective, with_threads};
use muse_model::lora::{Acting, Lora, LoraConfig, Target};
use muse_model::net::{Batch, Net, Setting, Weight};
use muse_model::pass::{Pass, Recompute, pass};

type B = Flex;

const VOCABULARY: usize = 40;
const TOKENS: usize = 10;
const SHARE: f64 = 1.0 / 20.0;

fn model(qk_norm: bool) -> Model {
    Model { kv_heads: Some(2), init_std: 0.2, qk_norm, ..Model::new(2, 24, 4, 36) }
}

fn net(model: &Model) -> Net<B> {
    Net::new(model, &model.shape(VOCABULARY, TOKENS), 1, &Default::default())
}

fn config(rank: usize, targets: Option<Vec<Target>>) -> LoraConfig {
    LoraConfig { rank, alpha: Some(1.5 * rank as f64), targets }
}

/// Factors of which both add something.
fn lora(model: &Model, config: &LoraConfig) -> Lora<B> {
    let lora = Lora::new(config, &model.shape(VOCABULARY, TOKENS), 3, &Default::default());
    let number = |at: usize, place: usize| ((at * 31 + place * 17) % 23) as f32 / 23.0 - 0.5;
    lora.changed(|at, x| {
        let [len] = x.dims();
        let more: Vec<f32> = (0..len).map(|place| 0.4 * number(at, place)).collect();
        x + Tensor::from_data(TensorData::new(more, [len]), &Default::default())
    })
}

fn batch() -> Batch<B> {
    let ids: Vec<i32> = (0..2 * TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect();
    Batch::plain(TOKENS, &ids, &ids, &Default::default())
}

fn run(model: &Model, net: &Net<B>, lora: Option<&Lora<B>>, recompute: Recompute) -> Pass<B> {
    let setting = Setting::new(model, TOKENS, DType::F32, &Default::default());
    pass(Acting { net, lora }, &batch(), &setting, &Objective::PLAIN, SHARE, recompute, Onto::nothing())
}

fn numbers<const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().to_vec().unwrap()
}

fn all(tensors: Vec<Tensor<B, 1>>) -> Vec<Vec<f32>> {
    tensors.into_iter().map(numbers).collect()
}

/// The net with what its factors add within its weights.
fn merged(net: Net<B>, lora: &Lora<B>) -> Net<B> {
    net.changed(|number, weight| lora.merged(number, weight))
}

/// `left right`, in f64, either one turned.
fn product(left: &[f32], right: &[f32], [m, k, n]: [usize; 3], turned: [bool; 2]) -> Vec<f64> {
    let at = |x: &[f32], row: usize, column: usize, shape: [usize; 2], turned: bool| {
        f64::from(if turned { x[column * shape[0] + row] } else { x[row * shape[1] + column] })
    };
    let entry = |row: usize, column: usize| {
        let of = |i| at(left, row, i, [m, k], turned[0]) * at(right, i, column, [k, n], turned[1]);
        (0..k).map(of).sum::<f64>()
    };
    (0..m * n).map(|place| entry(place / n, place % n)).collect()
}

fn near(what: &str, got: &[f32], right: &[f64]) {
    let most = right.iter().fold(1e-12, |most: f64, x| most.max(x.abs()));
    for (got, right) in got.iter().zip(right) {
        assert!((f64::from(*got) - right).abs() < 1e-5 * most, "{what}: {got} and {right} of {most}");
    }
    assert_eq!(got.len(), right.len(), "{what}");
}

#[test]
fn factors_begin_with_nothing_and_stand_beside_the_matrices_that_are_named() {
    let model = model(true);
    let shape = model.shape(VOCABULARY, TOKENS);
    let new = |config: &LoraConfig| Lora::<B>::new(config, &shape, 3, &Default::default());
    let two = config(4, Some(vec![Target::DownProj, Target::QProj]));
    let lora = new(&two);
    let names: Vec<&str> = lora.names().iter().map(|weight| weight.name.as_str()).collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names[1], "model.layers.0.self_attn.q_proj.lora_B.weight");
    assert_eq!(names[6], "model.layers.1.mlp.down_proj.lora_A.weight");
    assert_eq!([&lora.names()[6].shape, &lora.names()[7].shape], [&vec![4, 36], &vec![24, 4]]);
    let whole = new(&config(4, None));
    assert_eq!(whole.names().len(), 2 * 2 * 7);
    for lora in [lora, whole] {
        assert!(all(merged(net(&model), &lora).flat()) == all(net(&model).flat()));
        for (weight, numbers) in lora.names().iter().zip(all(lora.flat())) {
            assert_eq!(numbers.len(), weight.len());
            assert_eq!(numbers.iter().all(|x| *x == 0.0), weight.name.contains("lora_B"), "{}", weight.name);
        }
    }
    // Another seed, and another name, draw other numbers.
    let drawn = |seed| all(Lora::<B>::new(&two, &shape, seed, &Default::default()).flat());
    assert_eq!(drawn(3), drawn(3));
    assert!(drawn(3)[0] != drawn(4)[0] && drawn(3)[0] != drawn(3)[4]);
}

#[test]
fn a_matrix_that_the_model_has_not_gets_no_factors() {
    let model = Model { mixers: Some(Mixers::all(Mixer::Bk)), kv_heads: None, ..model(true) };
    let shape = model.shape(VOCABULARY, TOKENS);
    let all = config(3, None).targets_of(&shape);
    assert_eq!(all, ["o_proj", "gate_proj", "up_proj", "down_proj", "potential_proj", "coupling_proj"]);
    assert!(config(3, None).check_model(&shape).is_none());
    let problem = config(3, Some(vec![Target::OProj, Target::QProj])).check_model(&shape).unwrap();
    assert_eq!(
        (problem.field().as_str(), &*problem.message),
        ("targets", "no block of the model has `q_proj`")
    );
}

#[test]
fn a_net_with_factors_is_the_net_that_they_are_merged_into() {
    let mixed = |mixers: &[Mixer]| Model {
        mixers: Some(Mixers::try_from(mixers.to_vec()).unwrap()),
        kv_heads: None,
        ..model(true)
    };
    let mla =
        Mla { rank: 10, value_rank: None, query_rank: Some(9), nope_width: 6, rope_width: 4, bias: true };
    // Rows of two cores are several weights before the first block.
    for model in [
        model(true),
        model(false),
        Model { embedding: Some(Embedding::of_rank(3)), ..model(true) },
        Model { mla: Some(mla), ..mixed(&[Mixer::Mla]) },
        mixed(&[Mixer::Bk, Mixer::Ttt]),
    ] {
        for targets in [None, Some(vec![Target::VProj, Target::UpProj])] {
            let (net, lora) = (net(&model), lora(&model, &config(3, targets)));
            let right = run(&model, &merged(net.clone(), &lora), None, Recompute::Nothing);
            let before = all(net.flat());
            let got = run(&model, &net, Some(&lora), Recompute::Nothing);
            let (loss, right_loss) = (numbers(got.loss), numbers(right.loss));
            assert_eq!(loss, right_loss);
            assert!(all(net.flat()) == before, "a weight changed");
            let setting = Setting::new(&model, TOKENS, DType::F32, &Default::default());
            let acting = Acting { net: &net, lora: Some(&lora) };
            assert_eq!(numbers(acting.loss(&batch(), &setting, &Objective::PLAIN, SHARE).loss), loss);
            // The gradient of a factor is what that of the merged matrix makes it.
            let shape = model.shape(VOCABULARY, TOKENS);
            let whole = all(right.grads);
            let of: Vec<&str> = lora.names().iter().map(|weight| weight.name.as_str()).collect();
            let (grads, factors) = (all(got.grads), all(lora.flat()));
            assert_eq!(grads.len(), factors.len());
            for at in (0..factors.len()).step_by(2) {
                let name = of[at].replace("lora_A.", "");
                let number = Weight::all(&shape).iter().position(|weight| weight.name == name).unwrap();
                let ([rank, input], out) =
                    ([lora.names()[at].shape[0], lora.names()[at].shape[1]], lora.names()[at + 1].shape[0]);
                let scaled: Vec<f32> = whole[number].iter().map(|x| 1.5 * x).collect();
                let of_a = product(&factors[at + 1], &scaled, [rank, out, input], [true, false]);
                let of_b = product(&scaled, &factors[at], [out, input, rank], [false, true]);
                near(of[at], &grads[at], &of_a);
                near(of[at + 1], &grads[at + 1], &of_b);
            }
        }
    }
}

#[test]
fn the_loss_falls_as_the_gradients_say() {
    let model = model(true);
    let net = net(&model);
    let lora = || lora(&model, &config(3, None));
    let grads = run(&model, &net, Some(&lora()), Recompute::Nothing).grads;
    let square: f64 = all(grads.clone()).iter().flatten().map(|x| f64::from(*x).powi(2)).sum();
    let loss = |far: f64| {
        let moved = lora().changed(|at, x| x + grads[at].clone().mul_scalar(far));
        f64::from(numbers(run(&model, &net, Some(&moved), Recompute::Nothing).loss)[0])
    };
    let far = 2e-3 / square.sqrt();
    let slope = (loss(far) - loss(-far)) / (2.0 * far);
    assert!((slope / square - 1.0).abs() < 0.01, "{slope} and {square}");
}

#[test]
fn neither_recompute_nor_threads_nor_parts_show() {
    let model = model(true);
    let (net, lora) = (net(&model), lora(&model, &config(3, None)));
    let right = all(run(&model, &net, Some(&lora), Recompute::Nothing).grads);
    for recompute in [Recompute::Block, Recompute::BlockOffloaded] {
        assert!(all(run(&model, &net, Some(&lora), recompute).grads) == right);
    }
    for threads in [1, 3] {
        let got = with_threads(threads, || run(&model, &net, Some(&lora), Recompute::Nothing));
        assert!(all(got.grads) == right, "{threads} threads");
    }
    // What comes is added to what is there.
    let setting = Setting::new(&model, TOKENS, DType::F32, &Default::default());
    let onto = Onto { so_far: Some(run(&model, &net, Some(&lora), Recompute::Nothing).grads), member: None };
    let acting = Acting { net: &net, lora: Some(&lora) };
    let twice = pass(acting, &batch(), &setting, &Objective::PLAIN, SHARE, Recompute::Nothing, onto).grads;
    for (twice, once) in all(twice).iter().zip(&right) {
        assert!(twice.iter().zip(once).all(|(twice, once)| *twice == 2.0 * once));
    }
}

#[test]
fn memory_counts_states_of_factors_alone() {
    let model = Model { vocab_size: Some(1000), ..Model::new(4, 256, 4, 512) };
    let shape = model.shape(1000, 128);
    let factors = config(8, None).count(&shape);
    let block = 8 * (4 * (256 + 256) + 3 * (256 + 512));
    assert_eq!(factors.numbers, 4 * block);
    assert_eq!(factors.matrices, Parameters::of(&shape).attention + Parameters::of(&shape).mlp);
    let full = Training {
        micro_batch: 8,
        adds_up: true,
        optimizer: Optimizer::Adamw,
        states: States::F32,
        precision: Precision::F32,
        recompute: false,
        offload: false,
        lora: None,
    };
    let of = |training: Training| TrainingMemory::of(&shape, &training, Device::Gpu);
    let (whole, few) = (of(full), of(Training { lora: Some(factors), ..full }));
    assert_eq!(few.optimizer, 8 * factors.numbers);
    assert_eq!(few.weights, whole.weights + 4 * factors.numbers);
    // One block's gradients are whole, and all factors have theirs.
    let parts = Parameters::of(&shape).total();
    assert_eq!(whole.gradients, 4 * parts + parts);
    assert_eq!(few.gradients, 4 * factors.numbers + parts);
    assert_eq!(few.activations, whole.activations + 4 * factors.matrices);
    let sparing = Training { recompute: true, ..full };
    let (whole, few) = (of(sparing), of(Training { lora: Some(factors), ..sparing }));
    assert_eq!(few.activations, whole.activations + factors.matrices, "one block's");
    assert!(few.total < whole.total);
    let muon = Training { optimizer: Optimizer::Muon, lora: Some(factors), ..full };
    assert_eq!(of(muon).optimizer, 4 * factors.numbers);
}

#[test]
fn what_makes_no_sense_is_refused_at_its_field() {
    let good = config(4, None);
    assert_eq!(good.check(), []);
    assert_eq!(LoraConfig { alpha: None, ..good.clone() }.alpha(), 8.0);
    let wrong = |config: LoraConfig| config.check().first().map(|problem| problem.pointer);
    assert_eq!(wrong(LoraConfig { rank: 0, ..good.clone() }), Some("/rank"));
    assert_eq!(wrong(LoraConfig { rank: 4097, ..good.clone() }), Some("/rank"));
    assert_eq!(wrong(LoraConfig { alpha: Some(0.0), ..good.clone() }), Some("/alpha"));
    assert_eq!(wrong(LoraConfig { alpha: Some(f64::NAN), ..good.clone() }), Some("/alpha"));
    assert_eq!(wrong(LoraConfig { targets: Some(Vec::new()), ..good }), Some("/targets"));
}
