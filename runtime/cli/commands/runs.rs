//! `muse runs`: the history.
use crate::app::App;
use crate::display;
use crate::exit;
use crate::failure::CliResult;
use clap::Args;
use muse_runtime::view::history::{self, RunHistory};
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  muse runs                     the last 20 runs of this project, newest first
  muse runs -n 0                all of them
  muse runs --pipeline tiny     of one pipeline
  muse runs --json | jq .       for programs";

/// The runs so far.
///
/// Lists the runs that the store knows, newest first: when, which pipeline, how it ended, how much ran and how much
/// was a hit. The names in the first column are what `muse diff` compares.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RunsArgs {
    /// Only the runs of the pipeline of this name, or of this file.
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// At most so many; 0 for all.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Lists them.
pub(crate) fn run(app: &mut App<'_>, args: &RunsArgs) -> CliResult {
    let store = app.store();
    let named = args.pipeline.as_deref().map(|name| (name, std::fs::canonicalize(name).ok()));
    let wanted = |run: &RunHistory| {
        let file = Path::new(&run.file);
        named.as_ref().is_none_or(|(name, path)| {
            let stem = || file.file_stem().is_some_and(|stem| stem == *name);
            run.pipeline == *name || path.as_deref() == Some(file) || stem()
        })
    };
    let runs: Vec<RunHistory> = history::names(&store)?
        .iter()
        .filter_map(|run| history::read(&store, run))
        .filter(wanted)
        .take(if args.limit == 0 { usize::MAX } else { args.limit })
        .collect();
    if args.json {
        app.out.json(&runs)?;
    } else {
        let text = display::history::list(&runs, app.paint);
        app.out.text(&text)?;
    }
    app.out.flush()?;
    if runs.is_empty() {
        app.terminal.say("no runs yet");
    }
    Ok(exit::DONE)
}
