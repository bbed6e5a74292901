//! How many tokens a second a model of any size gives: `cargo run --release -p muse-model --example decode -- cpu`, or `gpu`, or with `bf16` or another
//! precision behind it for that one alone.
//!
//! Numbers behind it: texts that are written side by side, one if it is left out; threads, two; then sizes: layers, width, heads,
//! heads of keys, SwiGLU, vocabulary, and the length of the prompt. Each token is the likeliest, as `generate --temperature 0` takes it.
#![expect(clippy::print_stdout, reason = "a program for people")]

use burn::backend::Flex;
use muse_model::config::Model;
use muse_model::decode::{
    Cpu, Decode, Decoder, DeviceError, DeviceResult, Kept, More, Room, Sampler, Sampling, Wanted, gpu,
};
use muse_model::kernels::{Ops, with_threads};
use muse_model::net::Weight;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens that are timed.
const TOKENS: usize = 128;

fn main() -> DeviceResult<()> {
    let on_gpu = std::env::args().nth(1).is_some_and(|word| word == "gpu");
    let mut numbers = std::env::args().skip(2).filter_map(|word| word.parse::<usize>().ok());
    let mut next = |usual| numbers.next().unwrap_or(usual);
    let sizes = [1, 2, 12, 768, 12, 12, 2048, 32_000, 128].map(&mut next);
    with_threads(sizes[1], || run(on_gpu, sizes))
}

fn run(
    on_gpu: bool,
    [texts, _, layers, width, heads, kv_heads, ffn, vocabulary, prompt]: [usize; 9],
) -> DeviceResult<()> {
    let mut model = Model { kv_heads: Some(kv_heads), tied: true, ..Model::new(layers, width, heads, ffn) };
    model.vocab_size = Some(vocabulary);
    let room = Room { slots: texts, context: prompt + TOKENS };
    let weights: usize = Weight::all(&model.shape(1, room.context)).iter().map(Weight::len).sum();
    println!("{weights} parameters, {texts} at once, a prompt of {prompt}, {TOKENS} tokens behind it");
    println!("  kept  prompt, tok/s  decode, tok/s    ms/step    GB/s read   start, s");
    for (name, kept, bytes) in
        [("f32", Kept::F32, 4.0), ("bf16", Kept::Bf16, 2.0), ("int8", Kept::Int8, 1.0625)]
    {
        if std::env::args().any(|word| ["f32", "bf16", "int8"].contains(&&*word) && word != name) {
            continue;
        }
        let begin = Instant::now();
        let read = |weight: &Weight| {
            let numbers = Flex::noise(weight.len(), 1, &Default::default()).sub_scalar(0.5).mul_scalar(0.05);
            Ok::<Vec<f32>, DeviceError>(numbers.into_data().iter::<f32>().collect())
        };
        let [prefill, step] = if on_gpu {
            times(Decoder::new(&model, room, gpu(0, &model, kept)?, read)?, texts, prompt)?
        } else {
            times(Decoder::new(&model, room, Cpu::new(kept), read)?, texts, prompt)?
        };
        let start = begin.elapsed().as_secs_f64() - prefill - step * TOKENS as f64;
        let rate = weights as f64 * bytes / step / 1e9;
        let (prefill, decode) = ((texts * prompt) as f64 / prefill, texts as f64 / step);
        println!("{name:>6} {prefill:>14.0} {decode:>14.1} {:>10.3} {rate:>12.1} {start:>10.1}", step * 1e3);
    }
    Ok(())
}

/// Seconds for all prompts, and for a token of each text.
fn times<D: Decode>(mut decoder: Decoder<D>, texts: usize, prompt: usize) -> DeviceResult<[f64; 2]> {
    let vocabulary = decoder.vocabulary();
    let ids: Vec<u32> = (0..prompt).map(|at| (at * at % vocabulary) as u32).collect();
    let mut sampler = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() });
    let begin = Instant::now();
    let mut last = Vec::new();
    for slot in 0..texts {
        let logits = decoder.run(&[More { slot, ids: &ids, wanted: Wanted::Last }])?;
        last.push(sampler.next(&logits, &[], &[]));
    }
    let prefill = begin.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for _ in 0..TOKENS {
        let begin = Instant::now();
        let more: Vec<More<'_>> = last
            .iter()
            .enumerate()
            .map(|(slot, id)| More { slot, ids: std::slice::from_ref(id), wanted: Wanted::Last })
            .collect();
        last = decoder.likeliest(&more, vocabulary)?;
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok([prefill, times[TOKENS / 2]])
}
