//! `muse why`: what makes a stage's key.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::failure::CliResult;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  muse why pipelines/tiny.yaml base                   all that its result depends on
  muse why pipelines/tiny.yaml 'base[seed=1]'         one stage of a matrix
  muse why pipelines/tiny.yaml base --set steps=500   with another parameter
  muse why pipelines/tiny.yaml base --json            for programs";

/// What makes a stage's key, and what differs from its last result.
///
/// Lists the parameters, inputs, files and code version that the key is the hash of: nothing else can make the
/// stage run again. What is another than in its last result is marked, with the old value beside it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct WhyArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub(crate) stage: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Explains.
pub(crate) fn run(app: &mut App<'_>, args: &WhyArgs) -> CliResult {
    super::unwired(app, args)
}
