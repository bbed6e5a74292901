//! `muse expand`: a pipeline as muse understands it.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::CliResult;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  muse expand pipelines/tiny.yaml                        one stage for each combination, all values filled in
  muse expand pipelines/tiny.yaml --preset smoke         with a preset
  muse expand pipelines/tiny.yaml > full.yaml            a file with the same keys, for a bug report
  diff <(muse expand a.yaml) <(muse expand b.yaml)       what two pipelines really differ in";

/// A pipeline after includes, matrix and interpolation.
///
/// Prints the file that muse works with, as YAML: includes pulled in, presets and --set applied, one stage for each
/// combination of a matrix. It is a pipeline file itself, and its stages have the same keys.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ExpandArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// Expands.
pub(crate) fn run(app: &mut App<'_>, args: &ExpandArgs) -> CliResult {
    let text = app.expand(&args.pipeline.pipeline, &args.pipeline.values)?;
    app.out.text(&text)?;
    app.out.flush()?;
    Ok(exit::DONE)
}
