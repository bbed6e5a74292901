//! `muse verify`: check the store's content.
use crate::app::App;
use crate::failure::CliResult;
use crate::values::StageOfPipeline;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  muse verify                                     read and hash everything
  muse verify --repair                            and drop what is damaged, so that the next run makes it again
  muse verify --rerun pipelines/tiny.yaml:base    does the stage make the same bytes twice?";

/// Check the store's content.
///
/// Reads every result and compares it with its digest. Ends with 4 where something is damaged, which runs notice
/// by themselves before they use it. With --rerun, runs one stage twice in fresh folders and compares the bytes: a
/// stage that differs reads a clock, the network or something else that it did not declare.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Drop what is damaged.
    #[arg(long, conflicts_with = "rerun")]
    pub(crate) repair: bool,
    /// Run a stage twice and compare.
    #[arg(long, value_name = "PIPELINE:STAGE")]
    pub(crate) rerun: Option<StageOfPipeline>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Checks.
pub(crate) fn run(app: &mut App<'_>, args: &VerifyArgs) -> CliResult {
    super::unwired(app, args)
}
