//! `muse get`: take a result out of the store.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use clap::{Args, ValueHint};
use muse_runtime::results::{ResultError, take_out};
use muse_store::StoreError;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse get pipelines/tiny.yaml tokenizer --to out/tokenizer    a folder fills out/tokenizer
  muse get pipelines/tiny.yaml count.lines --to out            a file arrives as out/lines
  muse get pipelines/tiny.yaml 'base[seed=1]' --to out/base    one stage of a matrix";

/// Take a result out of the store.
///
/// Copies what a stage made to DIR, which must be absent or empty and appears whole or not at all. The copy is yours:
/// writable, and never linked to the store. One output that is a folder fills DIR with its content; a file arrives as
/// DIR/NAME; several outputs as DIR/NAME each.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct GetArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// The stage, or one of its outputs.
    #[arg(value_name = "STAGE[.OUTPUT]")]
    pub(crate) what: String,
    /// Where to; absent or empty.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) to: PathBuf,
}

/// Takes it out.
pub(crate) fn run(app: &mut App<'_>, args: &GetArgs) -> CliResult {
    let path = &args.pipeline.pipeline;
    let to = app.environment.folder.join(&args.to);
    if std::fs::canonicalize(&to).is_ok_and(|to| to == app.environment.folder) {
        // It appears whole by taking the place of what is there, and no shell would see it.
        return Err(CliError::usage("DIR is the current folder").hint("name a folder in it"));
    }
    let opened = app.open(path, &args.pipeline.values)?;
    let (stage, output) = opened.one_stage(&args.what)?;
    let record = opened.result(path, &args.pipeline.values, stage)?;
    take_out(&opened.store, &record, output, &to)?;
    Ok(exit::DONE)
}

impl From<ResultError> for CliError {
    fn from(error: ResultError) -> Self {
        let message = error.to_string();
        match error {
            ResultError::Store(StoreError::Exists { .. }) => {
                Self::usage(message).hint("name a folder that is empty or not there yet")
            }
            ResultError::Store(StoreError::BadOutput { .. }) => Self::usage(message),
            ResultError::Store(error) => error.into(),
            ResultError::Output { .. } | ResultError::There { .. } => Self::usage(message),
            ResultError::NotThere { .. } | ResultError::NoKey { .. } | ResultError::Busy { .. } => {
                Self::failed(message)
            }
            ResultError::Damaged { .. } => Self::store(message),
        }
    }
}
