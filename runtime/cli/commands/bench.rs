//! `muse bench`: how fast this machine trains a model.
use crate::app::App;
use crate::args::ValueArgs;
use crate::commands::params::{self, Asked};
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::{Table, bytes, duration, exact};
use crate::machine::{Driver, Machine};
use crate::values::Device;
use clap::{Args, ValueEnum, value_parser};
use muse_stages::bench::{Job, Measured, bench, gpu_libraries};
use muse_stages::budget::{
    self, Cost, Flops, Model, Optimizer, Parameters, Precision, Shape, States, Training,
};
use serde_json::{Value, json};
use std::fs;

const EXAMPLES: &str = "\
Examples:
  muse bench configs/models/125m.yaml                          on a GPU where there is one, in bf16
  muse bench configs/models/125m.yaml --batch 32 --context 1024 --json
  muse bench configs/models/125m.yaml --gpus 2                 on two GPUs at once
  muse bench configs/models/shakespeare_cpu.yaml --vocab-size 65 --device cpu --batch 12
  muse bench pipelines/quickstart.yaml:base                    the model that a stage trains";

/// Measure how fast this machine trains a model.
///
/// Trains a model of chance on tokens of chance, the same job on every machine, and says tokens a second, the share of what
/// the device can do at most, memory, and the time until the first step was over. Nothing is kept. Steps clip the norm of
/// their gradients and read their loss, as those of a training do.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// A file of `configs/models/`, or PIPELINE:STAGE of a stage that trains one.
    #[arg(value_name = "MODEL")]
    model: String,
    /// Where it runs: auto, cpu or cuda. `CUDA_VISIBLE_DEVICES` chooses among several GPUs.
    #[arg(long, value_name = "WHERE", default_value_t)]
    device: Device,
    /// GPUs that train the model together, the first that there are.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=64), default_value_t = 1)]
    gpus: u64,
    /// Sequences of a step, on each GPU.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 20), default_value_t = 8)]
    batch: u64,
    /// Tokens of a sequence [default: the file's, else the data's, else 1024].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(2..=1 << 24))]
    context: Option<u64>,
    /// How many tokens the vocabulary has [default: the file's, else the data's, else 32000].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(2..=1 << 22))]
    vocab_size: Option<u64>,
    /// What weights and activations are [default: bf16 on a GPU, f32 on a CPU].
    #[arg(long, value_name = "TYPE", value_enum)]
    precision: Option<PrecisionArg>,
    /// What changes the weights.
    #[arg(long, value_name = "NAME", value_enum, default_value = "adamw")]
    optimizer: OptimizerArg,
    /// Steps that are timed, behind four that are not.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 20), default_value_t = 20)]
    steps: u64,
    /// Threads on the processor [default: all cores].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Values of the pipeline.
    #[command(flatten)]
    values: ValueArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    /// All in f32.
    F32,
    /// bf16, with weights in f32 behind it.
    Bf16,
}

/// `--optimizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OptimizerArg {
    /// AdamW for all.
    Adamw,
    /// Muon for the matrices of blocks, AdamW for the others.
    Muon,
}

impl OptimizerArg {
    fn name(self) -> &'static str {
        match self {
            Self::Adamw => "adamw",
            Self::Muon => "muon",
        }
    }
}

const CONTEXT: usize = 1024;
const VOCABULARY: usize = 32_000;
/// More tokens at once than any memory has room for.
const MOST_TOKENS: u64 = 1 << 27;

/// Measures and prints it.
pub(crate) fn run(app: &mut App<'_>, args: &BenchArgs) -> CliResult {
    let Asked { model, context, .. } = params::read(app, &args.model, &args.values)?;
    let given = |flag: Option<u64>| flag.and_then(|value| usize::try_from(value).ok());
    let context = given(args.context).or(model.context).or(context).unwrap_or(CONTEXT);
    let vocabulary = given(args.vocab_size).or(model.vocab_size).unwrap_or(VOCABULARY);
    let tokens = args.batch.saturating_mul(context as u64);
    if tokens > MOST_TOKENS {
        let (batch, context) = (exact(args.batch), exact(context as u64));
        return Err(CliError::usage(format!("a batch of {batch} sequences of {context} tokens"))
            .hint(format!("{} tokens at once are the most", exact(MOST_TOKENS))));
    }
    let gpu = match app.device(args.device)? {
        muse_inference::Device::Cpu => false,
        muse_inference::Device::Cuda(0) => true,
        muse_inference::Device::Cuda(number) => {
            let said = format!("`--device cuda:{number}` names one of several GPUs");
            return Err(CliError::usage(said)
                .hint(format!("`CUDA_VISIBLE_DEVICES={number}` with `--device cuda` measures that one")));
        }
    };
    let precision = match args.precision {
        Some(PrecisionArg::F32) => Precision::F32,
        Some(PrecisionArg::Bf16) => Precision::Bf16,
        None if gpu => Precision::Bf16,
        None => Precision::F32,
    };
    let model = Model { vocab_size: Some(vocabulary), context: Some(context), ..model };
    let shape = model.shape(vocabulary, context);
    let machine = Machine::without_gpus();
    let cards = if gpu { Driver::detect().visible(&app.environment) } else { Vec::new() };
    let gpus = if gpu { usize::try_from(args.gpus).unwrap_or(usize::MAX) } else { 0 };
    if args.gpus > 1 && cards.len() < gpus.max(2) {
        let said = if gpu {
            format!("`--gpus {}` is more than the {} that it may use", args.gpus, cards.len())
        } else {
            format!("`--gpus {}` wants GPUs, and this runs on the processor", args.gpus)
        };
        return Err(
            CliError::usage(said).hint("`--device cuda` uses GPUs; `muse doctor` lists those that are there")
        );
    }
    let card = cards.into_iter().next();
    let muon = args.optimizer == OptimizerArg::Muon;
    let takes = memory(&shape, args.batch, precision, muon, gpu);
    let room = if gpu { card.as_ref().map_or(0, |card| card.memory) } else { machine.memory_bytes };
    if room > 0 && takes > room {
        let said = format!("a step takes {} of memory, and there are {}", bytes(takes), bytes(room));
        return Err(CliError::usage(said)
            .hint("a smaller `--batch` or `--context` takes less; `muse params` shows what takes how much"));
    }
    let job = Job {
        model,
        shape,
        precision,
        muon,
        sequences: usize::try_from(args.batch).unwrap_or(usize::MAX),
        steps: usize::try_from(args.steps).unwrap_or(usize::MAX),
        gpus,
        threads: given(args.threads).unwrap_or(machine.cores as usize),
    };
    let measured = bench(&job).map_err(CliError::from)?;
    let device = if gpu { card.map_or_else(|| "a GPU".into(), |card| card.name) } else { cpu(job.threads) };
    if gpu {
        let missing = gpu_libraries(gpus).into_iter().filter(|library| !library.there);
        missing.for_each(|library| app.terminal.say(&library.without()));
        if let Some(why) = &measured.by_way_of_host {
            app.terminal.say(&format!("gradients went by way of the host's memory, which takes long: {why}"));
        }
    }
    let report = report(args, &job, &measured, &device);
    if args.json {
        app.out.json(&report)?;
    } else {
        app.out.text(&page(args, &job, &measured, &device))?;
        app.out.flush()?;
    }
    Ok(exit::DONE)
}

/// What a step takes at its peak, as `muse params` counts it.
fn memory(shape: &Shape, sequences: u64, precision: Precision, muon: bool, gpu: bool) -> u64 {
    let training = Training {
        micro_batch: sequences,
        adds_up: false,
        optimizer: if muon { Optimizer::Muon } else { Optimizer::Adamw },
        states: States::F32,
        precision,
        recompute: false,
        offload: false,
        lora: None,
    };
    let device = if gpu { budget::Device::Gpu } else { budget::Device::Cpu };
    Cost::of(shape, &training, device).training.total
}

/// The processor, in words.
fn cpu(threads: usize) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or("a processor", |(_, name)| name.trim());
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    format!("{name}, {threads}")
}

/// Sequences of a step in all.
fn sequences(job: &Job) -> usize {
    job.sequences * job.gpus.max(1)
}

fn tokens_per_second(job: &Job, measured: &Measured) -> f64 {
    (sequences(job) * job.shape.context * measured.steps.len()) as f64 / measured.all
}

fn report(args: &BenchArgs, job: &Job, measured: &Measured, device: &str) -> Value {
    let ms = |seconds: f64| seconds * 1e3;
    let last = measured.steps.len() - 1;
    json!({
        "schema": 1,
        "model": args.model,
        "parameters": Parameters::of(&job.shape).total(),
        "job": {
            "device": if job.gpus > 0 { "cuda" } else { "cpu" },
            "gpus": job.gpus,
            "precision": job.precision,
            "optimizer": args.optimizer.name(),
            "sequences": sequences(job),
            "context": job.shape.context,
            "vocab_size": job.shape.vocab_size,
            "steps": measured.steps.len(),
        },
        "machine": device,
        "tokens_per_second": tokens_per_second(job, measured),
        "step_ms": { "best": ms(measured.steps[0]), "median": ms(measured.median()), "worst": ms(measured.steps[last]) },
        "first_step_seconds": measured.first_step,
        "flops_per_token": Flops::of(&job.shape).training,
        "flops_per_second": measured.done,
        "peak_flops_per_second": measured.peak,
        "share_of_peak": measured.peak.map(|peak| measured.done / peak),
        "memory_bytes": measured.memory,
        "loss": measured.losses,
    })
}

fn page(args: &BenchArgs, job: &Job, measured: &Measured, device: &str) -> String {
    let mut table = Table::new(&[]);
    let mut row = |label: &str, value: String| table.row([label.to_owned(), value]);
    let shape = &job.shape;
    row("model", format!("{}: {} parameters", args.model, exact(Parameters::of(shape).total())));
    let count = if job.gpus > 1 { format!("{} × ", job.gpus) } else { String::new() };
    row("machine", format!("{count}{device}"));
    let precision = if job.precision == Precision::F32 { "f32" } else { "bf16" };
    let (sequences, context) = (exact(sequences(job) as u64), exact(shape.context as u64));
    row("step", format!("{sequences} × {context} tokens, {precision}, {}", args.optimizer.name()));
    row("tokens/s", exact(tokens_per_second(job, measured).round() as u64));
    let [median, best] = [measured.median(), measured.steps[0]].map(|seconds| seconds * 1e3);
    row("ms a step", format!("{median:.1}, the best of {} {best:.1}", measured.steps.len()));
    let mut done = operations(measured.done);
    if let Some(peak) = measured.peak {
        done += &format!(", {:.1}% of {}", 100.0 * measured.done / peak, operations(peak));
    }
    row("operations", done);
    row("memory", measured.memory.map_or_else(|| "not known".into(), bytes));
    row("first step", format!("after {}", duration(measured.first_step)));
    table.draw("")
}

/// Operations a second, as makers of hardware say them.
fn operations(a_second: f64) -> String {
    if a_second < 1e12 {
        format!("{:.1} GFLOP/s", a_second / 1e9)
    } else {
        format!("{:.1} TFLOP/s", a_second / 1e12)
    }
}
