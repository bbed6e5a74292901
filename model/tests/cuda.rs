//! The model on a GPU against the same on the CPU: logits, loss and gradients. Needs one, so it runs by hand:
//! `cargo test -p muse-model --test cuda -- --ignored`, or its binary on a machine without Rust.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::{Cuda, Flex};
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::config::Model;
use muse_model::kernels::{NO_LABEL, Objective, Ops};
use muse_model::net::{Batch, Dropped, Net, Setting};
use muse_model::pass::{Recompute, pass};

const TOKENS: usize = 40;
const VOCABULARY: usize = 97;

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
    let dropped = Dropped { rate: model.dropout, seed: 11 };
    let plain = Setting::new(model, TOKENS, dtype, &device);
    let setting = Setting { dropped, ..plain.clone() };
    let objective =
        Objective { cross_entropy: 0.6, focal: 0.3, gamma: 2.0, smooth: 0.1, epsilon: 0.1, z: 1e-3 };
    let share = 1.0 / labels.iter().filter(|label| **label != NO_LABEL).count() as f64;
    let passed = pass(&net, &batch, &setting, &objective, share, recompute);
    let numbers = |x: Tensor<B, 1>| x.into_data().convert::<f32>().to_vec::<f32>().unwrap();
    let logits = net.logits(&batch, &plain);
    let len = logits.shape().num_elements();
    let mut all = vec![("logits".to_owned(), numbers(logits.reshape([len])))];
    all.push(("loss".into(), numbers(passed.loss)));
    all.push(("plain".into(), numbers(passed.plain)));
    all.extend(passed.peaks.into_iter().map(|peak| ("peak".to_owned(), numbers(peak))));
    let names = muse_model::net::Weight::all(&shape).into_iter().map(|weight| weight.name);
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

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_gives_what_the_cpu_gives() {
    let mut worst = 0.0_f32;
    for model in [
        model(|_| ()),
        model(|model| (model.tied, model.qk_norm) = (true, false)),
        model(|model| (model.window, model.dropout) = (Some(7), 0.2)),
    ] {
        for recompute in [Recompute::Nothing, Recompute::BlockOffloaded] {
            let right = run::<Flex>(&model, DType::F32, recompute);
            for ((name, got), (_, right)) in run::<Cuda>(&model, DType::F32, recompute).iter().zip(&right) {
                let apart = apart(got, right);
                worst = worst.max(apart);
                assert!(apart < 1e-4, "{name} of {model:?}: {apart}");
            }
            for ((name, got), (_, right)) in run::<Cuda>(&model, DType::BF16, recompute).iter().zip(&right) {
                let apart = apart(got, right);
                assert!(apart < 0.1, "{name} of {model:?} in bf16: {apart}");
            }
        }
    }
    assert!(worst > 0.0, "nothing was computed twice");
}
