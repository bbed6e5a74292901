//! `muse why`: what makes a stage's key.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::display;
use crate::exit;
use crate::failure::CliResult;
use clap::Args;
use muse_runtime::view::why::why;

const EXAMPLES: &str = "\
Examples:
  muse why pipelines/tiny.yaml base                   all that its result depends on
  muse why pipelines/tiny.yaml 'base[seed=1]'         one stage of a matrix
  muse why pipelines/tiny.yaml base --set steps=500   with another parameter
  muse why pipelines/tiny.yaml base --json            for programs";

/// What makes a stage's key, and what differs from its last result.
///
/// Lists the parameters, inputs, files and code version that the key is the hash of: nothing else can make the
/// stage run again. What is another than in its last result is marked, with the old value beside it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct WhyArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub(crate) stage: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Explains.
pub(crate) fn run(app: &mut App<'_>, args: &WhyArgs) -> CliResult {
    let opened = app.open(&args.pipeline.pipeline, &args.pipeline.values)?;
    let stages = opened.stages(std::slice::from_ref(&args.stage))?;
    let plan = opened.plan(stages.clone())?;
    let planner = opened.planner();
    let pages: Vec<_> = stages.iter().filter_map(|&stage| why(&planner, &plan, stage)).collect();
    match pages.as_slice() {
        [one] if args.json => app.out.json(one)?,
        all if args.json => app.out.json(&all)?,
        all => {
            for (at, page) in all.iter().enumerate() {
                let gap = if at > 0 { "\n" } else { "" };
                let text = display::why::draw(page, app.paint);
                app.out.text(&format!("{gap}{text}"))?;
            }
            app.out.flush()?;
        }
    }
    app.complain(&opened.store);
    Ok(exit::DONE)
}
