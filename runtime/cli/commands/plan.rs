//! `muse plan`: what a run would do, and why.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::display::plan::draw;
use crate::exit;
use crate::failure::CliResult;
use crate::format::visible;
use crate::open::{Opened, leave};
use clap::Args;
use muse_runtime::diagnostic::Diagnostic;
use muse_runtime::plan::{Cause, Plan};
use muse_runtime::view::plan::PlanView;

const EXAMPLES: &str = "\
Examples:
  muse plan pipelines/tiny.yaml                   what would run, and which edit made it so
  muse plan pipelines/tiny.yaml -v                hits and keys too
  muse plan pipelines/tiny.yaml --set vocab=8192  what that change would cost
  muse plan pipelines/tiny.yaml --exit-code       for CI: 3 where there is work, 0 where there is none

hit    the result is there
run    it is not, or --force asks for it again
maybe  an input will be made again: if that comes out the same, nothing more happens";

/// What a run would do, stage by stage, and why.
///
/// Says for every stage whether its result is there, and if not which parameter, file, input or code version is
/// another than last time. Runs nothing, makes nothing, and never uses the network.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PlanArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Stages to plan for, instead of all.
    #[arg(value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
    /// Plan as if this stage had to run again. May be repeated.
    #[arg(long, value_name = "STAGE")]
    pub(crate) force: Vec<String>,
    /// Refuse what the lock file does not pin.
    #[arg(long)]
    pub(crate) locked: bool,
    /// Refuse what a run could only make with the network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// End with 3 where there is work.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Plans.
pub(crate) fn run(app: &mut App<'_>, args: &PlanArgs) -> CliResult {
    let mut opened = app.open(&args.pipeline.pipeline, &args.pipeline.values)?;
    opened.force = opened.stages(&args.force)?.into_iter().collect();
    let targets = opened.targets(&args.stages)?;
    let flag = if args.locked { Some("--locked") } else { args.offline.then_some("--offline") };
    let plan = show(app, &opened, targets, flag, args.json)?;
    let work = plan.has_work();
    leave((plan, opened));
    Ok(if args.exit_code && work { exit::WORK } else { exit::DONE })
}

/// Plans and prints the plan. With `flag`, what is not pinned is an error.
pub(crate) fn show(
    app: &mut App<'_>,
    opened: &Opened,
    targets: Vec<usize>,
    flag: Option<&str>,
    json: bool,
) -> CliResult<Plan> {
    let plan = opened.plan(targets)?;
    for complaint in opened.store.complaints() {
        app.terminal.say(&format!("{} {}", app.terminal.paint.warn("note:"), visible(&complaint)));
    }
    if let Some(flag) = flag {
        pinned(opened, &plan, flag)?;
    }
    app.terminal.detail(&super::run::input_files(plan.files.total, plan.files.hashed));
    let view = PlanView::new(&opened.pipeline, &plan);
    if json {
        app.out.json(&view)?;
    } else {
        app.out.text(&draw(&view, app.paint, app.verbose()))?;
    }
    app.out.flush()?;
    Ok(plan)
}

/// An error for each stage that stands on something that the lock file does not pin.
fn pinned(opened: &Opened, plan: &Plan, flag: &str) -> CliResult<()> {
    let lock = opened.lock.path().display();
    let problems: Vec<Diagnostic> = plan
        .iter()
        .flat_map(|(stage, planned)| planned.causes.iter().map(move |cause| (stage, cause)))
        .filter_map(|(stage, cause)| match cause {
            Cause::Unpinned { field } => Some((opened.pipeline.stages.get(stage)?, field)),
            _ => None,
        })
        .map(|(spec, id)| {
            let message = format!("stage `{}` needs `{id}` pinned, and {flag} forbids looking", spec.name);
            Diagnostic::at(spec.place.clone(), message)
                .help(format!("run once without {flag}, and commit {lock}"))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}
