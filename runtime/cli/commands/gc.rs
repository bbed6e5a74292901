//! `muse gc`: free space in the store.
use crate::app::App;
use crate::failure::CliResult;
use crate::values::size;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  muse gc --dry-run                what would go, to the byte
  muse gc                          temp results, results past their duration, what no last run names
  muse gc --max-size 200GiB        then the longest unused, until the store is that small
  muse gc --keep-last 5            keep what the last 5 runs of each pipeline name";

/// Free space in the store.
///
/// Without flags: results kept as `temp`, results past their duration, and what no last run of a pipeline names.
/// Results kept `forever`, and what a live run holds, stay. What goes can be made again: its record stays, so that
/// stages standing on it remain hits.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct GcArgs {
    /// Go on by last use until the store is this small.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Keep what the last N runs of each pipeline name.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_last: Option<u32>,
    /// Only say what would go.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Frees.
pub(crate) fn run(app: &mut App<'_>, args: &GcArgs) -> CliResult {
    super::unwired(app, args)
}
