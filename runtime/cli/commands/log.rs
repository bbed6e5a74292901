//! `muse log`: a stage's log.
use crate::app::App;
use crate::failure::CliResult;
use clap::{Args, ValueHint};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse log pipelines/tiny.yaml base             what the stage printed, last attempt
  muse log pipelines/tiny.yaml base -f          go on as it prints, until it ends
  muse log pipelines/tiny.yaml base -n 20       the last 20 lines
  muse log pipelines/tiny.yaml base --attempt 1 the first of several tries";

/// A stage's log.
///
/// Prints what a stage wrote to its standard output and error in the last run that ran it. Logs belong to runs and
/// are kept for each attempt, so the log of a try that failed is there after the retry that went well.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LogArgs {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE", value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: PathBuf,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub(crate) stage: String,
    /// Go on as the log grows, until the stage ends.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only the last lines.
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// The log of this attempt, from 1 [default: the last].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
}

/// Prints it.
pub(crate) fn run(app: &mut App<'_>, args: &LogArgs) -> CliResult {
    super::unwired(app, args)
}
