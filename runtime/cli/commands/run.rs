//! `muse run`: plan, then make what is not in the store.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::open::{Opened, leave};
use crate::report;
use crate::signals::Watch;
use crate::values::{Device, duration};
use clap::Args;
use muse_runtime::event::{EventKind, RunOutcome};
use muse_runtime::run::{RunError, RunOptions, Work};
use std::io::{self, IsTerminal};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  muse run pipelines/tiny.yaml                      everything that no other stage takes
  muse run pipelines/tiny.yaml tokenizer            that stage and what it stands on
  muse run pipelines/tiny.yaml --set steps=500      with another parameter
  muse run pipelines/tiny.yaml --force base         again, though the result is there
  muse run pipelines/tiny.yaml --json > run.jsonl   events, one JSON object a line

Ctrl-C lets stages write a checkpoint and keeps what is finished; a second one kills. Running again goes on.";

/// Run what is not in the store.
///
/// Plans as `muse plan` does, then starts a process for each stage that has no result, as many side by side as
/// processors, GPUs and memory allow. A result that is there is a hit and costs nothing. Without STAGE, the targets
/// are the stages that no other stage takes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Stages to make, instead of all. `base` names every `base[…]` of a matrix.
    #[arg(value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
    /// Only say what would run; the same as `muse plan`.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// At most so many stages at a time [default: what fits the machine].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: Option<u32>,
    /// After a failure, go on with the stages that do not need what failed.
    #[arg(long, short)]
    pub(crate) keep_going: bool,
    /// Run this stage though its result is there. May be repeated.
    #[arg(long, value_name = "STAGE")]
    pub(crate) force: Vec<String>,
    /// Where models compute: auto, cpu, cuda or cuda:N. No part of any key.
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: Device,
    /// Never use the network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Refuse what the lock file does not pin.
    #[arg(long)]
    pub(crate) locked: bool,
    /// How long stages have to save their work after Ctrl-C.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Print events to standard output, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs it.
pub(crate) fn run(app: &mut App<'_>, args: &RunArgs) -> CliResult {
    let mut opened = app.open_to_run(&args.pipeline.pipeline, &args.pipeline.values)?;
    let targets = opened.targets(&args.stages)?;
    opened.force = opened.stages(&args.force)?.into_iter().collect();
    if args.dry_run {
        let flag = if args.locked { Some("--locked") } else { args.offline.then_some("--offline") };
        return super::plan::show(app, &opened, targets, flag, args.json).map(|_| exit::DONE);
    }
    let options = RunOptions {
        jobs: args.jobs.map(|jobs| jobs as usize),
        keep_going: args.keep_going,
        grace: args.grace,
        offline: args.offline,
        locked: args.locked,
        ..app.run_options(&mut opened, args.device)?
    };
    let terminal = app.terminal;
    let watch = Watch::telling(terminal)?;
    let Opened { pipeline, store, lock, force, last, .. } = &mut opened;
    let work =
        Work { pipeline, store, targets, force: std::mem::take(force), lock, last: std::mem::take(last) };
    let json = args.json.then_some(&mut app.out);
    let mut reporter = report::choose(terminal, json, io::stdout().is_terminal(), watch.shared());
    let report = muse_runtime::run::run(work, &options, watch.count(), &mut |event| {
        if let EventKind::RunStarted { files, hashed, .. } = &event.kind {
            terminal.detail(&input_files(*files, *hashed));
        }
        reporter.event(event);
        if reporter.closed() {
            watch.interrupt();
        }
    })?;
    let closed = reporter.closed();
    drop(reporter);
    if let Some(error) = report.store_error {
        return Err(error.into());
    }
    let outcome = report.outcome;
    leave((report, opened));
    Ok(match outcome {
        RunOutcome::Done => exit::DONE,
        RunOutcome::Failed => exit::FAILED,
        // The reader of the events went away, and nobody pressed a key.
        RunOutcome::Interrupted if closed => exit::DONE,
        RunOutcome::Interrupted => exit::INTERRUPTED,
    })
}

/// For `-v`: how much of the input had to be read to know that it is what it was.
pub(crate) fn input_files(files: usize, hashed: usize) -> String {
    format!("input files: {files}, read again: {hashed}")
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Wrong(problems) => problems.into(),
            RunError::Failed(problems) => Self { code: exit::FAILED, ..problems.into() },
            RunError::Interrupted => Self::new(exit::INTERRUPTED, ""),
            RunError::Store(error) => error.into(),
        }
    }
}
