//! How long a training step takes on the CPU, and where the time goes: `cargo run --release -p muse-model --example speed`.
//!
//! The first number behind it is that of threads, two if it is left out; the others are sizes.
#![expect(clippy::print_stdout, reason = "a program for people")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::Model;
use muse_model::kernels::{AdamStep, Objective, Ops, with_threads};
use muse_model::net::{Batch, Net, Setting};
use muse_model::pass::{Recompute, pass};
use std::time::Instant;

type B = Flex;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let threads = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(2);
    with_threads(threads, run);
}

fn run() {
    let mut numbers = std::env::args().skip(2).filter_map(|word| word.parse::<usize>().ok());
    let mut next = |usual| numbers.next().unwrap_or(usual);
    let [layers, width, heads, ffn, vocabulary, tokens, sequences, steps] =
        [4, 128, 4, 512, 65, 64, 12, 100].map(&mut next);
    let device = Default::default();
    let mut model = Model::new(layers, width, heads, ffn);
    model.qk_norm = false;
    let shape = model.shape(vocabulary, tokens);
    let mut net = Net::<B>::new(&model, &shape, 1, &device);
    println!("{} parameters, {} tokens a step", net.num_params(), tokens * sequences);
    let ids: Vec<i32> = (0..tokens * sequences).map(|at| (at * at % vocabulary) as i32).collect();
    let batch = Batch::<B>::plain(tokens, &ids, &ids, &device);
    let setting = Setting::new(&model, tokens, DType::F32, &device);
    let (share, scale) = (1.0 / ids.len() as f64, Tensor::<B, 1>::ones([1], &device));
    let mut means: Vec<_> = net.flat().into_iter().map(|w| Some([w.zeros_like(), w.zeros_like()])).collect();
    let mut times: Vec<[f64; 3]> = Vec::new();
    for step in 1..=steps as u64 {
        let begin = Instant::now();
        let passed =
            pass(&net, &batch, &setting, &Objective::PLAIN, share, Recompute::Nothing, Onto::nothing());
        let passed_at = begin.elapsed();
        let norm: f32 = passed.grads.iter().map(|grad| B::sum_squares(grad.clone()).into_scalar()).sum();
        let mut grads = passed.grads.into_iter();
        let step = AdamStep {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            decay: 0.1,
            scale: scale.clone(),
            step,
        };
        net = net.changed(|at, weight| {
            let (Some(grad), Some(old)) = (grads.next(), means[at].take()) else { return weight };
            let [mean, square] = old;
            let [weight, mean, square] = B::adamw(vec![[weight, grad, mean, square]], &step).remove(0);
            means[at] = Some([mean, square]);
            weight
        });
        let all = begin.elapsed();
        times.push([all, passed_at, all - passed_at].map(|time| time.as_secs_f64() * 1e3));
        if step.step == steps as u64 {
            println!("loss {:.4}, norm {:.4}", passed.loss.into_scalar(), norm.sqrt());
        }
    }
    for (which, name) in ["step", "forward and back", "update"].into_iter().enumerate() {
        let mut column: Vec<f64> = times.iter().skip(5).map(|row| row[which]).collect();
        column.sort_by(f64::total_cmp);
        println!("{name}: median {:.2} ms, best {:.2} ms", column[column.len() / 2], column[0]);
    }
}
