//! How many tokens a second a model of any size gives: `cargo run --release -p muse-model --example decode -- cpu`, or `gpu`.
//!
//! A precision behind it (`bf16`) asks for that one alone; `ternary` is a model whose blocks have three values, with the rest in int8. Numbers are those of threads, two if it is left out, then sizes: layers, width,
//! heads, heads of keys, SwiGLU, vocabulary, and the length of the prompt. The name of a mixer is for all blocks, and `experts` are eight as wide as
//! SwiGLU, of which two are chosen, and two for all. First one text is written, then several side by side; each
//! token is the likeliest.
#![expect(clippy::print_stdout, reason = "a program for people")]

use burn::backend::Flex;
use muse_model::config::{Experts, Linear, Mixer, Mixers, Mla, Model, Round};
use muse_model::decode::{Cpu, Decode, Decoder, DeviceError, DeviceResult, Kept, More, Room, Wanted, gpu};
use muse_model::kernels::{Ops, with_threads};
use muse_model::net::{Role, Weight};
use std::ops::Range;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens of each text that are timed.
const TOKENS: usize = 64;
/// Texts that are written side by side.
const TEXTS: [usize; 4] = [1, 4, 8, 32];

fn main() -> DeviceResult<()> {
    let on_gpu = std::env::args().nth(1).is_some_and(|word| word == "gpu");
    let mut numbers = std::env::args().skip(2).filter_map(|word| word.parse::<usize>().ok());
    let mut next = |usual| numbers.next().unwrap_or(usual);
    let [threads, sizes @ ..] = [2, 12, 768, 12, 12, 2048, 32_000, 128].map(&mut next);
    with_threads(threads, || run(on_gpu, sizes))
}

fn run(
    on_gpu: bool,
    [layers, width, heads, kv_heads, ffn, vocabulary, prompt]: [usize; 7],
) -> DeviceResult<()> {
    let mut model = Model { kv_heads: Some(kv_heads), tied: true, ..Model::new(layers, width, heads, ffn) };
    model.vocab_size = Some(vocabulary);
    let asked = |name: &str| std::env::args().any(|word| word == name);
    let mixers = [Mixer::Mla, Mixer::Ttt, Mixer::Bk, Mixer::Hyperbolic];
    model.mixers = mixers.into_iter().find(|mixer| asked(mixer.name())).map(Mixers::all);
    if model.any_mixer(|mixer| mixer == Mixer::Mla) {
        let half = width / heads / 2;
        model.kv_heads = None;
        model.mla = Some(Mla {
            rank: 256,
            value_rank: Some(256),
            query_rank: None,
            nope_width: half,
            rope_width: half,
            bias: false,
        });
    }
    model.experts = asked("experts").then(|| Experts { shared: 2, ..Experts::new(8, 2) });
    let room = Room { slots: TEXTS[TEXTS.len() - 1], context: prompt + TEXTS.len() * TOKENS };
    let all = Weight::all(&model.shape(1, room.context));
    let weights: usize = all.iter().map(Weight::len).sum();
    let matrices =
        all.iter().filter(|weight| weight.role == Role::Matrix).map(Weight::len).sum::<usize>() as f64;
    println!("{weights} parameters, a prompt of {prompt}, {TOKENS} tokens behind it");
    let texts: String = TEXTS[1..].iter().map(|texts| format!("{:>9}", format!("{texts} texts"))).collect();
    println!(
        "{:>7} {:>14} {:>14} {:>10} {:>12}{texts}",
        "kept", "prompt, tok/s", "decode, tok/s", "ms/token", "GB/s read"
    );
    let ways = [
        ("f32", Kept::F32, 4.0, None),
        ("bf16", Kept::Bf16, 2.0, None),
        ("int8", Kept::Int8, 1.0625, None),
        ("ternary", Kept::Int8, 1.0625, Some(Round::Ternary)),
    ];
    let wanted = std::env::args().find(|word| ways.iter().any(|(name, ..)| word == name));
    for (name, kept, bytes, round) in ways {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) || on_gpu && round.is_some() {
            continue;
        }
        model.linear = round.map(|round| Linear { low_rank: None, round: Some(round) });
        let read = |weight: &Weight, rows: Range<usize>| {
            let len = rows.len() * (weight.len() / weight.shape[0]);
            let numbers =
                Flex::noise(len, rows.start as u64, &Default::default()).sub_scalar(0.5).mul_scalar(0.05);
            Ok::<Vec<f32>, DeviceError>(numbers.into_data().iter::<f32>().collect())
        };
        let (prefill, rates) = if on_gpu {
            rates(Decoder::new(&model, room, gpu(0, &model, kept)?, read)?, prompt)?
        } else {
            rates(Decoder::new(&model, room, Cpu::new(kept), read)?, prompt)?
        };
        let (one, more) = (rates[0], &rates[1..]);
        let of_matrix = if round.is_some() { 0.25 } else { bytes };
        let read = (matrices * of_matrix + (weights as f64 - matrices) * bytes) * one / 1e9;
        let more: String = more.iter().map(|rate| format!("{rate:>9.1}")).collect();
        println!("{name:>7} {prefill:>14.0} {one:>14.1} {:>10.3} {read:>12.1}{more}", 1e3 / one);
    }
    Ok(())
}

/// Tokens a second: of a prompt, and of so many texts together.
fn rates<D: Decode>(mut decoder: Decoder<D>, prompt: usize) -> DeviceResult<(f64, [f64; TEXTS.len()])> {
    let ids: Vec<u32> = (0..prompt).map(|at| (at * at % decoder.vocabulary()) as u32).collect();
    let mut prefill = 0.0;
    for slot in 0..decoder.room().slots {
        let begin = Instant::now();
        decoder.run(&[More { slot, ids: &ids, wanted: Wanted::Last }])?;
        prefill = prompt as f64 / begin.elapsed().as_secs_f64();
    }
    let mut rates = [0.0; TEXTS.len()];
    for (rate, texts) in rates.iter_mut().zip(TEXTS) {
        *rate = texts as f64 / seconds_of_step(&mut decoder, texts)?;
    }
    Ok((prefill, rates))
}

/// What the next token of so many texts takes, in the middle of all that were timed.
fn seconds_of_step<D: Decode>(decoder: &mut Decoder<D>, texts: usize) -> DeviceResult<f64> {
    let (mut times, vocabulary) = ([0.0; TOKENS], decoder.vocabulary());
    let mut last: Vec<u32> = (0..texts as u32).collect();
    for time in &mut times {
        let begin = Instant::now();
        let more = |(slot, id)| More { slot, ids: std::slice::from_ref(id), wanted: Wanted::Last };
        last = decoder.likeliest(&last.iter().enumerate().map(more).collect::<Vec<_>>(), vocabulary)?;
        *time = begin.elapsed().as_secs_f64();
    }
    times.sort_by(f64::total_cmp);
    Ok(times[TOKENS / 2])
}
