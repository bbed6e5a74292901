//! `muse adopt`: an existing file or folder becomes a stage's result.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format;
use clap::{Args, ValueHint};
use muse_runtime::results::adopt;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse adopt pipelines/tiny.yaml tokenizer ~/old/tokenizer     do not train it again
  muse adopt pipelines/tiny.yaml split out/split               several outputs: a folder with each
  muse plan pipelines/tiny.yaml                                now it is a hit";

/// Put an existing file or folder in as a stage's result.
///
/// For work that was done before muse, or elsewhere: the content is copied into the store under the key that the
/// stage has now, and recorded as adopted. muse cannot know that it is what the stage would have made: you say so.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct AdoptArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// The stage, or one of its outputs.
    #[arg(value_name = "STAGE[.OUTPUT]")]
    pub(crate) what: String,
    /// The file or folder. It stays where it is.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
}

/// Adopts.
pub(crate) fn run(app: &mut App<'_>, args: &AdoptArgs) -> CliResult {
    let opened = app.open(&args.pipeline.pipeline, &args.pipeline.values)?;
    let (stage, output) = opened.one_stage(&args.what)?;
    let name = opened.pipeline.stages[stage].name.clone();
    let path = app.environment.folder.join(&args.path);
    if path.symlink_metadata().is_err() {
        return Err(CliError::usage(format!("there is no `{}`", args.path.display())));
    }
    let plan = opened.plan(vec![stage])?;
    let record = adopt(&opened.planner(), &plan, stage, output, &path, &app.who(&name))?;
    let bytes: u64 = record.outputs.values().map(|artifact| artifact.bytes).sum();
    app.terminal.say(&format!(
        "adopted {} as the result of `{name}`, {}",
        args.path.display(),
        format::bytes(bytes)
    ));
    Ok(exit::DONE)
}
