//! The process of one stage: what `muse exec-stage JOB.json` does.
//!
//! It is started by the engine, or by a batch system on another machine, and does the same in both: read the
//! job, run the kind, say how it went as events on standard output. All other output of the stage is its log.
mod guard;
mod plugin;

use muse_stage::{Context, Job, StageError, StageEvent, StageKind, run_job, stop_on_sigterm};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub use plugin::Plugins;

/// Where events go: the standard output that this process was started with.
type Events = Arc<Mutex<File>>;

/// Runs one job and answers the process's exit code: 0 only where the stage is done.
///
/// `variables` is what this process sees of the environment. With `lifeline`, standard input is a pipe that the engine holds: when it closes, the engine is gone, and so is
/// everything that this process started.
pub fn exec_stage(
    path: &Path,
    kinds: &[&'static dyn StageKind],
    variables: BTreeMap<String, String>,
    lifeline: bool,
) -> u8 {
    guard::adopt_orphans();
    if lifeline {
        guard::die_with_the_engine();
    }
    let Ok(events) = take_stdout() else {
        return 1;
    };
    // Reading the job leads to another folder.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let outcome = match read(&path) {
        Ok(job) => run(job, &path, kinds, variables, &events),
        Err(message) => StageEvent::Failed { message, help: None },
    };
    // Whatever the stage left running could still write to its outputs.
    guard::end_children();
    tell(&events, &outcome);
    u8::from(outcome != StageEvent::Done)
}

fn run(
    job: Job,
    path: &Path,
    kinds: &[&'static dyn StageKind],
    variables: BTreeMap<String, String>,
    events: &Events,
) -> StageEvent {
    if let Some(plugin) = &job.plugin {
        return plugin::run(plugin, path, events);
    }
    let Some(kind) = kinds.iter().find(|kind| kind.name() == job.kind) else {
        let message = format!("this muse has no stage kind `{}`", job.kind);
        return StageEvent::Failed { message, help: Some("run the same binary that planned this".into()) };
    };
    let sink = Arc::clone(events);
    let context = Context::new(job, stop_on_sigterm(), move |event| tell(&sink, event));
    let mut context = context.with_variables(variables);
    catch_unwind(AssertUnwindSafe(|| run_job(*kind, &mut context))).unwrap_or_else(|_| {
        let message = "the stage panicked; its log says where".to_owned();
        StageEvent::Failed {
            message,
            help: Some("this is a mistake in the stage, not in the pipeline".into()),
        }
    })
}

fn read(path: &Path) -> Result<Job, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let job: Job = serde_json::from_slice(&text)
        .map_err(|error| format!("{}: not a job file: {error}", path.display()))?;
    std::env::set_current_dir(&job.work).map_err(|error| format!("{}: {error}", job.work.display()))?;
    Ok(job)
}

/// Keeps the standard output for events and sends what the stage itself prints there to its log.
fn take_stdout() -> Result<Events, StageError> {
    let failed = |error: rustix::io::Errno| StageError::new(format!("standard output: {error}"));
    let stdout = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).map_err(failed)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).map_err(failed)?;
    Ok(Arc::new(Mutex::new(File::from(stdout))))
}

/// One line, in one write. Where nobody reads, the guard is about to end this process.
fn tell(events: &Events, event: &StageEvent) {
    if let (Ok(mut line), Ok(mut sink)) = (serde_json::to_vec(event), events.lock()) {
        line.push(b'\n');
        let _ = sink.write_all(&line);
    }
}
