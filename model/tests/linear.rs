//! Matrices that are the product of two: the same model as with whole ones, down to the gradients, and fewer parameters.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Linear, Model, Round};
use muse_model::kernels::{Objective, Ops, Rounding, Turned};
use muse_model::net::{Batch, Dropped, Net, Role, Setting, Weight, factors};
use muse_model::optim::qk_clip;
use muse_model::pass::{Recompute, pass};
use std::collections::BTreeMap;

type B = Flex;
/// Weights or gradients by name.
type Named = BTreeMap<String, Tensor<B, 1>>;

const VOCABULARY: usize = 50;
const TOKENS: usize = 12;
const RANK: usize = 5;

fn model(rank: usize) -> Model {
    let linear = Some(Linear { low_rank: Some(rank), round: None });
    Model { kv_heads: Some(2), init_std: 0.3, linear, ..Model::new(2, 32, 4, 48) }
}

fn net(model: &Model) -> Net<B> {
    Net::new(model, &model.shape(VOCABULARY, TOKENS), 1, &Default::default())
}

fn named(model: &Model, all: Vec<Tensor<B, 1>>) -> Named {
    let names = Weight::all(&model.shape(VOCABULARY, TOKENS)).into_iter().map(|weight| weight.name);
    names.zip(all).collect()
}

/// A net with these weights.
fn with(model: &Model, mut weights: Named) -> Net<B> {
    let all = Weight::all(&model.shape(VOCABULARY, TOKENS));
    net(model).changed(|at, _| weights.remove(&all[at].name).unwrap())
}

fn matrix(all: &Named, name: &str, rows: usize) -> Tensor<B, 2> {
    let flat = all[name].clone();
    let columns = flat.dims()[0] / rows;
    flat.reshape([rows, columns])
}

/// The weights of the model whose matrices are the products.
fn products(model: &Model, two: &Named) -> Named {
    let whole = Weight::all(&model.whole().shape(VOCABULARY, TOKENS)).into_iter();
    let one = |weight: Weight| {
        let [first, second] = factors(&weight.name);
        let value = match two.get(&weight.name) {
            Some(same) => same.clone(),
            None => {
                let first = matrix(two, &first, model.low_rank().unwrap());
                let product = B::product(matrix(two, &second, weight.shape[0]), first, Turned::Neither);
                product.reshape([weight.len()])
            }
        };
        (weight.name, value)
    };
    whole.map(one).collect()
}

fn batch() -> Batch<B> {
    let ids: Vec<i32> = (0..2 * TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect();
    let labels: Vec<i32> = ids.iter().map(|id| (id * 3 + 1) % VOCABULARY as i32).collect();
    Batch::plain(TOKENS, &ids, &labels, &Default::default())
}

fn setting(model: &Model) -> Setting<B> {
    let dropped = Dropped { rate: 0.2, attention: 0.0, seed: 3 };
    Setting { dropped, ..Setting::new(model, TOKENS, DType::F32, &Default::default()) }
}

fn gradients(model: &Model, net: &Net<B>, recompute: Recompute) -> (f64, Named) {
    let share = 1.0 / (2 * TOKENS) as f64;
    let setting = setting(model);
    let made = pass(net, &batch(), &setting, &Objective::PLAIN, share, recompute, Onto::nothing());
    (made.loss.into_scalar().elem(), named(model, made.grads))
}

fn apart<const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> f32 {
    let most = b.clone().abs().max().into_scalar();
    (a - b).abs().max().into_scalar() / most.max(1e-6)
}

#[test]
fn two_matrices_are_their_product_forward_and_back() {
    for rank in [1, RANK, 16] {
        // Behind a norm, keys that all lie on one line have no length to learn.
        let model = Model { qk_norm: rank > 1, ..model(rank) };
        let two = named(&model, net(&model).flat());
        let dense = with(&model.whole(), products(&model, &two));
        let (right, whole) = gradients(&model.whole(), &dense, Recompute::Nothing);
        for recompute in [Recompute::Nothing, Recompute::Block] {
            let (loss, grads) = gradients(&model, &net(&model), recompute);
            assert!((loss - right).abs() < 1e-5 * right, "{rank}: {loss} {right}");
            for weight in Weight::all(&model.whole().shape(VOCABULARY, TOKENS)) {
                let name = &weight.name;
                let Some(own) = grads.get(name) else {
                    let ([first, second], rows) = (factors(name), weight.shape[0]);
                    let of_whole = matrix(&whole, name, rows);
                    let of_first = B::product(matrix(&two, &second, rows), of_whole.clone(), Turned::Left);
                    let of_second = B::product(of_whole, matrix(&two, &first, rank), Turned::Right);
                    assert!(apart(matrix(&grads, &first, rank), of_first) < 1e-4, "{rank} {first}");
                    assert!(apart(matrix(&grads, &second, rows), of_second) < 1e-4, "{rank} {second}");
                    continue;
                };
                assert!(apart(own.clone(), whole[name].clone()) < 1e-4, "{rank} {name}");
            }
        }
    }
}

/// A model whose matrices are rounded.
fn rounded(rank: Option<usize>, round: Round) -> Model {
    Model { linear: Some(Linear { low_rank: rank, round: Some(round) }), ..model(1) }
}

#[test]
fn rounded_matrices_act_as_what_they_are_rounded_to_and_learn_what_that_would() {
    for rank in [None, Some(RANK)] {
        let model = rounded(rank, Round::Int8);
        let plain =
            Model { linear: rank.map(|rank| Linear { low_rank: Some(rank), round: None }), ..model.clone() };
        let weights = Weight::all(&model.shape(VOCABULARY, TOKENS));
        let acting = net(&model).changed(|at, weight| match weights[at].role {
            Role::Matrix => {
                let shape = [weights[at].shape[0], weights[at].shape[1]];
                B::rounded(weight.reshape(shape), Rounding::Int8).reshape([weights[at].len()])
            }
            _ => weight,
        });
        let acting = with(&plain, named(&model, acting.flat()));
        let (right, of_acting) = gradients(&plain, &acting, Recompute::Nothing);
        let (loss, grads) = gradients(&model, &net(&model), Recompute::Nothing);
        assert_eq!(loss, right, "{rank:?}");
        for (name, grad) in grads {
            assert!(apart(grad, of_acting[&name].clone()) < 1e-6, "{rank:?} {name}");
        }
    }
}

#[test]
fn a_model_of_three_values_learns() {
    for rank in [None, Some(RANK)] {
        let model = rounded(rank, Round::Ternary);
        let mut net = net(&model);
        let (first, grads) = gradients(&model, &net, Recompute::Nothing);
        for (name, grad) in &grads {
            assert!(grad.clone().abs().max().into_scalar() > 0.0, "{rank:?}: nothing comes back to {name}");
        }
        for _ in 0..30 {
            let (_, grads) = gradients(&model, &net, Recompute::Block);
            let weights = Weight::all(&model.shape(VOCABULARY, TOKENS));
            net = net.changed(|at, weight| {
                let grad = grads[&weights[at].name].clone();
                let size = grad.clone().powi_scalar(2).mean().sqrt().clamp_min(1e-12);
                weight - grad / size * 0.02
            });
        }
        let (last, _) = gradients(&model, &net, Recompute::Nothing);
        assert!(last < first - 1.0, "{rank:?}: from {first} to {last}");
    }
}

#[test]
fn with_a_full_rank_it_can_be_any_model() {
    // The smallest side is that of keys: there `a` is all of the matrix, and elsewhere `b` is where `a` is a part of one.
    let dense = Model { linear: None, ..model(1) };
    let (dense, square) = (Model { kv_heads: None, ffn: 32, ..dense }, 32);
    let full = Model { linear: Some(Linear { low_rank: Some(square), round: None }), ..dense.clone() };
    let weights = named(&dense, net(&dense).flat());
    let mut two = Named::new();
    for (name, value) in &weights {
        let [first, second] = factors(name);
        if name.contains("_proj") {
            let one = Tensor::<B, 2>::eye(square, &Default::default());
            two.extend([(first, one.reshape([square * square])), (second, value.clone())]);
        } else {
            two.insert(name.clone(), value.clone());
        }
    }
    let logits = |model: &Model, net: Net<B>| net.logits(&batch(), &setting(model));
    let (got, right) = (logits(&full, with(&full, two)), logits(&dense, net(&dense)));
    assert!(apart(got, right) < 1e-5);
}

#[test]
fn sizes_are_rank_times_both_sides() {
    let model = model(RANK);
    let shape = model.shape(VOCABULARY, TOKENS);
    let all = Weight::all(&shape);
    let lengths: Vec<usize> = net(&model).flat().iter().map(|weight| weight.dims()[0]).collect();
    assert_eq!(lengths, all.iter().map(Weight::len).collect::<Vec<_>>());
    assert_eq!(
        lengths.iter().sum::<usize>() as u64,
        muse_model::count::Parameters::of(&shape).total(),
        "as they are counted"
    );
    let matrices = all.iter().filter(|weight| weight.role == Role::Matrix);
    let sides = 2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48);
    assert_eq!(matrices.map(Weight::len).sum::<usize>(), 2 * RANK * sides);
}

#[test]
fn at_the_start_products_are_as_large_as_whole_matrices_are() {
    let model = Model { init_std: 0.02, ..Model::new(8, 256, 4, 512) };
    let two = Model { linear: Some(Linear { low_rank: Some(16), round: None }), ..model.clone() };
    let size = |x: &Tensor<B, 1>| x.clone().powi_scalar(2).mean().into_scalar().sqrt();
    let (dense, made) = (named(&model, net(&model).flat()), products(&two, &named(&two, net(&two).flat())));
    for (name, dense) in dense.iter().filter(|(name, _)| name.contains("_proj")) {
        let (is, should) = (size(&made[name]), size(dense));
        assert!((is / should - 1.0).abs() < 0.25, "{name}: {is} and {should}");
    }
}

#[test]
fn a_head_that_is_clipped_has_logits_at_the_threshold() {
    let model = Model { qk_norm: false, kv_heads: None, ..model(RANK) };
    let peaks = |net: &Net<B>| net.hidden(&batch(), &setting(&model)).peaks;
    let before = peaks(&net(&model));
    let threshold = before[0].clone().mean().into_scalar().elem::<f64>();
    let one = Tensor::ones([1], &Default::default());
    let mut of_blocks = before.clone().into_iter();
    let clipped = net(&model).with_logits_scaled(|| Some(qk_clip::<B>(of_blocks.next()?, threshold, &one)));
    // What the second block reads is another when the first was clipped.
    let (was, is): (Vec<f32>, Vec<f32>) =
        (before[0].to_data().to_vec().unwrap(), peaks(&clipped)[0].to_data().to_vec().unwrap());
    for (was, is) in was.into_iter().zip(is) {
        let right = was.min(threshold as f32);
        assert!((is - right).abs() < 1e-3 * right.abs(), "{was} {is}, threshold {threshold}");
    }
}
