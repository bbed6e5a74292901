//! `muse update`: renew what the lock file pins.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::failure::CliResult;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  muse update pipelines/tiny.yaml            look at everything outside again
  muse update pipelines/tiny.yaml corpus     at what one stage takes
  git diff pipelines/tiny.lock               what moved
  muse plan pipelines/tiny.yaml              what that makes run again";

/// Renew what the lock file pins.
///
/// A pipeline's lock file says which commit of a hub data set and which bytes of a URL its results stand on. `run`
/// adds what is missing and changes nothing else; this asks the outside world again and writes what it answers.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct UpdateArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Renew only what these stages take.
    #[arg(value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
}

/// Renews.
pub(crate) fn run(app: &mut App<'_>, args: &UpdateArgs) -> CliResult {
    super::unwired(app, args)
}
