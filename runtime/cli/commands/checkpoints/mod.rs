//! `muse checkpoints`: the checkpoints of a pipeline's trainings.
mod found;

use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::CliResult;
use crate::format::{Table, bytes, exact, moment, plural, visible};
use crate::paint::Paint;
use clap::Args;
use found::{Found, Where};
use muse_artifacts::checkpoint::Look;

const EXAMPLES: &str = "\
Examples:
  muse checkpoints pipelines/quickstart.yaml              of all its stages
  muse checkpoints pipelines/quickstart.yaml base         of one
  muse checkpoints pipelines/quickstart.yaml base --json  for programs";

/// The checkpoints of a pipeline's trainings.
///
/// Lists, by step, those in the results of stages and those from which a training that goes on, or was interrupted,
/// will go on: step, loss, size, date, and whether they are intact. For that, every byte of them is read; with
/// `--quick` only their names and sizes are looked at.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CheckpointsArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Only those of this stage.
    #[arg(value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// Do not read them: look at names and sizes alone.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Lists them.
pub(crate) fn run(app: &mut App<'_>, args: &CheckpointsArgs) -> CliResult {
    let opened = app.open(&args.pipeline.pipeline, &args.pipeline.values)?;
    let stages = match &args.stage {
        Some(stage) => opened.stages(std::slice::from_ref(stage))?,
        None => (0..opened.pipeline.stages.len()).collect(),
    };
    let plan = opened.plan(stages.clone())?;
    let look = if args.quick { Look::Sizes } else { Look::Content };
    let mut all = Vec::new();
    for stage in stages {
        all.extend(found::of(&opened, &plan, stage, look)?);
    }
    if args.json {
        app.out.json(&serde_json::json!({ "checkpoints": all }))?;
    } else {
        let text = draw(&all, app.paint);
        app.out.text(&text)?;
    }
    app.out.flush()?;
    app.complain(&opened.store);
    match (all.len(), all.iter().filter(|found| !found.intact).count()) {
        (0, _) => app.terminal.say("no checkpoints yet"),
        (_, 0) => {}
        (_, damaged) => app.terminal.warn(&format!("{} cannot be used", plural(damaged, "checkpoint"))),
    }
    Ok(exit::DONE)
}

/// One a line; what is wrong with one stands in a line of its own.
fn draw(all: &[Found], paint: Paint) -> String {
    let mut table = Table::new(&[1, 5]);
    for found in all {
        let loss =
            |name: &str, loss: Option<f64>| loss.map(|loss| format!("{name} {loss:.4}")).unwrap_or_default();
        let stands = match found.stands {
            Where::Result if found.name.is_empty() => "result".to_owned(),
            Where::Result => format!("result, {}", visible(&found.name)),
            Where::Kept => "to go on from".to_owned(),
        };
        table.row([
            visible(&found.stage),
            found.step.map(|step| format!("step {}", exact(step))).unwrap_or_default(),
            if found.intact { paint.good("intact") } else { paint.bad("damaged") },
            loss("loss", found.loss),
            loss("validation", found.validation_loss),
            found.bytes.map(bytes).unwrap_or_default(),
            found.date.as_deref().map(moment).unwrap_or_default(),
            stands,
        ]);
        if let Some(error) = &found.error {
            table.row([format!("  {}", visible(error))]);
        }
    }
    table.draw("")
}
