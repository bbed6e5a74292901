//! A stage process on this machine: started, listened to, asked to stop, ended.
use super::environment::Environment;
use super::secrets::Mask;
use muse_stage::StageEvent;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How an attempt is reached from outside: by the dispatcher, which watches the clock and the signals.
#[derive(Debug, Default)]
pub(crate) struct Control(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    group: Option<Pid>,
    /// Our end of the stage's standard input: when it closes, the stage's process ends all that it started.
    lifeline: Option<ChildStdin>,
    stop: Option<Stop>,
    deadline: Option<Instant>,
    cut_at: Option<Instant>,
    kill_at: Option<Instant>,
}

/// How often signals and clocks are looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// How long a stage's process has to end what it started before it is killed itself.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Why a stage was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The user said so.
    Interrupt,
    /// It took longer than `timeout`.
    Timeout,
}

impl Control {
    /// Asks the stage to stop: SIGTERM now, and its end after the grace time. The first reason counts.
    fn stop(&self, why: Stop, grace: Duration) {
        let Ok(mut inner) = self.0.lock() else { return };
        if inner.stop.is_none() {
            inner.stop = Some(why);
            inner.cut_at = Instant::now().checked_add(grace);
            signal(inner.group, Signal::TERM);
        }
    }

    /// Ends the stage: its process ends all that it started, also what left its group, and is killed soon after.
    fn kill(&self) {
        let Ok(mut inner) = self.0.lock() else { return };
        inner.stop.get_or_insert(Stop::Interrupt);
        inner.lifeline = None;
        let now = Instant::now();
        inner.cut_at.get_or_insert(now);
        if inner.kill_at.is_none() {
            inner.kill_at = now.checked_add(LAST_MOMENT);
        }
    }

    /// Passes on how often the user asked to stop, and looks at the clock.
    pub(crate) fn keep_time(&self, asked: u32, grace: Duration) {
        match asked {
            0 => {}
            1 => self.stop(Stop::Interrupt, grace),
            _ => self.kill(),
        }
        self.tick(grace);
    }

    /// Does `work`, which runs processes under this control, while another thread keeps the time.
    pub(crate) fn watched<T>(&self, asked: &AtomicU32, grace: Duration, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (over, ended) = channel::<()>();
            scope.spawn(move || {
                while ended.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                    self.keep_time(asked.load(Ordering::Relaxed), grace);
                }
            });
            let result = work();
            drop(over);
            result
        })
    }

    /// Looks at the clock: a stage past its time is told to stop, one past its grace is ended.
    fn tick(&self, grace: Duration) {
        let past = |at: Option<Instant>| at.is_some_and(|at| Instant::now() >= at);
        let (late, cut, dead) = {
            let Ok(inner) = self.0.lock() else { return };
            (past(inner.deadline), past(inner.cut_at), past(inner.kill_at).then_some(inner.group).flatten())
        };
        if late {
            self.stop(Stop::Timeout, grace);
        }
        if cut {
            self.kill();
        }
        signal(dead, Signal::KILL);
    }

    /// Why it was told to stop, if it was.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.0.lock().ok().and_then(|inner| inner.stop)
    }

    /// A new process takes the place of the last one, with its own deadline.
    fn attach(&self, group: Option<Pid>, lifeline: Option<ChildStdin>, timeout: Option<Duration>) {
        let Ok(mut inner) = self.0.lock() else { return };
        if inner.stop == Some(Stop::Timeout) && group.is_some() {
            // A retry after a timeout begins with a clean slate.
            (inner.stop, inner.cut_at, inner.kill_at) = (None, None, None);
        }
        inner.group = group;
        inner.lifeline = lifeline;
        inner.deadline =
            timeout.and_then(|timeout| Instant::now().checked_add(timeout)).filter(|_| group.is_some());
        // It was told to stop before there was a process to tell.
        if inner.stop.is_some() {
            signal(group, Signal::TERM);
        }
        if inner.kill_at.is_some() {
            inner.lifeline = None;
        }
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // A group that is gone needs no signal.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// What to start.
pub(crate) struct Launch<'a> {
    /// The muse program.
    pub(crate) program: &'a Path,
    /// The job file.
    pub(crate) job: &'a Path,
    /// Where the stage works.
    pub(crate) folder: &'a Path,
    /// All that it sees of the environment.
    pub(crate) environment: &'a Environment,
    /// Where its output goes.
    pub(crate) log: &'a Path,
    /// Values that must not be shown.
    pub(crate) secrets: Vec<String>,
    /// How long it may take.
    pub(crate) timeout: Option<Duration>,
}

/// How a process ended: its closing event, where it had one, and its exit status.
pub(crate) struct Ended {
    /// `done`, `failed` or `interrupted`.
    pub(crate) event: Option<StageEvent>,
    /// What the system says.
    pub(crate) status: ExitStatus,
}

/// Starts a stage process and listens until it is over. Events other than the closing one go to `tell`.
pub(crate) fn run(launch: Launch<'_>, control: &Control, tell: &dyn Fn(StageEvent)) -> io::Result<Ended> {
    let log = File::options().create(true).append(true).open(launch.log)?;
    let mut child = Command::new(launch.program)
        .arg("exec-stage")
        .arg(launch.job)
        .arg("--lifeline")
        .current_dir(launch.folder)
        .env_clear()
        .envs(launch.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // The control holds it until the process is over: waiting would close it, and the stage would think us dead.
    control.attach(group, child.stdin.take(), launch.timeout);
    let pumped = child.stderr.take().map(|stderr| pump(stderr, log, Mask::new(launch.secrets.clone())));
    let mut mask = Mask::new(launch.secrets);
    let mut last = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let Ok(event) = serde_json::from_slice::<StageEvent>(&line) else { continue };
            match hide(event, &mut mask) {
                event @ (StageEvent::Done | StageEvent::Failed { .. } | StageEvent::Interrupted) => {
                    last = Some(event)
                }
                event => tell(event),
            }
        }
    }
    let status = child.wait()?;
    control.attach(None, None, None);
    // What is left of the group, should the process itself have been killed.
    signal(group, Signal::KILL);
    if let Some(pumped) = pumped {
        // A descendant in a group of its own could hold the log open for ever.
        let _ = pumped.recv_timeout(Duration::from_secs(2));
    }
    Ok(Ended { event: last, status })
}

/// Copies what the stage prints to its log, secrets hidden. The receiver hears when the last word is written.
fn pump(mut from: impl Read + Send + 'static, mut log: File, mut mask: Mask) -> Receiver<()> {
    let (done, heard) = channel();
    std::thread::spawn(move || {
        let mut piece = vec![0u8; 1 << 16];
        loop {
            let read = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            // A log that cannot be written must not stop the stage from writing it.
            let _ = if mask.is_empty() {
                log.write_all(&piece[..read])
            } else {
                log.write_all(&mask.pass(&piece[..read]))
            };
        }
        let _ = log.write_all(&mask.finish());
        let _ = done.send(());
    });
    heard
}

fn hide(event: StageEvent, mask: &mut Mask) -> StageEvent {
    if mask.is_empty() {
        return event;
    }
    match event {
        StageEvent::Progress { done, total, unit } => {
            StageEvent::Progress { done, total, unit: mask.text(&unit) }
        }
        StageEvent::Metric { step, name, value } => {
            StageEvent::Metric { step, name: mask.text(&name), value }
        }
        StageEvent::Failed { message, help } => {
            StageEvent::Failed { message: mask.text(&message), help: help.map(|help| mask.text(&help)) }
        }
        StageEvent::Fact { name, value } => {
            StageEvent::Fact { name: mask.text(&name), value: hidden(value, mask) }
        }
        StageEvent::Pinned { id, value } => StageEvent::Pinned { id, value: mask.text(&value) },
        other => other,
    }
}

/// The same value with secrets hidden in all its texts.
fn hidden(value: Value, mask: &mut Mask) -> Value {
    match value {
        Value::String(text) => Value::String(mask.text(&text)),
        Value::Array(items) => items.into_iter().map(|item| hidden(item, mask)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (mask.text(&name), hidden(value, mask))).collect()
        }
        other => other,
    }
}

/// The last lines of a log, for messages.
pub fn tail(log: &PathBuf, lines: usize) -> Vec<String> {
    let Ok(mut file) = File::open(log) else { return Vec::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut end = Vec::new();
    let from = length.saturating_sub(1 << 14);
    if io::Seek::seek(&mut file, io::SeekFrom::Start(from)).is_err() || file.read_to_end(&mut end).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&end);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}
