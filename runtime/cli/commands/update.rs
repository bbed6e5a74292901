//! `muse update`: renew what the lock file pins.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::CliResult;
use crate::format;
use crate::open::Opened;
use crate::report;
use crate::signals::Watch;
use crate::values::Device;
use clap::Args;
use muse_runtime::event::EventKind;
use muse_runtime::run::update;

const EXAMPLES: &str = "\
Examples:
  muse update pipelines/tiny.yaml            look at everything outside again
  muse update pipelines/tiny.yaml corpus     at what one stage takes
  git diff pipelines/tiny.lock               what moved
  muse plan pipelines/tiny.yaml              what that makes run again";

/// Renew what the lock file pins.
///
/// A pipeline's lock file says which commit of a hub data set and which bytes of a URL its results stand on. `run`
/// adds what is missing and changes nothing else; this asks the outside world again and writes what it answers.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct UpdateArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Renew only what these stages take.
    #[arg(value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
}

/// Renews.
pub(crate) fn run(app: &mut App<'_>, args: &UpdateArgs) -> CliResult {
    let mut opened = app.open_to_run(&args.pipeline.pipeline, &args.pipeline.values)?;
    let stages = if args.stages.is_empty() {
        (0..opened.pipeline.stages.len()).collect()
    } else {
        opened.stages(&args.stages)?
    };
    let options = app.run_options(&mut opened, Device::Cpu)?;
    let Opened { pipeline, store, lock, .. } = &mut opened;
    let watch = Watch::telling(app.terminal)?;
    let mut reporter = report::choose(app.terminal, None, false, watch.shared());
    let changes = update(pipeline, store, &stages, lock, &options, watch.count(), &mut |event| {
        // What became of each is told below.
        if !matches!(event.kind, EventKind::Pinned { .. }) {
            reporter.event(event);
        }
    })?;
    drop(reporter);
    for change in &changes {
        let old = change.old.as_deref().unwrap_or("nothing");
        let line = match change.old.as_deref() == Some(&change.new) {
            true => format!("{} is still {}", change.id, change.new),
            false => format!("{}: {old} -> {}", change.id, change.new),
        };
        app.out.line(&format::visible(&line))?;
    }
    if changes.is_empty() {
        app.terminal.say("nothing outside to pin");
    }
    app.out.flush()?;
    Ok(exit::DONE)
}
