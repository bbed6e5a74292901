//! How long a training step takes on a GPU, in bf16: `cargo bench -p muse-model --bench step -- 12 768 12 2048 32000 1024 32 20`.
//!
//! The numbers are layers, width, heads, SwiGLU, vocabulary, tokens of a sequence, sequences and steps. A line of JSON is printed.
#![expect(clippy::print_stdout, reason = "a program for people")]

use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::config::Model;
use muse_model::kernels::{Objective, gpu_memory};
use muse_model::net::{Batch, Net, Setting, Weight};
use muse_model::optim::{Optimizer, OptimizerConfig, clip_scale, global_norm};
use muse_model::pass::{Recompute, pass};
use std::time::Instant;

type B = Cuda;

fn main() {
    let started = Instant::now();
    let mut numbers = std::env::args().filter_map(|word| word.parse::<usize>().ok());
    let mut next = |usual| numbers.next().unwrap_or(usual);
    let [layers, width, heads, ffn, vocabulary, tokens, sequences, steps] =
        [12, 768, 12, 2048, 32_000, 1024, 32, 20].map(&mut next);
    let before = gpu_memory().unwrap_or(0);
    let device = Default::default();
    let model = Model::new(layers, width, heads, ffn);
    let shape = model.shape(vocabulary, tokens);
    let net = Net::<B>::new(&model, &shape, 1, &device);
    let parameters = net.num_params();
    let mut net = Some(net);
    let mut optimizer =
        Optimizer::<B>::new(&OptimizerConfig::default(), Weight::all(&shape), &device).expect("a usual one");
    let setting = Setting::new(&model, tokens, DType::BF16, &device);
    let rows = tokens * sequences;
    let mut made = 0_u64;
    // Until all of a pass was asked for; until its loss came back; until the update was asked for.
    let mut parts: Vec<[f64; 3]> = Vec::new();
    let mut step = || {
        let begin = Instant::now();
        let so_far = || begin.elapsed().as_secs_f64() * 1e3;
        made += 1;
        let ids: Vec<i32> = (0..rows).map(|at| (at * 7919 % vocabulary) as i32).collect();
        let batch = Batch::<B>::plain(tokens, &ids, &ids, &device);
        let acting = net.as_ref().expect("a step puts it back");
        let share = 1.0 / rows as f64;
        let passed = pass(acting, &batch, &setting, &Objective::PLAIN, share, Recompute::Nothing, None);
        let asked = so_far();
        let norm = global_norm::<B>(passed.grads.iter());
        let loss = passed.loss.into_scalar();
        let read = so_far();
        optimizer.begin(made, 1e-4, clip_scale(norm, 1.0));
        let mut grads = passed.grads.into_iter();
        let change = |at, weight| match grads.next() {
            Some(grad) => optimizer.update(at, weight, grad),
            None => weight,
        };
        net = net.take().map(|net| net.changed(change));
        parts.push([asked, read, so_far()]);
        loss
    };
    let first_loss = step();
    let first = started.elapsed().as_secs_f64();
    (0..4).for_each(|_| {
        step();
    });
    let mut times = Vec::new();
    let begin = Instant::now();
    let mut loss = 0.0;
    for _ in 0..steps {
        let begin = Instant::now();
        loss = step();
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let mean = begin.elapsed().as_secs_f64() * 1e3 / steps as f64;
    times.sort_by(f64::total_cmp);
    let median = |part: usize| {
        let mut all: Vec<f64> = parts.iter().skip(5).map(|parts| parts[part]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let [asked, read, updated] = [0, 1, 2].map(median);
    let memory = (gpu_memory().unwrap_or(0) - before) as f64 / (1_u64 << 30) as f64;
    let peak = 6.0 * parameters as f64 * rows as f64 / mean / 1e9 / 990.0;
    println!(
        "{{\"params\": {parameters}, \"batch\": {sequences}, \"ms_per_step\": {mean:.2}, \"median\": {:.2}, \
         \"tokens_per_s\": {:.0}, \"mfu\": {peak:.4}, \"gib\": {memory:.2}, \"first_step_s\": {first:.1}, \
         \"asked\": {asked:.2}, \"read\": {read:.2}, \"updated\": {updated:.2}, \
         \"loss\": [{first_loss:.4}, {loss:.4}]}}",
        times[times.len() / 2],
        rows as f64 / mean * 1e3,
    );
}
