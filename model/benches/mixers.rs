//! How the time of a block grows with the length of a text, for each mixer: `cargo bench -p muse-model --bench mixers -- cpu 65536`.
//!
//! One block of width 512 with 8 heads and next to no SwiGLU, there and back, on one sequence of 4,096 tokens up to those that are named; on
//! the CPU in f32 with two threads, or with `cuda` on a GPU in bf16. Behind them the sequence's heads, width and times may stand, and the names
//! of the mixers that are asked for, where not all are.
#![expect(clippy::print_stdout, reason = "a table for people")]
#![expect(clippy::print_stderr, reason = "says what is missing")]

use burn::backend::{Cuda, Flex};
use burn::tensor::DType;
use burn::tensor::backend::BackendTypes;
use muse_model::buckets::Onto;
use muse_model::config::{Bk, Mixer, Mixers, Mla, Model};
use muse_model::kernels::{Objective, Ops, with_threads};
use muse_model::net::{Batch, Net, Setting};
use muse_model::pass::{Recompute, pass};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VOCABULARY: usize = 64;
/// Milliseconds behind which a mixer is not asked for longer texts.
const ENOUGH: f64 = 20_000.0;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let mut numbers = words.iter().skip(1).filter_map(|word| word.parse().ok());
    let mut next = |usual| numbers.next().unwrap_or(usual);
    let [longest, heads, width, times] = [65_536, 8, 512, 3].map(&mut next);
    let mut mixers = vec![Mixer::Attention, Mixer::Ttt, Mixer::Bk, Mixer::Mla, Mixer::Hyperbolic];
    if words.iter().any(|word| mixers.iter().any(|mixer| mixer.name() == word)) {
        mixers.retain(|mixer| words.iter().any(|word| mixer.name() == word));
    }
    let sizes = Sizes { longest, heads, width, times, mixers };
    match words.first().map(String::as_str) {
        Some("cpu") => with_threads(2, || table::<Flex>(&sizes, DType::F32)),
        Some("cuda") => table::<Cuda>(&sizes, DType::BF16),
        _ => eprintln!("cpu or cuda?"),
    }
}

struct Sizes {
    longest: usize,
    heads: usize,
    width: usize,
    times: usize,
    mixers: Vec<Mixer>,
}

fn table<B: Ops>(sizes: &Sizes, dtype: DType) {
    let lengths = || (12..).map(|power| 1_usize << power).take_while(|tokens| *tokens <= sizes.longest);
    println!("| ms | {} |", lengths().map(|tokens| tokens.to_string()).collect::<Vec<_>>().join(" | "));
    for mixer in sizes.mixers.iter().copied() {
        let mut row = Vec::new();
        let mut before = None;
        for tokens in lengths() {
            let took = milliseconds::<B>(sizes, mixer, tokens, dtype);
            let ratio = before.map_or(String::new(), |before| format!(" ({:.2})", took / before));
            row.push(format!("{took:.1}{ratio}"));
            before = Some(took);
            // What grows with the square of the length says so soon enough.
            if took > ENOUGH {
                break;
            }
        }
        println!("| {} | {} |", mixer.name(), row.join(" | "));
    }
}

/// The median of some times there and back.
fn milliseconds<B: Ops>(sizes: &Sizes, mixer: Mixer, tokens: usize, dtype: DType) -> f64 {
    let device = <B as BackendTypes>::Device::default();
    let mut model = Model { mixers: Some(Mixers::all(mixer)), ..Model::new(1, sizes.width, sizes.heads, 16) };
    let head = sizes.width / sizes.heads;
    model.mla = (mixer == Mixer::Mla).then_some(Mla {
        rank: 2 * head,
        value_rank: None,
        query_rank: None,
        nope_width: head / 2,
        rope_width: head / 2,
        bias: false,
    });
    model.bk = (mixer == Mixer::Bk).then_some(Bk { chains: 8 });
    let net = Net::<B>::new(&model, &model.shape(VOCABULARY, tokens), 1, &device);
    let ids: Vec<i32> = (0..tokens).map(|at| (at * at % VOCABULARY) as i32).collect();
    let batch = Batch::<B>::plain(tokens, &ids, &ids, &device);
    let setting = Setting::new(&model, tokens, dtype, &device);
    let share = 1.0 / tokens as f64;
    let once = || {
        let begin = Instant::now();
        let passed =
            pass(&net, &batch, &setting, &Objective::PLAIN, share, Recompute::Nothing, Onto::nothing());
        // All of it is there when the last gradient is.
        passed.grads.into_iter().for_each(|grad| drop(grad.into_data()));
        begin.elapsed().as_secs_f64() * 1e3
    };
    once();
    let mut times: Vec<f64> = (0..sizes.times.max(1)).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
