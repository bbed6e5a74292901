//! `muse exec-stage`: one job file, in this process. `muse run` and batch systems start it.
use crate::app::App;
use crate::failure::CliResult;
use clap::Args;
use muse_runtime::exec::exec_stage;
use std::path::PathBuf;

/// Run one job file.
///
/// `muse run` starts this for each stage, and a batch system may start it on another machine: the job file holds
/// everything but secrets. Events go to standard output, one JSON object a line.
#[derive(Debug, Args)]
pub(crate) struct ExecStageArgs {
    /// The job file.
    #[arg(value_name = "JOB.json")]
    pub(crate) job: PathBuf,
    /// End with everything that was started when standard input closes: who started this is gone then.
    #[arg(long)]
    pub(crate) lifeline: bool,
}

/// Runs it.
pub(crate) fn run(app: &mut App<'_>, args: &ExecStageArgs) -> CliResult {
    Ok(exec_stage(&args.job, app.kinds, app.environment.texts(), args.lifeline))
}
