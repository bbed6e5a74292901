//! What must hold of every mixer: no token knows of those behind it, documents are apart, gradients are slopes, every field counts.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Bk, Linear, Mixer, Mixers, Mla, Model, Round, Ttt, Views};
use muse_model::count::{Inference, Parameters};
use muse_model::kernels::{Objective, Ops};
use muse_model::net::{Batch, Dropped, Net, Role, Setting, Weight};
use muse_model::optim::qk_clip;
use muse_model::pass::{Pass, Recompute, pass};
use std::collections::HashMap;

type B = Flex;

const VOCABULARY: usize = 40;
const TOKENS: usize = 70;

const MLA: Mla =
    Mla { rank: 10, value_rank: None, query_rank: None, nope_width: 6, rope_width: 4, bias: false };

fn of(mixers: &[Mixer]) -> Model {
    let mla = mixers.contains(&Mixer::Mla).then_some(MLA);
    let mixers = Some(Mixers::try_from(mixers.to_vec()).unwrap());
    Model { mixers, mla, init_std: 0.3, scaled_init: false, ..Model::new(2, 32, 4, 24) }
}

/// A model of every kind, by name.
fn kinds() -> Vec<(&'static str, Model)> {
    let mla = |change: fn(&mut Mla)| {
        let mut mla = MLA;
        change(&mut mla);
        Model { mla: Some(mla), ..of(&[Mixer::Mla]) }
    };
    let ttt = |ttt| Model { ttt: Some(ttt), ..of(&[Mixer::Ttt]) };
    vec![
        ("mla", mla(|_| ())),
        (
            "mla of NANO-KIMI",
            Model { qk_norm: false, ..mla(|mla| (mla.value_rank, mla.bias) = (Some(12), true)) },
        ),
        ("mla of DeepSeek", mla(|mla| mla.query_rank = Some(14))),
        ("ttt", ttt(Ttt { rate: 0.7, views: Views::Three })),
        (
            "ttt of Bit-Llama",
            Model { heads: 1, head_width: Some(8), ..ttt(Ttt { rate: 0.1, views: Views::One }) },
        ),
        ("bk", Model { bk: Some(Bk { chains: 3 }), ..of(&[Mixer::Bk]) }),
        ("hyperbolic", Model { kv_heads: Some(2), ..of(&[Mixer::Hyperbolic]) }),
        ("with a bias", Model { head_bias: true, ..Model::new(2, 32, 4, 24) }),
        ("with a bias, tied", Model { head_bias: true, tied: true, ..of(&[Mixer::Ttt]) }),
        ("one after the other", Model { window: Some(50), ..of(&[Mixer::Ttt, Mixer::Attention]) }),
    ]
}

fn net(model: &Model) -> Net<B> {
    assert_eq!(model.check(), []);
    let shape = model.shape(VOCABULARY, TOKENS);
    let weights = Weight::all(&shape);
    let device = Default::default();
    // Rows of a few numbers begin alike, which would tell none from another.
    Net::new(model, &shape, 1, &device).changed(|at, weight| match weights[at].role {
        Role::Norm => weight + (B::noise(weights[at].len(), at as u64, &device) - 0.5).mul_scalar(0.6),
        _ => weight,
    })
}

fn setting(model: &Model) -> Setting<B> {
    Setting::new(model, TOKENS, DType::F32, &Default::default())
}

fn ids() -> Vec<i32> {
    (0..TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect()
}

/// A sequence of documents of these lengths.
fn batch(model: &Model, ids: &[i32], documents: &[usize]) -> Batch<B> {
    let positions: Vec<i32> = documents.iter().flat_map(|length| 0..*length as i32).collect();
    let window = model.window.unwrap_or(TOKENS) as i32;
    let starts: Vec<i32> = (0..).zip(&positions).map(|(at, place)| at - (*place).min(window - 1)).collect();
    let labels: Vec<i32> = ids.iter().map(|id| (id * 3 + 1) % VOCABULARY as i32).collect();
    Batch::new(TOKENS, [ids, &labels, &positions, &starts], &Default::default())
}

fn numbers<const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().to_vec().unwrap()
}

fn logits(model: &Model, ids: &[i32], documents: &[usize]) -> Vec<Vec<f32>> {
    let all = numbers(net(model).logits(&batch(model, ids, documents), &setting(model)));
    all.chunks(VOCABULARY).map(<[f32]>::to_vec).collect()
}

#[test]
fn no_token_knows_of_those_behind_it_or_of_other_documents() {
    for (name, model) in kinds() {
        for documents in [&[TOKENS][..], &[23, 41, 6]] {
            let before = logits(&model, &ids(), documents);
            for at in [0, 22, 23, 40, 63, 64, 69] {
                let mut after = ids();
                after[at] = (after[at] + 1) % VOCABULARY as i32;
                let after = logits(&model, &after, documents);
                let mut first = 0;
                let own = documents.iter().find_map(|length| {
                    first += length;
                    (at < first).then_some(first - length..first)
                });
                let own = own.unwrap();
                for (row, (before, after)) in before.iter().zip(&after).enumerate() {
                    let apart = before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    let sees = own.contains(&row) && row >= at;
                    // Products of whole chunks add up what is hidden as zeros: to the bit, but for their order.
                    assert!(sees || apart < 1e-5, "{name}: {row} knows of {at}: {apart}");
                    assert!(row != at || apart > 1e-3, "{name}: {row} does not know of itself");
                }
                let next = before.iter().zip(&after).skip(at + 1).take(own.end - at - 1);
                assert!(
                    own.end == at + 1 || next.into_iter().any(|(before, after)| before != after),
                    "{name}: nobody knows of {at}"
                );
            }
        }
    }
}

fn run(model: &Model, net: &Net<B>, documents: &[usize], recompute: Recompute) -> Pass<B> {
    let share = 1.0 / TOKENS as f64;
    let batch = batch(model, &ids(), documents);
    pass(net, &batch, &setting(model), &Objective::PLAIN, share, recompute, Onto::nothing())
}

#[test]
fn gradients_are_slopes_in_every_weight() {
    for (name, model) in kinds() {
        let (documents, weights) = (&[23, 41, 6][..], Weight::all(&model.shape(VOCABULARY, TOKENS)));
        let net = net(&model);
        let made = run(&model, &net, documents, Recompute::Nothing);
        let again = run(&model, &net, documents, Recompute::Block);
        for (at, weight) in weights.iter().enumerate() {
            let grad = made.grads[at].clone();
            assert_eq!(numbers(grad.clone()), numbers(again.grads[at].clone()), "{name}: {}", weight.name);
            // Along the gradient, where the slope is its length.
            let length = numbers((grad.clone() * grad.clone()).sum())[0].sqrt();
            assert!(length > 1e-6, "{name}: nothing comes back to {}", weight.name);
            let step = 2e-3 * (weight.len() as f32).sqrt().min(4.0);
            let at_step = |by: f32| {
                let way = grad.clone().mul_scalar(by / length);
                let moved = net.clone().changed(|place, x| if place == at { x + way.clone() } else { x });
                let batch = batch(&model, &ids(), documents);
                let loss = moved.loss(&batch, &setting(&model), &Objective::PLAIN, 1.0 / TOKENS as f64);
                f64::from(numbers(loss.loss)[0])
            };
            let slope = (at_step(step) - at_step(-step)) / (2.0 * f64::from(step));
            let off = (slope - f64::from(length)).abs();
            assert!(off < 0.03 * f64::from(length) + 2e-4, "{name}: {}: {length}, but {slope}", weight.name);
        }
    }
}

#[test]
fn weights_have_the_sizes_that_are_counted() {
    for (name, model) in kinds() {
        for linear in [None, Some(Linear { low_rank: Some(2), round: None })] {
            if linear.is_some() && model.mla.is_some() {
                continue;
            }
            let model = Model { linear, ..model.clone() };
            let shape = model.shape(VOCABULARY, TOKENS);
            let lengths: Vec<usize> = net(&model).flat().iter().map(|weight| weight.dims()[0]).collect();
            assert_eq!(lengths, Weight::all(&shape).iter().map(Weight::len).collect::<Vec<_>>(), "{name}");
            assert_eq!(net(&model).num_params() as u64, Parameters::of(&shape).total(), "{name}");
        }
    }
}

/// What a block of latent attention adds to `x`, by loops in f64 over the weights of their names: keys and values are made, head by head.
fn latent_by_loops(model: &Model, weights: &HashMap<String, Vec<f64>>, x: &[f64]) -> Vec<f64> {
    let (mla, width, heads, of_value) = (model.mla.unwrap(), model.width, model.heads, model.head_width());
    let of = |name: &str| &weights[&format!("model.layers.0.{name}")];
    let norm = |x: &[f64], name: &str| -> Vec<f64> {
        let weight = of(name);
        let rows = x.chunks(weight.len());
        let normed = rows.flat_map(|row| {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
            row.iter().zip(weight).map(move |(x, w)| x * w / (mean + model.norm_eps).sqrt())
        });
        normed.collect()
    };
    let times = |x: &[f64], name: &str, input: usize| -> Vec<f64> {
        let matrix = of(&format!("self_attn.{name}.weight"));
        let row = |x: &[f64]| -> Vec<f64> {
            matrix.chunks(input).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
        };
        x.chunks(input).flat_map(row).collect()
    };
    let if_normed = |x: Vec<f64>, name: &str| {
        if model.qk_norm { norm(&x, &format!("self_attn.{name}.weight")) } else { x }
    };
    let turned = |row: &[f64], place: usize| -> Vec<f64> {
        let half = row.len() / 2;
        let angle = |at: usize| place as f64 * model.rope.theta.powf(-(at as f64) / half as f64);
        let first = (0..half).map(|at| row[at] * angle(at).cos() - row[at + half] * angle(at).sin());
        let second = (0..half).map(|at| row[at] * angle(at).sin() + row[at + half] * angle(at).cos());
        first.chain(second).collect()
    };
    let x = norm(x, "input_layernorm.weight");
    let query = match mla.query_rank {
        None => times(&x, "q_proj", width),
        Some(rank) => times(&if_normed(times(&x, "q_a_proj", width), "q_a_layernorm"), "q_b_proj", rank),
    };
    let latent = if_normed(times(&x, "k_a_proj", width), "k_a_layernorm");
    let of_values = match mla.value_rank {
        None => latent.clone(),
        Some(_) => if_normed(times(&x, "v_a_proj", width), "v_a_layernorm"),
    };
    let (key, shared) = (times(&latent, "k_b_proj", mla.rank), times(&x, "k_rope_proj", width));
    let value = times(&of_values, "v_b_proj", mla.value_rank());
    let mut answers = vec![0.0; TOKENS * heads * of_value];
    for (t, h) in (0..TOKENS).flat_map(|t| (0..heads).map(move |h| (t, h))) {
        let query = &query[(t * heads + h) * mla.key_width()..][..mla.key_width()];
        let (as_it_is, rest) = query.split_at(mla.nope_width);
        let query = [as_it_is.to_vec(), turned(rest, t)].concat();
        let logit = |j: usize| -> f64 {
            let own = &key[(j * heads + h) * mla.nope_width..][..mla.nope_width];
            let key = [own.to_vec(), turned(&shared[j * mla.rope_width..][..mla.rope_width], j)].concat();
            query.iter().zip(key).map(|(a, b)| a * b).sum::<f64>() / (mla.key_width() as f64).sqrt()
        };
        let shares: Vec<f64> = (0..=t).map(|j| logit(j).exp()).collect();
        let sum: f64 = shares.iter().sum();
        for (j, share) in shares.iter().enumerate() {
            for at in 0..of_value {
                let value = value[(j * heads + h) * of_value + at];
                answers[(t * heads + h) * of_value + at] += share / sum * value;
            }
        }
    }
    let mut added = times(&answers, "o_proj", heads * of_value);
    if mla.bias {
        let bias = of("self_attn.o_proj.bias");
        added.iter_mut().zip(bias.iter().cycle()).for_each(|(x, bias)| *x += bias);
    }
    added
}

#[test]
fn latent_attention_is_attention_to_keys_and_values_that_are_made() {
    for (name, model) in kinds().into_iter().filter(|(name, _)| name.starts_with("mla")) {
        let model = Model { layers: 1, ..model };
        let names = Weight::all(&model.shape(VOCABULARY, TOKENS));
        // SwiGLU adds nothing.
        let net = net(&model).changed(|at, weight| {
            if names[at].name.contains(".down_proj.") { weight.zeros_like() } else { weight }
        });
        let wide = |x: Vec<f32>| x.into_iter().map(f64::from).collect::<Vec<f64>>();
        let weights = names.iter().zip(net.flat());
        let weights = weights.map(|(weight, x)| (weight.name.clone(), wide(numbers(x)))).collect();
        let (batch, setting) = (batch(&model, &ids(), &[TOKENS]), setting(&model));
        let x = wide(numbers(net.embedded(&batch, &setting)));
        let got = wide(numbers(net.hidden(&batch, &setting).state));
        let right = latent_by_loops(&model, &weights, &x);
        for (at, ((got, x), right)) in got.iter().zip(&x).zip(&right).enumerate() {
            assert!(
                (got - x - right).abs() < 1e-4 * right.abs().max(1.0),
                "{name}: {at}: {} {right}",
                got - x
            );
        }
    }
}

#[test]
fn what_tokens_take_of_each_other_is_dropped_where_they_look_back() {
    for mixer in [Mixer::Attention, Mixer::Mla, Mixer::Hyperbolic] {
        let (model, documents) = (of(&[mixer]), [TOKENS]);
        let net = net(&model);
        let run = |attention: f64, seed| {
            let dropped = Dropped { rate: 0.0, attention, seed };
            let setting = Setting { dropped, ..setting(&model) };
            numbers(net.hidden(&batch(&model, &ids(), &documents), &setting).state)
        };
        assert_eq!(run(0.3, 1), run(0.3, 1), "{mixer:?}");
        assert_ne!(run(0.3, 1), run(0.3, 2), "{mixer:?}");
        assert_ne!(run(0.3, 1), run(0.0, 1), "{mixer:?}");
    }
}

#[test]
fn latent_attention_of_nano_kimi_has_its_sizes() {
    let mla = Mla {
        rank: 256,
        value_rank: Some(256),
        query_rank: None,
        nope_width: 56,
        rope_width: 56,
        bias: true,
    };
    let model = Model { mla: Some(mla), qk_norm: false, ..Model::new(6, 896, 8, 1024) };
    let model = Model { mixers: Some(Mixers::all(Mixer::Mla)), ..model };
    let shape = model.shape(49_152, 1024);
    let of_block = Weight::of_block(&shape, 0);
    let own = of_block.iter().filter(|weight| weight.name.contains(".self_attn."));
    assert_eq!(own.map(Weight::len).sum::<usize>(), 2_459_520);
    assert_eq!(Inference::of(&shape).cache_per_token, 6 * 568 * 2);
    let heads = Model::new(6, 896, 8, 1024).shape(49_152, 1024);
    assert_eq!(Inference::of(&heads).cache_per_token, 6 * 1792 * 2);
}

type Field = (&'static str, fn(&mut Mla));

#[test]
fn every_field_of_a_mixer_changes_what_comes_out() {
    let changed = |name: &str, model: &Model, change: &dyn Fn(&mut Model)| {
        let mut other = model.clone();
        change(&mut other);
        assert_ne!(logits(model, &ids(), &[TOKENS]), logits(&other, &ids(), &[TOKENS]), "{name}");
    };
    let mla = of(&[Mixer::Mla]);
    let fields: [Field; 6] = [
        ("rank", |mla| mla.rank = 11),
        ("value_rank", |mla| mla.value_rank = Some(10)),
        ("query_rank", |mla| mla.query_rank = Some(10)),
        ("nope_width", |mla| mla.nope_width = 7),
        ("rope_width", |mla| mla.rope_width = 6),
        ("bias", |mla| mla.bias = true),
    ];
    for (name, change) in fields {
        changed(name, &mla, &|model| change(model.mla.as_mut().unwrap()));
    }
    for (name, change) in [
        ("qk_norm", (|model| model.qk_norm = false) as fn(&mut Model)),
        ("window", |model| model.window = Some(5)),
        ("rope", |model| model.rope.theta = 1e6),
        ("head_width", |model| model.head_width = Some(10)),
    ] {
        changed(name, &mla, &change);
        changed(name, &of(&[Mixer::Hyperbolic]), &change);
    }
    changed("kv_heads", &of(&[Mixer::Hyperbolic]), &|model| model.kv_heads = Some(2));
    let ttt = of(&[Mixer::Ttt]);
    changed("rate", &ttt, &|model| model.ttt = Some(Ttt { rate: 0.2, ..Ttt::default() }));
    changed("views", &ttt, &|model| model.ttt = Some(Ttt { views: Views::One, ..Ttt::default() }));
    changed("head_width", &ttt, &|model| model.head_width = Some(10));
    changed("heads", &ttt, &|model| (model.heads, model.head_width) = (2, Some(8)));
    let bk = of(&[Mixer::Bk]);
    changed("chains", &bk, &|model| model.bk = Some(Bk { chains: 2 }));
    changed("heads", &bk, &|model| model.heads = 2);
    changed("mixers", &bk, &|model| model.mixers = of(&[Mixer::Bk, Mixer::Attention]).mixers);
    let rounded =
        |model: &mut Model| model.linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
    for (name, model) in kinds() {
        changed(name, &model, &rounded);
    }
}

#[test]
fn heads_that_are_clipped_have_logits_at_the_threshold() {
    let kimi = Mla { value_rank: Some(12), bias: true, ..MLA };
    for (model, shared) in [
        (Model { mla: Some(kimi), qk_norm: false, ..of(&[Mixer::Mla]) }, false),
        (Model { qk_norm: false, ..Model::new(2, 32, 4, 24) }, false),
        (Model { qk_norm: false, kv_heads: Some(2), ..Model::new(2, 32, 4, 24) }, true),
        (Model { qk_norm: false, ..of(&[Mixer::Bk, Mixer::Mla]) }, false),
    ] {
        let model = Model { init_std: 0.3, ..model };
        let (net, batch, setting) = (net(&model), batch(&model, &ids(), &[TOKENS]), setting(&model));
        let peaks =
            |net: &Net<B>| net.hidden(&batch, &setting).peaks.into_iter().map(numbers).collect::<Vec<_>>();
        let before = peaks(&net);
        let threshold = before[0].iter().sum::<f32>() / before[0].len() as f32;
        let one = Tensor::ones([1], &Default::default());
        let mut of_blocks = net.hidden(&batch, &setting).peaks.into_iter();
        let clipped = net
            .clone()
            .with_logits_scaled(|| Some(qk_clip::<B>(of_blocks.next()?, f64::from(threshold), &one)));
        assert!(of_blocks.next().is_none(), "each block with logits had its turn");
        // What the next block reads is another when this one was clipped.
        let after = peaks(&clipped);
        assert!(before[0].iter().any(|peak| *peak < threshold));
        for (before, after) in before[0].iter().zip(&after[0]) {
            let right = before.min(threshold);
            assert!((after - right).abs() < 1e-3 * right.abs(), "{before} {after}, threshold {threshold}");
        }
        let weights = Weight::all(&model.shape(VOCABULARY, TOKENS));
        let changes = |name: &str| {
            let at = weights.iter().rposition(|weight| weight.name.contains(name)).unwrap();
            numbers(net.flat()[at].clone()) != numbers(clipped.flat()[at].clone())
        };
        assert!(changes(".q_proj."));
        if model.mla.is_some() {
            assert!(changes(".k_b_proj.") && !changes(".k_a_proj.") && !changes(".k_rope_proj."));
        } else {
            assert_eq!(changes(".k_proj."), !shared, "keys that heads share stay");
        }
    }
}

#[test]
fn weights_in_bf16_stay_so_when_heads_are_clipped() {
    let model = Model { qk_norm: false, ..of(&[Mixer::Mla]) };
    let net = net(&model).changed(|_, weight| weight.cast(DType::BF16));
    let half = || Some(Tensor::from_data([0.5_f32, 1.0, 1.0, 1.0], &Default::default()));
    let clipped = net.with_logits_scaled(half);
    assert!(clipped.flat().iter().all(|weight| weight.dtype() == DType::BF16));
}
