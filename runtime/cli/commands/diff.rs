//! `muse diff`: two runs compared.
use crate::app::App;
use crate::display;
use crate::exit;
use crate::failure::{CliError, CliResult};
use clap::Args;
use muse_runtime::view::compare::compare;
use muse_runtime::view::history;

const EXAMPLES: &str = "\
Examples:
  muse runs                      the names of the runs
  muse diff last~1 last          what changed between the last two
  muse diff last~1 last --json   for programs
  muse diff 20260131-120000-04166a4f 20260201-093000-71533b12";

/// Two runs compared: parameters, inputs, metrics.
///
/// For every stage in which the runs differ: the parameters, inputs and files that differ, and the last value of
/// each metric side by side. `last` is the newest run, `last~1` the one before it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct DiffArgs {
    /// The older run: a name of `muse runs`, or `last~N`.
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// The newer run.
    #[arg(value_name = "B")]
    pub(crate) b: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Compares.
pub(crate) fn run(app: &mut App<'_>, args: &DiffArgs) -> CliResult {
    let store = app.store();
    let read = |word: &str| {
        let run = history::find(&store, word)?.and_then(|run| history::read(&store, &run));
        run.ok_or_else(|| {
            CliError::failed(format!("there is no run `{word}`")).hint("`muse runs` lists them")
        })
    };
    let (first, second) = (read(&args.a)?, read(&args.b)?);
    let differences = compare(&store, &first, &second);
    if args.json {
        app.out.json(&serde_json::json!({ "a": first.run, "b": second.run, "stages": differences }))?;
    } else {
        let text = display::history::compare(&differences, app.paint);
        app.out.text(&text)?;
    }
    app.out.flush()?;
    Ok(exit::DONE)
}
