//! Rows for tokens that are made of two cores: the same model as with the table that they make, down to the gradients.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::acting::table;
use muse_model::buckets::Onto;
use muse_model::config::{Embedding, Model, Round};
use muse_model::count::Parameters;
use muse_model::decode::{Cpu, Decoder, DeviceError, Kept, More, Room, Wanted, rows_of};
use muse_model::kernels::Objective;
use muse_model::net::{Batch, Dropped, Net, Setting, Weight};
use muse_model::pass::{Recompute, pass};
use std::collections::BTreeMap;

type B = Flex;
/// Weights or gradients by name.
type Named = BTreeMap<String, Vec<f32>>;

/// One token more than the cores' rows would have if both had seven, and rows that end before the cores' do.
const VOCABULARY: usize = 50;
const WIDTH: usize = 34;
const TOKENS: usize = 12;
const ROUNDS: [Option<Round>; 2] = [None, Some(Round::Int8)];

fn model(tied: bool, round: Option<Round>) -> Model {
    let embedding = Some(Embedding { round, ..Embedding::of_rank(3) });
    Model { tied, init_std: 0.3, embedding, head_width: Some(8), ..Model::new(2, WIDTH, 4, 48) }
}

fn net(model: &Model) -> Net<B> {
    Net::new(model, &model.shape(VOCABULARY, TOKENS), 1, &Default::default())
}

fn weights(model: &Model) -> Vec<Weight> {
    Weight::all(&model.shape(VOCABULARY, TOKENS))
}

fn named(model: &Model, all: Vec<Tensor<B, 1>>) -> Named {
    let numbers = all.into_iter().map(|tensor| tensor.into_data().to_vec().unwrap());
    weights(model).into_iter().map(|weight| weight.name).zip(numbers).collect()
}

/// A net with these weights.
fn with(model: &Model, all: &Named) -> Net<B> {
    let weights = weights(model);
    net(model).changed(|at, was| {
        let numbers = all[&weights[at].name].clone();
        let shape = [numbers.len()];
        Tensor::from_data(TensorData::new(numbers, shape), (&was.device(), DType::F32))
    })
}

const PARTS: [&str; 3] = ["a", "b", "phase"];

/// What a table is made of, by its name.
fn parts(all: &Named, module: &str) -> [Vec<f32>; 3] {
    PARTS.map(|part| all[&format!("{module}.{part}.weight")].clone())
}

fn made(model: &Model, parts: [Vec<f32>; 3]) -> Vec<f32> {
    table(model.embedding.unwrap(), &model.shape(VOCABULARY, TOKENS), parts)
}

fn modules(model: &Model) -> Vec<&'static str> {
    if model.tied { vec!["model.embed_tokens"] } else { vec!["model.embed_tokens", "lm_head"] }
}

/// The weights of the model that has the tables.
fn whole(model: &Model, all: &Named) -> Named {
    let mut whole = all.clone();
    for module in modules(model) {
        whole.retain(|name, _| !name.starts_with(module));
        whole.insert(format!("{module}.weight"), made(model, parts(all, module)));
    }
    whole
}

fn batch() -> Batch<B> {
    let ids: Vec<i32> = (0..2 * TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect();
    let labels: Vec<i32> = ids.iter().map(|id| (id * 3 + 1) % VOCABULARY as i32).collect();
    Batch::plain(TOKENS, &ids, &labels, &Default::default())
}

fn setting(model: &Model, rate: f64) -> Setting<B> {
    let dropped = Dropped { rate, attention: 0.0, seed: 3 };
    Setting { dropped, ..Setting::new(model, TOKENS, DType::F32, &Default::default()) }
}

fn gradients(model: &Model, net: &Net<B>) -> (f64, Named) {
    let share = 1.0 / (2 * TOKENS) as f64;
    let made = pass(
        net,
        &batch(),
        &setting(model, 0.2),
        &Objective::PLAIN,
        share,
        Recompute::Nothing,
        Onto::nothing(),
    );
    (made.loss.into_scalar().elem(), named(model, made.grads))
}

/// Holds numbers to within a share of the largest.
#[track_caller]
fn near(what: &str, got: &[f32], right: &[f32], tolerance: f32) {
    assert_eq!(got.len(), right.len(), "{what}");
    let most = right.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
    let off = got.iter().zip(right).fold(0.0_f32, |off, (a, b)| off.max((a - b).abs()));
    assert!(off <= tolerance * most, "{what}: off by {off} of {most}");
}

#[test]
fn it_is_the_model_that_has_the_table_forward_and_back() {
    for tied in [false, true] {
        let model = model(tied, None);
        let all = named(&model, net(&model).flat());
        let plain = model.whole();
        let (right, of_whole) = gradients(&plain, &with(&plain, &whole(&model, &all)));
        let (loss, grads) = gradients(&model, &net(&model));
        assert!((loss - right).abs() < 1e-5 * right, "{loss} {right}");
        for (name, grad) in of_whole.iter().filter(|(name, _)| grads.contains_key(*name)) {
            near(name, &grads[name], grad, 1e-4);
        }
        // What flows back to the table goes on to its parts: by small steps of each of their numbers.
        for module in modules(&model) {
            let of_table = &of_whole[&format!("{module}.weight")];
            let own = parts(&all, module);
            let along = |parts: [Vec<f32>; 3]| -> f64 {
                let table = made(&model, parts);
                table.iter().zip(of_table).map(|(x, grad)| f64::from(*x) * f64::from(*grad)).sum()
            };
            for (which, got) in parts(&grads, module).iter().enumerate() {
                let slope = |at: usize| {
                    let moved = |by: f32| {
                        let mut parts = own.clone();
                        parts[which][at] += by;
                        along(parts)
                    };
                    ((moved(0.004) - moved(-0.004)) / 0.008) as f32
                };
                let right: Vec<f32> = (0..own[which].len()).map(slope).collect();
                near(&format!("{module} {}, tied {tied}", PARTS[which]), got, &right, 5e-3);
                assert!(got.iter().any(|grad| grad.abs() > 1e-5), "nothing comes back to {}", PARTS[which]);
            }
        }
    }
}

#[test]
fn a_model_in_use_and_an_evaluation_see_the_same_rows() {
    for round in ROUNDS {
        let model = Model { vocab_size: Some(VOCABULARY), ..model(false, round) };
        let all = named(&model, net(&model).flat());
        let logits: Vec<f32> =
            net(&model).logits(&batch(), &setting(&model, 0.0)).into_data().to_vec().unwrap();
        let read = |weight: &Weight, rows| Ok::<_, DeviceError>(rows_of(weight, &all[&weight.name], rows));
        let room = Room { slots: 1, context: TOKENS };
        let mut decoder = Decoder::new(&model, room, Cpu::new(Kept::F32), read).unwrap();
        let ids: Vec<u32> = (0..TOKENS).map(|at| (at * at * 7 % VOCABULARY) as u32).collect();
        let got = decoder.run(&[More { slot: 0, ids: &ids, wanted: Wanted::All }]).unwrap();
        near(&format!("{round:?}"), &got, &logits[..TOKENS * VOCABULARY], 1e-4);
        let loss = net(&model).loss(&batch(), &setting(&model, 0.2), &Objective::PLAIN, 1.0 / 24.0);
        let (of_pass, _) = gradients(&model, &net(&model));
        assert!((f64::from(loss.loss.into_scalar()) - of_pass).abs() < 1e-5 * of_pass);
    }
}

#[test]
fn it_learns_whether_rounded_or_not() {
    for round in ROUNDS {
        let model = model(true, round);
        let (first, _) = gradients(&model, &net(&model));
        let (mut all, mut last) = (named(&model, net(&model).flat()), first);
        for _ in 0..40 {
            let (loss, grads) = gradients(&model, &with(&model, &all));
            last = loss;
            for (name, grad) in grads {
                let size = (grad.iter().map(|x| x * x).sum::<f32>() / grad.len() as f32).sqrt().max(1e-12);
                let own = all.get_mut(&name).unwrap();
                own.iter_mut().zip(grad).for_each(|(x, grad)| *x -= 0.02 * grad / size);
            }
        }
        assert!(last < first - 1.0, "{round:?}: from {first} to {last}");
    }
}

#[test]
fn rounded_cores_make_another_table_and_learn_as_they_are() {
    let [plain, rounded] = ROUNDS.map(|round| model(true, round));
    let all = named(&plain, net(&plain).flat());
    assert_eq!(all, named(&rounded, net(&rounded).flat()), "they begin alike");
    let [right, got] = [&plain, &rounded].map(|model| made(model, parts(&all, "model.embed_tokens")));
    assert_ne!(got, right);
    near("8 bits", &got, &right, 0.02);
    let (_, grads) = gradients(&rounded, &net(&rounded));
    assert!(parts(&grads, "model.embed_tokens").iter().all(|grad| grad.iter().any(|x| *x != 0.0)));
}

#[test]
fn parts_of_rows_have_a_norm_of_one_whatever_cores_hold() {
    let model = model(true, None);
    let parts = parts(&named(&model, net(&model).flat()), "model.embed_tokens");
    let right = made(&model, parts.clone());
    let [first, second, phase] = parts;
    let larger = [first.iter().map(|x| x * 7.0).collect(), second.iter().map(|x| x * 0.1).collect(), phase];
    near("other sizes", &made(&model, larger), &right, 1e-5);
}

#[test]
fn sizes_are_as_they_are_counted() {
    for tied in [false, true] {
        let model = model(tied, None);
        let lengths: Vec<usize> = net(&model).flat().iter().map(|weight| weight.dims()[0]).collect();
        assert_eq!(lengths, weights(&model).iter().map(Weight::len).collect::<Vec<_>>());
        let total = Parameters::of(&model.shape(VOCABULARY, TOKENS)).total();
        assert_eq!(lengths.iter().sum::<usize>() as u64, total);
    }
    // Rows 8 and 7, and 6 times 6 columns, of 3 ranks.
    assert_eq!(weights(&model(true, None))[0].shape, [8, 18]);
    assert_eq!(weights(&model(true, None))[1].shape, [7, 18]);
}
