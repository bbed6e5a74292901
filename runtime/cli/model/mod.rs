//! A model that a command uses: where it is, on which device it runs, how tokens are chosen.
mod find;
mod sampling;

pub(crate) use sampling::SamplingArgs;

use crate::app::App;
use crate::args::ValueArgs;
use crate::failure::{CliError, CliResult};
use crate::machine;
use crate::values::Device;
use clap::{Args, ValueEnum, value_parser};
use muse_inference::{InferenceError, Kept, Model, Room, Settings};
use std::thread;

/// A model, and how it runs.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArgs {
    /// A folder that `export` made, a checkpoint, or PIPELINE:STAGE.
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// The tokenizer of a checkpoint that has none with it: a folder, or PIPELINE:STAGE.
    #[arg(long, value_name = "WHAT")]
    pub(crate) tokenizer: Option<String>,
    /// Take the weights of the lowest validation loss, where these are not the last.
    #[arg(long)]
    pub(crate) best: bool,
    /// Where it runs: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "WHERE", default_value_t)]
    pub(crate) device: Device,
    /// What its weights are kept as: fewer bytes are read faster and round more.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "bf16")]
    pub(crate) precision: KeptArg,
    /// The most tokens of a text, prompt and answer together [default: what the model has learned].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(2..=1 << 27))]
    pub(crate) context: Option<u64>,
    /// Threads on the processor [default: all cores].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1024))]
    pub(crate) threads: Option<u64>,
    /// Values of the pipeline.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
}

/// `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeptArg {
    /// Four bytes a number: exactly what was trained.
    F32,
    /// Two bytes.
    Bf16,
    /// One byte, and a scale for 32 of them.
    Int8,
}

impl App<'_> {
    /// Opens a model and brings it to its device, with room for so many texts at once.
    pub(crate) fn model(&self, args: &ModelArgs, slots: usize, queue: usize) -> CliResult<Model> {
        let source = find::source(self, args)?;
        let own = source.context();
        let context = args.context.map_or(own, |context| usize::try_from(context).unwrap_or(usize::MAX));
        if context > own {
            let said = format!("`--context {context}` is more than the model has learned: {own} tokens");
            return Err(CliError::usage(said)
                .hint("a model file with `rope.scaling` says how positions beyond that are turned"));
        }
        let device = self.device(args.device)?;
        let kept = match args.precision {
            KeptArg::F32 => Kept::F32,
            KeptArg::Bf16 => Kept::Bf16,
            KeptArg::Int8 => Kept::Int8,
        };
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = args.threads.and_then(|threads| usize::try_from(threads).ok()).unwrap_or_else(cores);
        Ok(Model::start(source, Settings { device, kept, room: Room { slots, context }, threads, queue })?)
    }

    /// The device that `--device` means.
    pub(crate) fn device(&self, device: Device) -> CliResult<muse_inference::Device> {
        let there = || machine::visible_gpus(&self.environment).len();
        let none = |said: String| Err(CliError::usage(said).hint("`muse doctor` says what is missing"));
        match device {
            Device::Cpu => Ok(muse_inference::Device::Cpu),
            Device::Auto if there() == 0 => Ok(muse_inference::Device::Cpu),
            Device::Auto => Ok(muse_inference::Device::Cuda(0)),
            Device::Cuda(number) => match (number.unwrap_or(0) as usize, there()) {
                (_, 0) => none("no GPU can be seen".into()),
                (number, there) if number >= there => {
                    none(format!("there is no GPU {number}: {there} can be seen"))
                }
                (number, _) => Ok(muse_inference::Device::Cuda(number)),
            },
        }
    }
}

impl From<InferenceError> for CliError {
    fn from(error: InferenceError) -> Self {
        let message = error.to_string();
        let failed = match &error {
            InferenceError::Stopped(_) | InferenceError::Busy { .. } => Self::failed(message),
            _ => Self::usage(message),
        };
        match error.hint() {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}
