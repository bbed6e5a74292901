//! `muse doctor`: can this machine do the work?
mod checks;
mod disk;

use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::CliResult;
use crate::format::Table;
use crate::machine::{Driver, Machine};
use crate::paint::Paint;
use clap::{Args, ValueHint};
use muse_runtime::document::Pipeline;
use muse_stages::bench::gpu_libraries;
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse doctor                            can a CPU run work here? what else is there?
  muse doctor pipelines/speedrun.yaml    can this pipeline? a GPU that it needs is then an error
  muse doctor --json                     for programs

ok     as it should be
warn   fine for a CPU run; something else will not work or will be slow
error  a run will fail";

/// Check this machine: driver, GPUs, disk, store, hub token.
///
/// Looks at all that a run needs before it is needed, and says what to do where something is missing. Ends with 0
/// where a CPU run can work: a missing GPU or token is a warning, and an error only where PIPELINE needs it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Check for the needs of this pipeline.
    #[arg(value_name = "PIPELINE", value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    /// As it should be.
    Ok,
    /// A CPU run works all the same.
    Warn,
    /// A run will fail.
    Error,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) mark: Mark,
    /// What was found.
    pub(crate) found: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// What a pipeline asks of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Needs {
    /// The most GPUs that one stage reserves.
    pub(crate) gpus: u32,
    /// The most memory that one stage reserves, in bytes.
    pub(crate) memory: u64,
    /// A stage asks for the token of the hub.
    pub(crate) token: bool,
    /// The most cores that one stage reserves.
    pub(crate) cores: u32,
}

impl Needs {
    /// The most that any stage of a pipeline asks for.
    fn of(pipeline: &Pipeline) -> Self {
        let mut needs = Self::default();
        for stage in &pipeline.stages {
            needs.gpus = needs.gpus.max(stage.resources.gpu.unwrap_or(0));
            needs.memory = needs.memory.max(stage.resources.memory.unwrap_or(0));
            needs.cores = needs.cores.max(stage.resources.cpu.unwrap_or(0));
            let mut variables = stage.secrets.iter().chain(&stage.pass_env);
            needs.token |= variables.any(|name| name == "HF_TOKEN");
        }
        needs
    }
}

/// Checks.
pub(crate) fn run(app: &mut App<'_>, args: &DoctorArgs) -> CliResult {
    let needs = match &args.pipeline {
        Some(path) => Needs::of(&app.load(path, &ValueArgs::default(), false)?),
        None => Needs::default(),
    };
    check(app, args, &needs)
}

/// Checks against what a pipeline needs.
pub(crate) fn check(app: &mut App<'_>, args: &DoctorArgs, needs: &Needs) -> CliResult {
    let project = app.project(args.pipeline.as_deref());
    let driver = Driver::detect();
    let machine = Machine { gpus: driver.visible(&app.environment), ..Machine::without_gpus() };
    let mut checks = checks::machine(&machine, needs);
    checks.extend(checks::gpus(&driver, &machine.gpus, needs));
    if driver.version.is_some() {
        checks.extend(checks::libraries(&gpu_libraries(machine.gpus.len()), needs));
    }
    checks.extend(disk::check(&project.cache));
    checks.push(checks::token(&app.environment, needs));
    report(app, &checks, args.json)
}

fn report(app: &mut App<'_>, checks: &[Check], json: bool) -> CliResult {
    let ok = checks.iter().all(|check| check.mark != Mark::Error);
    if json {
        app.out.json(&serde_json::json!({ "ok": ok, "checks": checks }))?;
    } else {
        app.out.text(&draw(checks, app.paint))?;
    }
    app.out.flush()?;
    Ok(if ok { exit::DONE } else { exit::FAILED })
}

fn draw(checks: &[Check], paint: Paint) -> String {
    let mut table = Table::default();
    for check in checks {
        let mark = match check.mark {
            Mark::Ok => paint.good("ok"),
            Mark::Warn => paint.warn("warn"),
            Mark::Error => paint.bad("error"),
        };
        table.row([mark, check.name.to_owned(), check.found.clone()]);
        if let Some(help) = &check.help {
            table.row([String::new(), String::new(), paint.faint(&format!("→ {help}"))]);
        }
    }
    table.draw("")
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, mark: Mark::Ok, found: found.into(), help: None }
    }

    fn not_ok(mark: Mark, name: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name, mark, found: found.into(), help: Some(help.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::printed_by;

    fn checks(mark: Mark) -> Vec<Check> {
        vec![Check::ok("cores", "2"), Check::not_ok(mark, "gpu", "none", "runs will use the processor")]
    }

    #[test]
    fn a_warning_is_no_failure() {
        let report = |mark, json| printed_by(|app| report(app, &checks(mark), json));
        assert_eq!(
            report(Mark::Warn, false),
            (
                Some(0),
                "ok    cores  2\nwarn  gpu    none\n             → runs will use the processor\n".into()
            )
        );
        assert_eq!(report(Mark::Error, false).0, Some(1));
        let (code, text) = report(Mark::Error, true);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (code, &value["ok"], &value["checks"][1]["mark"]),
            (Some(1), &false.into(), &"error".into())
        );
    }

    #[test]
    fn this_machine_can_be_checked() {
        let args = DoctorArgs { pipeline: None, json: false };
        let folder = tempfile::tempdir().unwrap();
        let (code, text) = printed_by(|app| {
            app.cache_dir = Some(folder.path().join("cache"));
            check(app, &args, &Needs::default())
        });
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a check leaves nothing behind");
    }
}
