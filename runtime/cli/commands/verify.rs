//! `muse verify`: check the store's content.
use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::{bytes, plural, visible};
use crate::report::BytesBar;
use crate::signals::Watch;
use crate::values::{Device, StageOfPipeline};
use clap::Args;
use muse_runtime::run::rerun;

const EXAMPLES: &str = "\
Examples:
  muse verify                                     read and hash everything
  muse verify --repair                            and drop what is damaged, so that the next run makes it again
  muse verify --rerun pipelines/tiny.yaml:base    does the stage make the same bytes twice?";

/// Check the store's content.
///
/// Reads every result and compares it with its digest. Ends with 4 where something is damaged, which runs notice
/// by themselves before they use it. With --rerun, runs one stage twice in fresh folders and compares the bytes: a
/// stage that differs reads a clock, the network or something else that it did not declare.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Drop what is damaged.
    #[arg(long, conflicts_with = "rerun")]
    pub(crate) repair: bool,
    /// Run a stage twice and compare.
    #[arg(long, value_name = "PIPELINE:STAGE")]
    pub(crate) rerun: Option<StageOfPipeline>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Checks.
pub(crate) fn run(app: &mut App<'_>, args: &VerifyArgs) -> CliResult {
    if let Some(what) = &args.rerun {
        return twice(app, args, what);
    }
    let store = app.store();
    let who = app.who("verify");
    let bar = BytesBar::new(app.terminal);
    let report = store.verify(args.repair.then_some(&who), &mut |done, total| bar.show(done, total));
    bar.clear();
    let report = report?;
    store.index().save();
    let left = report.damaged.iter().filter(|damage| !damage.dropped).count();
    if args.json {
        let damaged: Vec<_> = report
            .damaged
            .iter()
            .map(|damage| {
                let results: Vec<_> = damage.results.iter().map(|(key, stage, pipeline)| {
                    serde_json::json!({ "key": key.to_string(), "stage": stage, "pipeline": pipeline })
                }).collect();
                serde_json::json!({ "path": damage.path.display().to_string(), "why": damage.why, "dropped": damage.dropped, "results": results })
            })
            .collect();
        app.out.json(&serde_json::json!({ "ok": left == 0, "blobs": report.blobs, "bytes": report.bytes, "records": report.records, "damaged": damaged }))?;
    } else {
        for damage in &report.damaged {
            let fate = if damage.dropped { "dropped" } else { "damaged" };
            let results: Vec<String> =
                damage.results.iter().map(|(_, stage, pipeline)| format!("{pipeline}:{stage}")).collect();
            let whose =
                if results.is_empty() { String::new() } else { format!(", of {}", results.join(", ")) };
            app.out.line(&visible(&format!("{fate} {}: {}{whose}", damage.path.display(), damage.why)))?;
        }
        let size = bytes(report.bytes);
        app.out.line(&format!(
            "{} and {size} of content read, {} damaged",
            plural(usize::try_from(report.records).unwrap_or(usize::MAX), "record"),
            report.damaged.len()
        ))?;
        app.out.flush()?;
    }
    if left > 0 {
        return Err(CliError::store(format!("{left} damaged in the store"))
            .hint("`muse verify --repair` drops what is damaged; a run makes it again"));
    }
    Ok(exit::DONE)
}

/// Runs a stage twice and compares.
fn twice(app: &mut App<'_>, args: &VerifyArgs, what: &StageOfPipeline) -> CliResult {
    let mut opened = app.open_to_run(&what.pipeline, &ValueArgs::default())?;
    let (stage, _) = opened.one_stage(&what.stage)?;
    let options = app.run_options(&mut opened, Device::Auto)?;
    let watch = Watch::telling(app.terminal)?;
    let rerun = rerun(&opened.planner(), stage, &options, watch.count())?;
    let name = &opened.pipeline.stages[stage].name;
    if args.json {
        let (a, b) = rerun.seconds;
        app.out.json(&serde_json::json!({
            "stage": name, "same": rerun.differences.is_empty(), "differences": rerun.differences,
            "as_stored": rerun.as_stored, "seconds": [a, b],
        }))?;
    } else if rerun.differences.is_empty() {
        let stored = match rerun.as_stored {
            Some(true) => ", which is what the store has",
            Some(false) => ", but the store has another result",
            None => "",
        };
        app.out.line(&format!("{}: twice the same{stored}", visible(name)))?;
    }
    app.out.flush()?;
    match (rerun.differences.as_slice(), rerun.as_stored) {
        ([], Some(false)) => Err(CliError::failed(format!("`{name}` does not make what the store has"))),
        ([], _) => Ok(exit::DONE),
        (differences, _) => {
            let list: Vec<&str> = differences.iter().take(10).map(String::as_str).collect();
            Err(CliError::failed(format!("`{name}` made other content the second time: {}", list.join(", ")))
                .hint("look for times, random numbers without a seed, paths, and orders that change"))
        }
    }
}
