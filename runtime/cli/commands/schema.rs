//! `muse schema`: the JSON Schema of pipeline files.
use crate::app::App;
use crate::exit;
use crate::failure::CliResult;
use clap::Args;
use muse_runtime::document::{Kinds, pipeline_schema};

const EXAMPLES: &str = "\
Examples:
  muse schema > docs/schema/pipeline.schema.json      for editors that complete and check
  muse schema | jq '.properties | keys'               the fields of a pipeline file

The first line of a pipeline file tells an editor where the schema is:
  # yaml-language-server: $schema=../docs/schema/pipeline.schema.json";

/// The JSON Schema of pipeline files.
///
/// Covers the file itself and the fields of every stage kind that this muse has, so that an editor completes them,
/// shows what each means, and underlines what does not fit.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SchemaArgs {}

/// Prints it.
pub(crate) fn run(app: &mut App<'_>, _: &SchemaArgs) -> CliResult {
    let kinds = Kinds::new(app.kinds);
    app.out.json(&pipeline_schema(kinds.iter()))?;
    Ok(exit::DONE)
}
