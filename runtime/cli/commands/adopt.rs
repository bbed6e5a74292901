//! `muse adopt`: an existing file or folder becomes a stage's result.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::failure::CliResult;
use clap::{Args, ValueHint};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse adopt pipelines/tiny.yaml tokenizer ~/old/tokenizer     do not train it again
  muse adopt pipelines/tiny.yaml count.lines lines.txt         one output of several
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
    super::unwired(app, args)
}
