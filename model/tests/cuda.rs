//! The model on a GPU against the same on the CPU: logits, loss, gradients, and the optimizers' steps. Needs one, so it runs
//! by hand: `cargo test -p muse-model --test cuda -- --ignored`, or its binary on a machine without Rust.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::{Cuda, Flex};
use burn::prelude::*;
use burn::tensor::DType;
use half::{bf16, f16};
use muse_model::buckets::Onto;
use muse_model::config::{Bk, Embedding, Experts, Gate, Linear, Mixer, Mla, Model, Round, Ttt, Views};
use muse_model::decode::{Cpu, Decode, Decoder, DeviceError, Kept, More, Room, Wanted, gpu, rows_of};
use muse_model::kernels::{NO_LABEL, Objective, Ops, keep_kernels_in};
use muse_model::net::{Batch, Dropped, Net, Role, Setting, Weight};
use muse_model::optim::{Optimizer, OptimizerConfig, OptimizerKind, StateKind};
use muse_model::pass::{Recompute, pass};
use std::sync::{Mutex, MutexGuard, PoisonError};

const TOKENS: usize = 40;
const VOCABULARY: usize = 97;

/// The GPU as a stage of muse has it: alone, since what one writes with cannot be recorded while another trains on it; and with
/// kernels kept, and so the fastest way of each product.
fn as_in_a_stage() -> MutexGuard<'static, ()> {
    static GPU: Mutex<()> = Mutex::new(());
    keep_kernels_in(std::env::temp_dir().join("muse-kernels-of-tests"));
    GPU.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that a pass gives, as numbers: logits, loss, largest logits, gradients.
fn run<B: Ops>(model: &Model, dtype: DType, recompute: Recompute) -> Vec<(String, Vec<f32>)> {
    let device = B::Device::default();
    let shape = model.shape(VOCABULARY, TOKENS);
    let net = Net::<B>::new(model, &shape, 3, &device);
    let ids: Vec<i32> = (0..3 * TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect();
    let labels: Vec<i32> =
        ids.iter().map(|id| if id % 6 == 0 { NO_LABEL } else { (id * 5 + 1) % VOCABULARY as i32 }).collect();
    // Two documents a row, and a window.
    let positions: Vec<i32> = (0..3).flat_map(|_| (0..15).chain(0..25)).collect();
    let window = model.window.unwrap_or(TOKENS) as i32;
    let starts: Vec<i32> =
        positions.iter().enumerate().map(|(at, p)| (at % TOKENS) as i32 - (*p).min(window - 1)).collect();
    let batch = Batch::<B>::new(TOKENS, [&ids, &labels, &positions, &starts], &device);
    let dropped = Dropped::of(model, 11);
    let plain = Setting::new(model, TOKENS, dtype, &device);
    let setting = Setting { dropped, of_a_row: 1.0 / ids.len() as f64, ..plain.clone() };
    let objective =
        Objective { cross_entropy: 0.6, focal: 0.3, gamma: 2.0, smooth: 0.1, epsilon: 0.1, z: 1e-3 };
    let share = 1.0 / labels.iter().filter(|label| **label != NO_LABEL).count() as f64;
    let passed = pass(&net, &batch, &setting, &objective, share, recompute, Onto::nothing());
    let numbers = |x: Tensor<B, 1>| x.into_data().convert::<f32>().to_vec::<f32>().unwrap();
    let logits = net.logits(&batch, &plain);
    let len = logits.shape().num_elements();
    let mut all = vec![("logits".to_owned(), numbers(logits.reshape([len])))];
    all.push(("loss".into(), numbers(passed.loss)));
    all.push(("plain".into(), numbers(passed.plain)));
    all.extend(passed.peaks.into_iter().map(|peak| ("peak".to_owned(), numbers(peak))));
    let names = Weight::all(&shape).into_iter().map(|weight| weight.name);
    all.extend(names.zip(passed.grads.into_iter().map(numbers)));
    all
}

fn apart(got: &[f32], right: &[f32]) -> f32 {
    assert_eq!(got.len(), right.len());
    let size = right.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
    got.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

fn model(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = Model::new(2, 48, 4, 96);
    (model.kv_heads, model.init_std) = (Some(2), 0.1);
    change(&mut model);
    model
}

const MLA: Mla =
    Mla { rank: 10, value_rank: None, query_rank: Some(14), nope_width: 6, rope_width: 4, bias: false };

/// A model of another mixer and of attention in turn.
fn mixed(mixer: Mixer, change: impl FnOnce(&mut Model)) -> Model {
    model(|model| {
        model.mixers = Some(vec![mixer, Mixer::Attention].try_into().unwrap());
        change(model);
    })
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_gives_what_the_cpu_gives() {
    let _gpu = as_in_a_stage();
    let mut worst = 0.0_f32;
    for model in [
        model(|_| ()),
        model(|model| (model.tied, model.qk_norm) = (true, false)),
        model(|model| model.linear = Some(Linear { low_rank: Some(7), round: None })),
        model(|model| model.embedding = Some(Embedding::of_rank(3))),
        model(|model| (model.window, model.dropout, model.attention_dropout) = (Some(7), 0.2, 0.3)),
        mixed(Mixer::Mla, |model| model.mla = Some(MLA)),
        mixed(Mixer::Mla, |model| {
            (model.mla, model.qk_norm) = (Some(Mla { value_rank: Some(12), bias: true, ..MLA }), false);
        }),
        mixed(Mixer::Ttt, |model| model.head_bias = true),
        mixed(Mixer::Ttt, |model| model.ttt = Some(Ttt { rate: 0.1, views: Views::One })),
        mixed(Mixer::Bk, |model| model.bk = Some(Bk { chains: 3 })),
        mixed(Mixer::Hyperbolic, |model| model.kv_heads = Some(2)),
        model(|model| {
            let experts = Experts { shared: 1, dense: 1, width: Some(40), ..Experts::new(5, 2) };
            (model.experts, model.dropout) = (Some(experts), 0.2);
        }),
        model(|model| {
            let experts = Experts { groups: 4, chosen_groups: Some(2), scale: 2.0, ..Experts::new(8, 3) };
            model.experts = Some(Experts { gate: Gate::Sigmoid, bias_rate: 1e-3, ..experts });
            model.linear = Some(Linear { low_rank: Some(7), round: None });
        }),
    ] {
        for recompute in [Recompute::Nothing, Recompute::BlockOffloaded] {
            let right = run::<Flex>(&model, DType::F32, recompute);
            for ((name, got), (_, right)) in run::<Cuda>(&model, DType::F32, recompute).iter().zip(&right) {
                let apart = apart(got, right);
                worst = worst.max(apart);
                assert!(apart < 1e-4, "{name} of {model:?}: {apart}");
            }
            let narrow = run::<Cuda>(&model, DType::BF16, recompute);
            if model.experts.is_some() {
                // By scores that are off by a rounding a token may go through another expert, which moves much of what is its own and
                // little of all.
                let all = |given: &[(String, Vec<f32>)]| {
                    given.iter().flat_map(|(_, x)| x.clone()).collect::<Vec<_>>()
                };
                let off = off(&all(&narrow), &all(&right));
                assert!(off < 0.1, "{model:?} in bf16: {off}");
                continue;
            }
            for ((name, got), (_, right)) in narrow.iter().zip(&right) {
                let apart = apart(got, right);
                assert!(apart < 0.1, "{name} of {model:?} in bf16: {apart}");
            }
        }
    }
    assert!(worst > 0.0, "nothing was computed twice");
}

/// One weight of each role, matrices of both kinds.
fn weights() -> Vec<Weight> {
    let weight =
        |name: &str, shape: &[usize], role| Weight { name: name.into(), shape: shape.to_vec(), role };
    vec![
        weight("embed", &[50, 24], Role::Embedding),
        weight("layers.0.norm", &[24], Role::Norm),
        weight("layers.0.wide", &[24, 40], Role::Matrix),
        weight("layers.1.tall", &[40, 24], Role::Matrix),
        weight("layers.2.wide", &[24, 40], Role::Matrix),
        weight("layers.2.tall", &[40, 24], Role::Matrix),
        weight("head", &[50, 24], Role::Head),
    ]
}

/// The weights after some steps of an optimizer, and its state.
fn steps<B: Ops>(config: &OptimizerConfig, dtype: DType) -> Vec<(String, Vec<f32>)> {
    let device = B::Device::default();
    let noise = |len, seed| B::noise(len, seed, &device);
    let numbers = |len, seed: u64| (noise(len, 2 * seed) + noise(len, 2 * seed + 1) - 1.0).mul_scalar(2.4);
    let mut optimizer = Optimizer::<B>::new(config, weights(), &device).unwrap();
    let start = |(at, weight): (usize, Weight)| numbers(weight.len(), at as u64).cast(dtype);
    let mut values: Vec<_> = weights().into_iter().enumerate().map(start).collect();
    for step in 1..=5 {
        let grads = weights().into_iter().enumerate();
        let grads = grads.map(|(at, weight)| numbers(weight.len(), 1000 * step + at as u64));
        optimizer.begin(step, 0.02, Tensor::full([1], 0.5, &device), grads.collect());
        values = optimizer.update(values.clone());
    }
    let floats = |data: TensorData| data.iter::<f32>().collect();
    let values = weights().into_iter().zip(values).map(|(weight, x)| (weight.name, floats(x.into_data())));
    let layout = optimizer.layout().into_iter();
    values.chain(layout.map(|tensor| (tensor.name.clone(), floats(optimizer.state(&tensor))))).collect()
}

/// How far numbers are from the right ones in the mean, beside their size.
fn off(got: &[f32], right: &[f32]) -> f32 {
    assert_eq!(got.len(), right.len());
    let root = |sum: f32| (sum / right.len() as f32).sqrt();
    let size = root(right.iter().map(|x| x * x).sum());
    root(got.iter().zip(right).map(|(a, b)| (a - b).powi(2)).sum()) / size.max(1e-30)
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_makes_the_same_steps() {
    let _gpu = as_in_a_stage();
    let kinds = [OptimizerKind::Adamw, OptimizerKind::Muon, OptimizerKind::Muonclip, OptimizerKind::Sgd];
    let states = [StateKind::F32, StateKind::Bf16, StateKind::Int8];
    for (kind, state) in kinds.into_iter().flat_map(|kind| states.map(|state| (kind, state))) {
        for dtype in [DType::F32, DType::BF16] {
            let config = OptimizerConfig { kind, state, ..Default::default() };
            let right = steps::<Flex>(&config, dtype);
            // The ways of Muon are found in bf16, and off by 2e-2: over five steps of 0.004, that is less than 1e-3 of a weight.
            // What is rounded at random may go the other way where its last bit differs, and seldom does.
            let bound = match (kind, state, dtype) {
                (OptimizerKind::Adamw | OptimizerKind::Sgd, StateKind::F32, DType::F32) => 1e-5,
                (_, StateKind::F32, DType::F32) => 1e-3,
                _ => 2e-2,
            };
            for ((name, got), (_, right)) in steps::<Cuda>(&config, dtype).iter().zip(&right) {
                let off = off(got, right);
                assert!(off < bound, "{kind:?} {state:?} {dtype:?} {name}: {off}");
            }
        }
    }
}

/// What numbers are once they are kept.
fn as_kept(numbers: Vec<f32>, width: usize, kept: Kept) -> Vec<f32> {
    let in_codes = |block: &[f32]| -> Vec<f32> {
        let most = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let scale = f16::from_f32(most / 127.0).to_f32();
        block.iter().map(|x| (x * (127.0 / most.max(f32::MIN_POSITIVE))).round() * scale).collect()
    };
    match kept {
        Kept::F32 => numbers,
        Kept::Bf16 => numbers.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect(),
        Kept::Int8 => numbers.chunks(width).flat_map(|row| row.chunks(32)).flat_map(in_codes).collect(),
    }
}

/// Logits of three texts that are read and written side by side: prompts of other lengths, portions of them, then token by token.
fn written<D: Decode>(model: &Model, device: D, kept: Kept, context: usize) -> Vec<f32> {
    let model = &Model { vocab_size: Some(VOCABULARY), ..model.clone() };
    let shape = model.shape(VOCABULARY, context);
    let weights = Weight::all(&shape);
    // Norms begin as ones, which would tell none from another.
    let net = Net::<Flex>::new(model, &shape, 3, &Default::default()).changed(|at, weight| {
        if weights[at].shape.len() > 1 {
            return weight;
        }
        weight * (Flex::noise(weights[at].len(), at as u64, &Default::default()) + 0.5)
    });
    let flat = net.flat();
    let read = |weight: &Weight, rows| {
        let at = weights.iter().position(|one| one == weight).unwrap();
        let numbers = flat[at].to_data().to_vec::<f32>().unwrap();
        // What is rounded to three values is so from the numbers as they are, and what experts are chosen by is not rounded.
        let as_it_is = weight.role == Role::Gate || (weight.role == Role::Matrix && model.round().is_some());
        let matrix = weight.shape.len() == 2 && !as_it_is;
        let numbers = if matrix { as_kept(numbers, *weight.shape.last().unwrap(), kept) } else { numbers };
        Ok::<_, DeviceError>(rows_of(weight, &numbers, rows))
    };
    let mut decoder = Decoder::new(model, Room { slots: 3, context }, device, read).unwrap();
    let ids: Vec<u32> = (0..context).map(|at| (at * at * 7 % VOCABULARY) as u32).collect();
    let mut all = Vec::new();
    let mut held = [0_usize; 3];
    let mut feed = |parts: &[(usize, usize, Wanted)]| {
        let more: Vec<More<'_>> = parts
            .iter()
            .map(|&(slot, len, wanted)| More { slot, ids: &ids[held[slot]..held[slot] + len], wanted })
            .collect();
        let logits = decoder.run(&more).unwrap();
        // What is alone and last is asked a second time: then the likeliest is the largest.
        if let [(slot, 1, Wanted::Last)] = *parts {
            let kept = decoder.keep(slot, held[slot]);
            let more = [More { slot, ids: &ids[kept..held[slot] + 1], wanted: Wanted::Last }];
            let most = logits.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
            let at = logits.iter().position(|x| *x == most).unwrap();
            assert_eq!(decoder.likeliest(&more, VOCABULARY).unwrap(), [at as u32]);
        }
        all.extend(logits);
        parts.iter().for_each(|(slot, len, _)| held[*slot] += len);
    };
    feed(&[(1, 37, Wanted::Nothing)]);
    feed(&[(2, 1, Wanted::Last), (1, 30, Wanted::All), (0, 5, Wanted::Last)]);
    // As many rows as every kernel is for.
    feed(&[(0, 12, Wanted::All)]);
    feed(&[(0, 25, Wanted::Last)]);
    feed(&[(0, 53, Wanted::Last)]);
    // More than one shape, each often enough that its graph is used; texts come to their powers of two.
    for round in 0..context - 100 {
        match round % 4 {
            0 => feed(&[(2, 1, Wanted::Last)]),
            _ if round % 3 == 0 => feed(&[(0, 1, Wanted::Last), (1, 1, Wanted::Last)]),
            _ => feed(&[(1, 1, Wanted::Last), (2, 1, Wanted::Last), (0, 1, Wanted::Last)]),
        }
    }
    all
}

fn three_values(low_rank: Option<usize>) -> Option<Linear> {
    Some(Linear { low_rank, round: Some(Round::Ternary) })
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_writes_what_the_cpu_writes() {
    let _gpu = as_in_a_stage();
    let experts = Experts { shared: 1, dense: 1, width: Some(40), ..Experts::new(5, 2) };
    for (model, context) in [
        (model(|_| ()), 160),
        (model(|model| (model.tied, model.qk_norm) = (true, false)), 160),
        (mixed(Mixer::Mla, |model| model.mla = Some(MLA)), 160),
        (
            mixed(Mixer::Mla, |model| {
                (model.mla, model.qk_norm) = (Some(Mla { value_rank: Some(12), bias: true, ..MLA }), false);
                model.window = Some(70);
            }),
            160,
        ),
        (mixed(Mixer::Mla, |model| (model.mla, model.linear) = (Some(MLA), three_values(None))), 130),
        (mixed(Mixer::Ttt, |model| model.head_bias = true), 160),
        (mixed(Mixer::Ttt, |model| model.ttt = Some(Ttt { rate: 0.1, views: Views::One })), 130),
        (mixed(Mixer::Bk, |model| model.bk = Some(Bk { chains: 3 })), 160),
        (mixed(Mixer::Hyperbolic, |model| model.kv_heads = Some(2)), 160),
        (mixed(Mixer::Hyperbolic, |model| (model.window, model.qk_norm) = (Some(70), false)), 160),
        (model(|model| model.experts = Some(experts)), 160),
        (
            mixed(Mixer::Mla, |model| {
                let experts = Experts { groups: 4, chosen_groups: Some(2), scale: 2.0, ..Experts::new(8, 3) };
                model.experts = Some(Experts { gate: Gate::Sigmoid, bias_rate: 1e-3, ..experts });
                model.mla = Some(MLA);
            }),
            130,
        ),
        (model(|model| model.linear = Some(Linear { low_rank: Some(7), round: None })), 140),
        (model(|model| model.linear = three_values(None)), 140),
        (model(|model| model.linear = three_values(Some(7))), 130),
        (model(|model| (model.window, model.kv_heads) = (Some(70), None)), 400),
        // Far enough that blocks share what is seen; and a window that is wider than all there is.
        (model(|model| model.window = Some(600)), 1100),
        (model(|model| model.window = Some(1 << 40)), 150),
        // So wide that a few rows do not lie near.
        (model(|model| model.ffn = 6_500), 140),
        (model(|model| (model.head_width, model.kv_heads, model.heads) = (Some(6), Some(1), 7)), 130),
        (
            model(|model| (model.head_width, model.heads, model.width, model.ffn) = (Some(64), 8, 100, 72)),
            700,
        ),
        (model(|model| (model.head_width, model.heads, model.kv_heads) = (Some(128), 16, Some(2))), 300),
    ] {
        // What is multiplied is rounded to bf16 where weights are; else nothing is, but to 8 bits where these have three values.
        for (kept, most) in [(Kept::F32, 1e-5), (Kept::Bf16, 0.015), (Kept::Int8, 0.015)] {
            let right = written(&model, Cpu::new(Kept::F32), kept, context);
            let got = written(&model, gpu(0, &model, kept).unwrap(), Kept::F32, context);
            // By scores that are off by a rounding a token may go through another expert, which moves little of all.
            let through_others = model.experts.is_some() && kept != Kept::F32;
            let off = if through_others { off(&got, &right) } else { apart(&got, &right) };
            let most = if through_others { 0.1 } else { most };
            println!("{kept:?} {off:.2e}");
            assert!(off < most, "{kept:?} {model:?}: {off}");
            // The same bits a second time.
            let again = written(&model, gpu(0, &model, kept).unwrap(), Kept::F32, context);
            assert!(got.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()), "{kept:?} {model:?}");
        }
    }
}
