//! `muse status`: how the last run of a pipeline went.
use crate::app::App;
use crate::display;
use crate::exit;
use crate::failure::{CliError, CliResult};
use clap::{Args, ValueHint};
use muse_runtime::view::history;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse status pipelines/tiny.yaml                  the last run, or the one that goes on right now
  muse status pipelines/tiny.yaml --json           for programs
  tensorboard --logdir $(muse status pipelines/tiny.yaml --folder)   its curves";

/// How the last run of a pipeline went.
///
/// Shows each stage of the last run: how it ended, how long it took, its latest figures, and why it failed. Also
/// prints the run's folder, where logs, figures and events are, and the pictures of the curves: those of a result that
/// was there already stand in the folder of the run that made it. A run that is still going is shown as far as it is.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE", value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: PathBuf,
    /// Print the run's folder, and nothing else.
    #[arg(long, conflicts_with = "json")]
    pub(crate) folder: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows it.
pub(crate) fn run(app: &mut App<'_>, args: &StatusArgs) -> CliResult {
    let store = app.store_of(&args.pipeline)?;
    let Some(mut run) = history::last_of(&store, &args.pipeline)? else {
        let path = args.pipeline.display();
        return Err(CliError::failed(format!("{path} never ran on this store"))
            .hint(format!("`muse run {path}` runs it, `muse plan {path}` says what that would do")));
    };
    history::add_figures_of_hits(&store, &mut run);
    if args.folder {
        app.out.line(&run.folder.display().to_string())?;
    } else if args.json {
        app.out.json(&run)?;
    } else {
        let text = display::history::status(&run, app.paint, app.verbose());
        app.out.text(&text)?;
    }
    app.out.flush()?;
    Ok(exit::DONE)
}
