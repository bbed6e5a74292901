//! `muse plan`: what a run would do, and why.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::failure::CliResult;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  muse plan pipelines/tiny.yaml                   what would run, and which edit made it so
  muse plan pipelines/tiny.yaml -v                hits and keys too
  muse plan pipelines/tiny.yaml --set vocab=8192  what that change would cost
  muse plan pipelines/tiny.yaml --exit-code       for CI: 3 where there is work, 0 where there is none

hit    the result is there
run    it is not, or --force asks for it again
maybe  an input will be made again: if that comes out the same, nothing more happens";

/// What a run would do, stage by stage, and why.
///
/// Says for every stage whether its result is there, and if not which parameter, file, input or code version is
/// another than last time. Runs nothing, writes nothing, and never uses the network.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PlanArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Stages to plan for, instead of all.
    #[arg(value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
    /// Plan as if this stage had to run again. May be repeated.
    #[arg(long, value_name = "STAGE")]
    pub(crate) force: Vec<String>,
    /// Refuse what the lock file does not pin.
    #[arg(long)]
    pub(crate) locked: bool,
    /// Refuse what a run could only make with the network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// End with 3 where there is work.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Plans.
pub(crate) fn run(app: &mut App<'_>, args: &PlanArgs) -> CliResult {
    super::unwired(app, args)
}
