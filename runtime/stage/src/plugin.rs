//! `main` of an executable `muse-stage-NAME`: `--describe` answers what it is, a job file runs it.
use crate::{Context, Job, JobMode, StageError, StageEvent, StageKind};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The format of job files that this crate reads and writes.
const JOB_FORMAT: u32 = 1;

const USAGE: &str = "usage: muse-stage-NAME --describe | JOB.json\n\
    Answers muse's questions about a stage kind, or runs one job of it. Named in a pipeline's `plugins:`.";

/// Runs a plugin executable that holds one kind.
pub fn plugin_main(kind: &dyn StageKind) -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(argument), None) = (arguments.next(), arguments.next()) else {
        return complain(USAGE, 2);
    };
    if argument == "--describe" {
        return match serde_json::to_string(&kind.describe()) {
            Ok(text) => say(&text),
            Err(error) => complain(&error.to_string(), 1),
        };
    }
    match read(Path::new(&argument)) {
        Ok(job) => {
            let mut context = Context::new(job, stop_on_sigterm(), |event| {
                send(event);
            });
            let outcome = run_job(kind, &mut context);
            let code = u8::from(!matches!(outcome, StageEvent::Done));
            send(&outcome);
            ExitCode::from(code)
        }
        Err(message) => complain(&message, 2),
    }
}

/// A flag that turns true on SIGTERM: the engine's way to ask for a last checkpoint.
pub fn stop_on_sigterm() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    // Without the handler the signal ends the process at once, which is the other right answer to it.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&flag));
    flag
}

/// Runs one job of `kind` and tells how it ended, as the event that closes it.
pub fn run_job(kind: &dyn StageKind, context: &mut Context) -> StageEvent {
    let job = context.job().clone();
    let version = kind.version();
    let result = if job.job != JOB_FORMAT {
        let message = format!("the job file has format {}; this program reads {JOB_FORMAT}", job.job);
        Err(StageError::new(message).help("run the same muse and plugin that planned this"))
    } else if job.version != version {
        let message =
            format!("the key asks for version {} of `{}`; this is {version}", job.version, job.kind);
        Err(StageError::new(message).help("run the same muse and plugin that planned this"))
    } else {
        match job.mode {
            JobMode::Run => kind.run_json(context, job.params),
            JobMode::Pin => job.pins.keys().try_for_each(|id| {
                let value = kind.pin_json(context, job.params.clone(), id)?;
                context.tell(&StageEvent::Pinned { id: id.clone(), value });
                Ok(())
            }),
        }
    };
    match result {
        Ok(()) => StageEvent::Done,
        Err(StageError::Interrupted) => StageEvent::Interrupted,
        Err(StageError::Failed { message, help }) => StageEvent::Failed { message, help },
        Err(error) => StageEvent::Failed { message: error.to_string(), help: None },
    }
}

fn read(path: &Path) -> Result<Job, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: not a job file: {error}", path.display()))
}

/// An event that cannot be written has no reader: muse is gone, and its guard ends this process.
fn send(event: &StageEvent) -> bool {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, event).is_ok() && out.write_all(b"\n").is_ok() && out.flush().is_ok()
}

fn say(text: &str) -> ExitCode {
    ExitCode::from(u8::from(writeln!(std::io::stdout(), "{text}").is_err()))
}

fn complain(text: &str, code: u8) -> ExitCode {
    // Standard error is the log of the stage; where it is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}
