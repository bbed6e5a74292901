//! Stage kinds that are executables of their own: asked what they are, and run by job file.
use super::{Events, tell};
use crate::document::PluginFinder;
use muse_stage::{Description, StageEvent};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a plugin may take to say what it is. Ample, because a machine may be busy: this is for one that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `muse-stage-NAME --describe` answers. `environment` is all that it sees.
fn describe(
    program: &Path,
    environment: &[(String, String)],
    patience: Duration,
) -> Result<Description, String> {
    let child = Command::new(program)
        .arg("--describe")
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    let group = Pid::from_child(&child);
    let (sender, answer) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let said = match answer.recv_timeout(patience) {
        Ok(said) => said.map_err(|error| not_started(program, &error))?,
        Err(_) => {
            // Where it is over already there is nothing to end.
            let _ = kill_process_group(group, Signal::KILL);
            let seconds = patience.as_secs_f64();
            return Err(format!("{} --describe says nothing for {seconds} s", program.display()));
        }
    };
    if !said.status.success() {
        let stderr = String::from_utf8_lossy(&said.stderr);
        let last = stderr.lines().last().unwrap_or("nothing on standard error");
        return Err(format!("{} --describe failed: {last}", program.display()));
    }
    let description: Description = serde_json::from_slice(&said.stdout)
        .map_err(|error| format!("{} --describe did not answer a description: {error}", program.display()))?;
    if description.format != 1 {
        return Err(format!(
            "{} speaks format {}; this muse speaks 1",
            program.display(),
            description.format
        ));
    }
    Ok(description)
}

/// Why a program cannot be started, in words that tell what to do.
fn not_started(program: &Path, error: &std::io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::PermissionDenied => "it is not marked as executable".to_owned(),
        ErrorKind::NotFound if program.exists() => {
            "its first line names a program that is not there".to_owned()
        }
        _ => error.to_string(),
    };
    format!("cannot start {}: {reason}", program.display())
}

/// Finds plugins where a pipeline names them, else as `muse-stage-NAME` on the caller's `PATH`.
pub struct Plugins {
    /// The caller's `PATH`, and nothing else, is what a plugin sees when it is asked what it is.
    pub path: String,
}

impl PluginFinder for Plugins {
    fn find(&self, name: &str, named: Option<&Path>) -> Result<Option<(PathBuf, Description)>, String> {
        let found = match named {
            Some(path) => Some(path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?),
            None => self.path.split(':').filter(|folder| folder.starts_with('/')).find_map(|folder| {
                let path = Path::new(folder).join(format!("muse-stage-{name}"));
                path.is_file().then_some(path)
            }),
        };
        let Some(program) = found else { return Ok(None) };
        let description = describe(&program, &[("PATH".into(), self.path.clone())], PATIENCE)?;
        if description.name != name {
            return Err(format!("{} is the kind `{}`, not `{name}`", program.display(), description.name));
        }
        Ok(Some((program, description)))
    }
}

/// What is heard of a plugin while it runs.
enum Heard {
    Event(StageEvent),
    Ended(io::Result<ExitStatus>),
}

/// How long the last words of a plugin that has ended may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the job in the plugin's own process and passes its events on.
pub(super) fn run(program: &Path, job: &Path, events: &Events) -> StageEvent {
    let failed = |message: String| StageEvent::Failed { message, help: None };
    // The engine's SIGTERM reaches the plugin too: both are in one process group.
    let cancelled = muse_stage::stop_on_sigterm();
    let mut child = match Command::new(program).arg(job).stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return failed(not_started(program, &error)),
    };
    let (sender, heard) = channel();
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                // A stray print is not an event, and nobody's harm.
                if let Ok(event) = serde_json::from_slice(&line) {
                    let _ = sender.send(Heard::Event(event));
                }
            }
        });
    }
    std::thread::spawn(move || sender.send(Heard::Ended(child.wait())));
    let (mut last, mut ended) = (None, None);
    loop {
        // What it left running may hold its output open: nobody waits for that, as nobody waits for its log.
        let next = match &ended {
            None => heard.recv().ok(),
            Some(_) if last.is_some() => None,
            Some(_) => heard.recv_timeout(LAST_WORDS).ok(),
        };
        match next {
            Some(Heard::Event(
                event @ (StageEvent::Done | StageEvent::Failed { .. } | StageEvent::Interrupted),
            )) => last = Some(event),
            Some(Heard::Event(event)) => tell(events, &event),
            Some(Heard::Ended(status)) => ended = Some(status),
            None => break,
        }
    }
    let done = matches!(&ended, Some(Ok(status)) if status.success());
    match (last, ended) {
        (Some(StageEvent::Done), _) if done => StageEvent::Done,
        (Some(event), _) if event != StageEvent::Done => event,
        _ if cancelled.load(Ordering::Relaxed) => StageEvent::Interrupted,
        (_, Some(Ok(status))) => failed(format!("the plugin ended ({status}) without saying `done`")),
        (_, Some(Err(error))) => failed(format!("the plugin could not be waited for: {error}")),
        (_, None) => failed("the plugin could not be waited for".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn asked(script: &str, mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("muse-stage-odd");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        describe(&program, &[], Duration::from_millis(50)).unwrap_err()
    }

    #[test]
    fn a_plugin_that_says_nothing_is_not_waited_for() {
        let message = asked("#!/bin/sh\nsleep 60\n", 0o755);
        assert!(message.ends_with("muse-stage-odd --describe says nothing for 0.05 s"), "{message}");
    }

    #[test]
    fn a_plugin_that_cannot_start_says_what_to_do() {
        let message = asked("#!/bin/sh\n", 0o644);
        assert!(message.ends_with("it is not marked as executable"), "{message}");
        let message = asked("#!/no/such/interpreter\n", 0o755);
        assert!(message.ends_with("its first line names a program that is not there"), "{message}");
    }
}
