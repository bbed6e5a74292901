//! How many tokens a second a model of any size gives on the CPU: `cargo run --release -p muse-model --example decode`.
//!
//! The first number behind it is that of threads, two if it is left out; the others are sizes: layers, width, heads, heads of keys,
//! SwiGLU, vocabulary, and the length of the prompt.
#![expect(clippy::print_stdout, reason = "a program for people")]

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::config::Model;
use muse_model::decode::{Decoder, Kept, More, Room, Wanted};
use muse_model::kernels::{Ops, with_threads};
use muse_model::net::Weight;
use std::convert::Infallible;
use std::time::Instant;

type B = Flex;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens that are timed.
const TOKENS: usize = 64;

fn main() {
    let threads = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(2);
    with_threads(threads, run);
}

fn run() {
    let mut numbers = std::env::args().skip(2).filter_map(|word| word.parse::<usize>().ok());
    let mut next = |usual| numbers.next().unwrap_or(usual);
    let [layers, width, heads, kv_heads, ffn, vocabulary, prompt] =
        [12, 768, 12, 12, 2048, 32_000, 128].map(&mut next);
    let mut model = Model { kv_heads: Some(kv_heads), tied: true, ..Model::new(layers, width, heads, ffn) };
    model.vocab_size = Some(vocabulary);
    let room = Room { slots: 1, context: prompt + TOKENS };
    let shape = model.shape(1, room.context);
    let weights: usize = Weight::all(&shape).iter().map(Weight::len).sum();
    println!("{weights} parameters, a prompt of {prompt}, {TOKENS} tokens behind it");
    println!(
        "{:>6} {:>14} {:>14} {:>10} {:>12}",
        "kept", "prompt, tok/s", "decode, tok/s", "ms/token", "GB/s read"
    );
    let ids: Vec<u32> = (0..prompt).map(|at| (at * at % vocabulary) as u32).collect();
    for (kept, bytes) in [(Kept::F32, 4.0), (Kept::Bf16, 2.0), (Kept::Int8, 1.0625)] {
        let read = |weight: &Weight| {
            let numbers = B::noise(weight.len(), 1, &Default::default()).sub_scalar(0.5).mul_scalar(0.05);
            Ok::<TensorData, Infallible>(numbers.cast(DType::F32).into_data())
        };
        let Ok(mut decoder) = Decoder::<B>::new(&model, room, kept, &Default::default(), read);
        let begin = Instant::now();
        decoder.run(&[More { slot: 0, ids: &ids, wanted: Wanted::Last }]);
        let prefill = begin.elapsed().as_secs_f64();
        let mut times: Vec<f64> = (0..TOKENS as u32)
            .map(|id| {
                let begin = Instant::now();
                decoder.run(&[More { slot: 0, ids: &[id], wanted: Wanted::Last }]);
                begin.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times[TOKENS / 2];
        let rate = weights as f64 * bytes / median / 1e9;
        let kept = format!("{kept:?}").to_lowercase();
        let prefill = prompt as f64 / prefill;
        println!("{kept:>6} {prefill:>14.0} {:>14.1} {:>10.2} {rate:>12.1}", 1.0 / median, median * 1e3);
    }
}
