//! What must hold of experts: what they give is what a plain reference gives, gradients are slopes and reach those alone that were chosen,
//! they are balanced, and every field counts.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Experts, Gate, Linear, Model, Round};
use muse_model::count::Parameters;
use muse_model::kernels::{Objective, Ops};
use muse_model::net::{Batch, Net, Role, Setting, Weight};
use muse_model::optim::{Optimizer, OptimizerConfig};
use muse_model::pass::{Pass, Recompute, pass};
use std::collections::HashMap;

type B = Flex;

const VOCABULARY: usize = 40;
const TOKENS: usize = 50;
const WIDTH: usize = 24;

fn of(experts: Experts) -> Model {
    let model = Model {
        experts: Some(experts),
        init_std: 0.3,
        scaled_init: false,
        vocab_size: Some(VOCABULARY),
        ..Model::new(2, WIDTH, 4, 20)
    };
    assert_eq!(model.check(), []);
    model
}

/// What makes experts other ones.
type Change = fn(&mut Experts);

/// A model of every kind, by name.
fn kinds() -> Vec<(&'static str, Model)> {
    let eight = Experts::new(8, 2);
    let deepseek = Experts { gate: Gate::Sigmoid, bias_rate: 1e-3, scale: 2.5, shared: 1, ..eight };
    vec![
        ("plain", of(eight)),
        ("NANO-KIMI's", of(Experts { shared: 2, dense: 1, width: Some(12), ..eight })),
        ("DeepSeek's", of(Experts { groups: 4, chosen_groups: Some(2), balance: 0.0, ..deepseek })),
        ("Qwen's", of(Experts { normed: Some(true), ..Experts::new(6, 3) })),
        ("one", of(Experts::new(3, 1))),
        ("low rank", Model { linear: Some(Linear { low_rank: Some(5), round: None }), ..of(deepseek) }),
    ]
}

fn net(model: &Model) -> Net<B> {
    let shape = model.shape(VOCABULARY, TOKENS);
    let (weights, device) = (Weight::all(&shape), Default::default());
    // Rows of a few numbers begin alike, which would tell none from another.
    Net::new(model, &shape, 1, &device).changed(|at, weight| match weights[at].role {
        Role::Norm => weight + (B::noise(weights[at].len(), at as u64, &device) - 0.5).mul_scalar(0.6),
        Role::Loads => weight + (B::noise(weights[at].len(), at as u64, &device) - 0.5).mul_scalar(0.4),
        Role::Gate => weight.mul_scalar(2.0),
        _ => weight,
    })
}

fn setting(model: &Model, of_a_row: f64) -> Setting<B> {
    Setting { of_a_row, ..Setting::new(model, TOKENS, DType::F32, &Default::default()) }
}

fn ids(seed: usize) -> Vec<i32> {
    (0..TOKENS).map(|at| ((at + seed) * (at + 1) * 7 % VOCABULARY) as i32).collect()
}

fn batch(ids: &[i32]) -> Batch<B> {
    let labels: Vec<i32> = ids.iter().map(|id| (id * 3 + 1) % VOCABULARY as i32).collect();
    Batch::plain(TOKENS, ids, &labels, &Default::default())
}

fn numbers<const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().to_vec().unwrap()
}

fn run(model: &Model, net: &Net<B>, of_a_row: f64, recompute: Recompute) -> Pass<B> {
    let share = 1.0 / TOKENS as f64;
    let setting = setting(model, of_a_row);
    pass(net, &batch(&ids(0)), &setting, &Objective::PLAIN, share, recompute, Onto::nothing())
}

/// The weights of a net by name, in f64.
fn by_name(model: &Model, net: &Net<B>) -> HashMap<String, Vec<f64>> {
    let names = Weight::all(&model.shape(VOCABULARY, TOKENS)).into_iter().map(|weight| weight.name);
    let wide = |weight: Tensor<B, 1>| numbers(weight).into_iter().map(f64::from).collect();
    names.zip(net.flat().into_iter().map(wide)).collect()
}

fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

/// Scores of a token, what it counts each expert by: nothing where that is not chosen.
fn counted(experts: Experts, weights: &HashMap<String, Vec<f64>>, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let logits = times(&weights["model.layers.1.mlp.gate.weight"], x);
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    let scores: Vec<f64> = logits
        .iter()
        .map(|x| match experts.gate {
            Gate::Softmax => x.exp() / sum,
            Gate::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        })
        .collect();
    let bias = weights.get("model.layers.1.mlp.gate.e_score_correction_bias");
    let keys: Vec<f64> =
        (0..experts.count).map(|at| scores[at] + bias.map_or(0.0, |bias| bias[at])).collect();
    // Sorted: the best of those in the best groups.
    let each = experts.count / experts.groups;
    let of_group = |group: usize| {
        let mut own = keys[group * each..(group + 1) * each].to_vec();
        own.sort_by(|a, b| b.total_cmp(a));
        own[..if bias.is_some() { 2.min(each) } else { 1 }].iter().sum::<f64>()
    };
    let mut groups: Vec<usize> = (0..experts.groups).collect();
    groups.sort_by(|a, b| of_group(*b).total_cmp(&of_group(*a)));
    groups.truncate(experts.chosen_groups.unwrap_or(experts.groups));
    let mut order: Vec<usize> = (0..experts.count).filter(|at| groups.contains(&(at / each))).collect();
    order.sort_by(|a, b| keys[*b].total_cmp(&keys[*a]));
    order.truncate(experts.chosen);
    let of_chosen: f64 = order.iter().map(|at| scores[*at]).sum();
    let divisor = if experts.normed() { of_chosen } else { 1.0 };
    let share = |at: usize| if order.contains(&at) { scores[at] / divisor * experts.scale } else { 0.0 };
    (scores.clone(), (0..experts.count).map(share).collect())
}

/// What a block's experts add to `x`, by loops in f64: all of them are run for every token, and most count nothing.
fn experts_by_loops(model: &Model, weights: &HashMap<String, Vec<f64>>, x: &[f64]) -> Vec<f64> {
    let experts = model.experts.unwrap();
    let norm = &weights["model.layers.1.post_attention_layernorm.weight"];
    let swiglu = |module: &str, x: &[f64]| -> Vec<f64> {
        let of = |name: &str| &weights[&format!("model.layers.1.mlp.{module}.{name}.weight")];
        let (gate, up) = (times(of("gate_proj"), x), times(of("up_proj"), x));
        let inner: Vec<f64> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
        times(of("down_proj"), &inner)
    };
    let row = |x: &[f64]| -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / WIDTH as f64;
        let x: Vec<f64> = x.iter().zip(norm).map(|(x, w)| x * w / (mean + model.norm_eps).sqrt()).collect();
        let (_, shares) = counted(experts, weights, &x);
        let mut sum = if experts.shared > 0 { swiglu("shared_experts", &x) } else { vec![0.0; WIDTH] };
        for (expert, share) in shares.into_iter().enumerate() {
            let own = swiglu(&format!("experts.{expert}"), &x);
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += share * own);
        }
        sum
    };
    x.chunks(WIDTH).flat_map(row).collect()
}

#[test]
fn experts_are_a_masked_sum_of_all() {
    for (name, model) in kinds().into_iter().filter(|(name, _)| *name != "low rank") {
        let (net, batch, setting) = (net(&model), batch(&ids(0)), setting(&model, 0.0));
        // What comes to the experts of the last block is what its mixer gave: without them it comes out.
        let weights = Weight::all(&model.shape(VOCABULARY, TOKENS));
        let silent = net.clone().changed(|at, weight| {
            let name = &weights[at].name;
            let last = name.contains(".layers.1.mlp.") && name.contains("down_proj");
            if last { weight.zeros_like() } else { weight }
        });
        let [before, after] = [&silent, &net].map(|net| numbers(net.hidden(&batch, &setting).state));
        let before: Vec<f64> = before.into_iter().map(f64::from).collect();
        let added = experts_by_loops(&model, &by_name(&model, &net), &before);
        let size = added.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        for ((after, before), added) in after.iter().zip(&before).zip(&added) {
            let off = (f64::from(*after) - before - added).abs();
            assert!(off < 1e-5 * size.max(1.0), "{name}: {after}, but it is {}", before + added);
        }
    }
}

#[test]
fn each_token_goes_through_as_many_as_it_chooses() {
    for (name, model) in kinds() {
        let hidden = net(&model).hidden(&batch(&ids(0)), &setting(&model, 0.0));
        let experts = model.experts.unwrap();
        assert_eq!(hidden.loads.len(), 2 - experts.dense, "{name}");
        for loads in hidden.loads {
            assert_eq!(loads.len(), experts.count, "{name}");
            assert_eq!(loads.iter().sum::<u32>() as usize, TOKENS * experts.chosen, "{name}");
            assert!(loads.iter().all(|load| *load as usize <= TOKENS), "{name}: an expert twice");
        }
    }
}

#[test]
fn no_token_knows_of_those_behind_it() {
    for (name, model) in kinds() {
        let net = net(&model);
        let logits = |ids: &[i32]| numbers(net.logits(&batch(ids), &setting(&model, 0.0)));
        let (before, mut changed) = (logits(&ids(0)), ids(0));
        changed[31] = (changed[31] + 1) % VOCABULARY as i32;
        let after = logits(&changed);
        let (seen, own) = (31 * VOCABULARY, 32 * VOCABULARY);
        // Rows of an expert are multiplied together, so a sum may have another order where one is gone.
        let apart = before[..seen].iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{name}: {apart}");
        let sees = before[seen..own] != after[seen..own] && before[own..] != after[own..];
        assert!(sees, "{name}");
    }
}

#[test]
fn gradients_are_slopes_in_every_weight() {
    for (name, model) in kinds() {
        let weights = Weight::all(&model.shape(VOCABULARY, TOKENS));
        let net = net(&model);
        let made = run(&model, &net, 0.0, Recompute::Nothing);
        let again = run(&model, &net, 0.0, Recompute::Block);
        let chosen = net.hidden(&batch(&ids(0)), &setting(&model, 0.0)).loads;
        let mut idle = 0;
        for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| weight.role != Role::Loads) {
            let grad = made.grads[at].clone();
            let same = numbers(grad.clone()) == numbers(again.grads[at].clone());
            assert!(same, "{name}: {} is another where blocks are computed again", weight.name);
            let length = numbers((grad.clone() * grad.clone()).sum())[0].sqrt();
            if length == 0.0 && weight.name.contains(".experts.") {
                idle += 1;
                continue;
            }
            assert!(length > 1e-6, "{name}: nothing comes back to {}", weight.name);
            let at_step = |by: f32| {
                let way = grad.clone().mul_scalar(by / length);
                let moved = net.clone().changed(|place, x| if place == at { x + way.clone() } else { x });
                let (batch, setting) = (batch(&ids(0)), setting(&model, 0.0));
                let loss = moved.loss(&batch, &setting, &Objective::PLAIN, 1.0 / TOKENS as f64);
                (f64::from(numbers(loss.loss)[0]), moved.hidden(&batch, &setting).loads)
            };
            // So small that no token chooses otherwise.
            let size = (weight.len() as f32).sqrt().min(4.0);
            let slope = [5e-4, 1e-4, 2e-5].into_iter().find_map(|step| {
                let ((above, loads), (below, others)) = (at_step(step * size), at_step(-step * size));
                (loads == chosen && others == chosen)
                    .then(|| (above - below) / (2.0 * f64::from(step * size)))
            });
            let slope = slope.expect("a step at which all choose as they did");
            let off = (slope - f64::from(length)).abs();
            assert!(off < 0.04 * f64::from(length) + 1e-3, "{name}: {}: {length}, but {slope}", weight.name);
        }
        let shunned = chosen.iter().flatten().filter(|load| **load == 0).count();
        let each = if model.linear.is_some() { 6 } else { 3 };
        assert_eq!(idle, each * shunned, "{name}: who was chosen has learned something");
    }
}

#[test]
fn gradients_reach_those_alone_that_were_chosen() {
    for (name, model) in kinds() {
        let (net, shape) = (net(&model), model.shape(VOCABULARY, TOKENS));
        let made = run(&model, &net, 0.0, Recompute::Nothing);
        let loads = net.hidden(&batch(&ids(0)), &setting(&model, 0.0)).loads;
        let dense = model.experts.unwrap().dense;
        for (weight, grad) in Weight::all(&shape).iter().zip(&made.grads) {
            let Some((before, after)) = weight.name.split_once(".experts.") else { continue };
            let block: usize = before.split('.').nth(2).unwrap().parse().unwrap();
            let expert: usize = after.split('.').next().unwrap().parse().unwrap();
            let learned = numbers(grad.clone()).iter().any(|x| *x != 0.0);
            assert_eq!(learned, loads[block - dense][expert] > 0, "{name}: {}", weight.name);
        }
    }
}

/// The balancing loss of the last block as it is defined, in f64, by the numbers that come to its gate.
fn balance(model: &Model, weights: &HashMap<String, Vec<f64>>, x: &[f64]) -> f64 {
    let experts = model.experts.unwrap();
    let (mut chosen, mut mean) = (vec![0.0; experts.count], vec![0.0; experts.count]);
    for row in x.chunks(WIDTH) {
        let (scores, shares) = counted(experts, weights, row);
        let sum: f64 = scores.iter().sum();
        for at in 0..experts.count {
            chosen[at] += f64::from(u8::from(shares[at] > 0.0)) / (TOKENS * experts.chosen) as f64;
            mean[at] += scores[at] / sum / TOKENS as f64;
        }
    }
    experts.count as f64 * chosen.iter().zip(mean).map(|(f, p)| f * p).sum::<f64>()
}

#[test]
fn the_balancing_loss_comes_back_to_the_gate_as_it_is_defined() {
    for (gate, normed) in [(Gate::Softmax, None), (Gate::Sigmoid, Some(true))] {
        let experts = Experts { gate, normed, balance: 0.7, ..Experts::new(6, 2) };
        let model = of(experts);
        let (net, weights) = (net(&model), Weight::all(&model.shape(VOCABULARY, TOKENS)));
        let at = weights.iter().position(|one| one.name == "model.layers.1.mlp.gate.weight").unwrap();
        let with = run(&model, &net, 1.0 / TOKENS as f64, Recompute::Block);
        let without = run(&model, &net, 0.0, Recompute::Block);
        assert_eq!(numbers(with.loss), numbers(without.loss), "the loss that is told is without it");
        let got = numbers(with.grads[at].clone() - without.grads[at].clone());

        // The rows that come to the gate: behind the norm of what the mixer gave.
        let silent = net.clone().changed(|at, weight| {
            let name = &weights[at].name;
            if name.contains(".layers.1.mlp.") && name.contains("down_proj") {
                weight.zeros_like()
            } else {
                weight
            }
        });
        let norm = weights.iter().position(|one| one.name.contains("layers.1.post_attention")).unwrap();
        let state = silent.hidden(&batch(&ids(0)), &setting(&model, 0.0)).state;
        let normed = B::rms_norm(state, net.flat()[norm].clone(), model.norm_eps);
        let x: Vec<f64> = numbers(normed).into_iter().map(f64::from).collect();
        let by_name = by_name(&model, &net);
        let size = got.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(size > 1e-4);
        for (place, got) in got.iter().enumerate() {
            let moved = |by: f64| {
                let mut weights = by_name.clone();
                weights.get_mut("model.layers.1.mlp.gate.weight").unwrap()[place] += by;
                balance(&model, &weights, &x)
            };
            let right = experts.balance * (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((f64::from(*got) - right).abs() < 1e-3 * f64::from(size), "{gate:?}: {got}, but {right}");
        }
    }
    // Where all are as likely it is one.
    let model = of(Experts::new(4, 2));
    let mut weights = by_name(&model, &net(&model));
    weights.insert("model.layers.1.mlp.gate.weight".into(), vec![0.0; 4 * WIDTH]);
    assert!((balance(&model, &weights, &[1.0; TOKENS * WIDTH]) - 1.0).abs() < 1e-12);
}

#[test]
fn what_comes_back_to_a_bias_is_how_many_chose_each_and_moves_it_against_that() {
    let (_, model) = kinds().remove(2);
    let (shape, device) = (model.shape(VOCABULARY, TOKENS), Default::default());
    let (net, weights) = (net(&model), Weight::all(&shape));
    let made = run(&model, &net, 1.0, Recompute::Nothing);
    let twice = pass(
        &net,
        &batch(&ids(0)),
        &setting(&model, 1.0),
        &Objective::PLAIN,
        1.0 / TOKENS as f64,
        Recompute::Block,
        Onto { so_far: Some(made.grads.clone()), member: None },
    );
    let loads = net.hidden(&batch(&ids(0)), &setting(&model, 0.0)).loads;
    let mut optimizer =
        Optimizer::<B>::new(&OptimizerConfig::default(), weights.clone(), &device).unwrap().balancing(0.25);
    let biases: Vec<usize> = (0..weights.len()).filter(|at| weights[*at].role == Role::Loads).collect();
    assert_eq!(biases.len(), 2);
    let before = net.flat();
    for scale in [f32::NAN, 0.01] {
        optimizer.begin(1, 0.1, Tensor::from_floats([scale], &device), made.grads.clone());
        let after = optimizer.update(net.flat());
        for (at, loads) in biases.iter().zip(&loads) {
            let loads: Vec<f32> = loads.iter().map(|load| *load as f32).collect();
            assert_eq!(numbers(made.grads[*at].clone()), loads);
            let twice: Vec<f32> = numbers(twice.grads[*at].clone());
            assert_eq!(twice, loads.iter().map(|load| 2.0 * load).collect::<Vec<_>>());
            assert!(!optimizer.counts(*at) && optimizer.counts(0) && !optimizer.is_frozen(*at));
            let mean = loads.iter().sum::<f32>() / loads.len() as f32;
            let moved = numbers(after[*at].clone() - before[*at].clone());
            for (load, moved) in loads.iter().zip(moved) {
                // Neither the learning rate nor the scale of gradients has to do with it; but a step that is no number changes nothing.
                let right = match load.total_cmp(&mean) {
                    _ if scale.is_nan() => 0.0,
                    std::cmp::Ordering::Less => 0.25,
                    std::cmp::Ordering::Equal => 0.0,
                    std::cmp::Ordering::Greater => -0.25,
                };
                assert!((moved - right).abs() < 1e-6, "{load} of {mean}: {moved}");
            }
        }
    }
}

/// How uneven the last block's experts are after so many steps: the busiest beside the mean.
fn trained(experts: Experts, steps: u64) -> f64 {
    let model = Model { init_std: 0.05, ..of(experts) };
    let (shape, device) = (model.shape(VOCABULARY, TOKENS), Default::default());
    let weights = Weight::all(&shape);
    // Two experts are chosen wherever their rows of the gate give more than nothing, since these are larger than others.
    let mut net = net(&model).changed(|at, weight| match weights[at].role {
        Role::Gate => {
            let (two, rest) = (2 * WIDTH, weight.dims()[0] - 2 * WIDTH);
            let large = weight.clone().narrow(0, 0, two).mul_scalar(6.0);
            Tensor::cat(vec![large, weight.narrow(0, two, rest)], 0)
        }
        _ => weight,
    });
    let config = OptimizerConfig::default();
    let mut optimizer = Optimizer::<B>::new(&config, weights, &device).unwrap().balancing(experts.bias_rate);
    let setting = setting(&model, 1.0 / TOKENS as f64);
    for step in 1..=steps {
        let batch = batch(&ids(step as usize));
        let share = 1.0 / TOKENS as f64;
        let made =
            pass(&net, &batch, &setting, &Objective::PLAIN, share, Recompute::Nothing, Onto::nothing());
        optimizer.begin(step, 3e-3, Tensor::ones([1], &device), made.grads);
        net = net.changed_together(|weights| optimizer.update(weights));
    }
    let mut sum = vec![0; experts.count];
    for seed in 1000..1010 {
        let loads = net.hidden(&batch(&ids(seed)), &setting).loads.pop().unwrap();
        sum.iter_mut().zip(loads).for_each(|(sum, load)| *sum += load);
    }
    let all: u32 = sum.iter().sum();
    f64::from(*sum.iter().max().unwrap()) * experts.count as f64 / f64::from(all)
}

#[test]
fn either_way_of_balancing_evens_out_what_experts_do() {
    let alone = Experts { balance: 0.0, ..Experts::new(8, 2) };
    let (neither, loss) = (trained(alone, 300), trained(Experts { balance: 0.05, ..alone }, 300));
    let bias = trained(Experts { bias_rate: 0.01, gate: Gate::Sigmoid, ..alone }, 300);
    assert!(neither > 1.6, "{neither}");
    assert!(loss < 1.5 && bias < 1.5, "{neither}, with a loss {loss}, with a bias {bias}");
}

#[test]
fn weights_have_the_sizes_that_are_counted() {
    for (name, model) in kinds() {
        let shape = model.shape(VOCABULARY, TOKENS);
        let lengths: Vec<usize> = net(&model).flat().iter().map(|weight| weight.dims()[0]).collect();
        assert_eq!(lengths, Weight::all(&shape).iter().map(Weight::len).collect::<Vec<_>>(), "{name}");
        let parts = Parameters::of(&shape);
        assert_eq!(net(&model).num_params() as u64, parts.total(), "{name}");
        assert!(parts.active() < parts.total(), "{name}");
    }
}

#[test]
fn every_field_changes_something() {
    let plain = Experts { shared: 1, dense: 1, width: Some(12), groups: 2, ..Experts::new(8, 2) };
    let given = |experts: Experts| {
        let model = of(experts);
        let net = net(&model);
        let logits = numbers(net.logits(&batch(&ids(0)), &setting(&model, 0.0)));
        let grads = run(&model, &net, 1.0 / TOKENS as f64, Recompute::Nothing).grads;
        (logits, grads.into_iter().map(numbers).collect::<Vec<_>>())
    };
    let before = given(plain);
    let fields: [(&str, Change); 11] = [
        ("count", |x| x.count = 10),
        ("chosen", |x| x.chosen = 3),
        ("width", |x| x.width = Some(16)),
        ("shared", |x| x.shared = 2),
        ("dense", |x| (x.dense, x.width) = (0, None)),
        ("gate", |x| (x.gate, x.normed) = (Gate::Sigmoid, Some(false))),
        ("chosen_groups", |x| x.chosen_groups = Some(1)),
        ("groups", |x| (x.groups, x.chosen_groups) = (4, Some(1))),
        ("scale", |x| x.scale = 1.5),
        ("normed", |x| x.normed = Some(true)),
        ("bias_rate", |x| x.bias_rate = 0.01),
    ];
    for (name, change) in fields {
        let mut experts = plain;
        change(&mut experts);
        assert!(given(experts).0 != before.0, "{name} changes nothing");
    }
    let unbalanced = given(Experts { balance: 0.0, ..plain });
    assert!(unbalanced.0 == before.0 && unbalanced.1 != before.1, "balance");
    let ternary = Model { linear: Some(Linear { low_rank: None, round: Some(Round::Ternary) }), ..of(plain) };
    let logits = numbers(net(&ternary).logits(&batch(&ids(0)), &setting(&ternary, 0.0)));
    assert!(logits != before.0, "three values");
}
