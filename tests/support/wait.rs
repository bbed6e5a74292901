//! Waiting for what other processes do: by looking again, with an end, and never for a fixed time.
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Looks until it is so; fails the test where it does not come to be.
#[track_caller]
pub(crate) fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for a file to hold something.
#[track_caller]
pub(crate) fn until_written(path: &Path) {
    until(&path.display().to_string(), LONG, || fs::metadata(path).is_ok_and(|meta| meta.len() > 0));
}

/// Waits for a process to end.
#[track_caller]
pub(crate) fn until_ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the process ends", LONG, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// The code of an ended process as shells count it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Sends a signal to one process.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Reads the child's standard output up to the line that holds `text`, and answers that line.
#[track_caller]
pub(crate) fn line_with(out: &mut impl BufRead, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended without saying {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

/// The child's standard output, line by line.
pub(crate) fn stdout(child: &mut Child) -> BufReader<std::process::ChildStdout> {
    BufReader::new(child.stdout.take().expect("its output is a pipe"))
}

/// The processes that have this word on their command line.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|argument| String::from_utf8_lossy(argument).contains(word))
    })
    .collect()
}

/// Whether this process may make name spaces with mounts in them; prints why a test is skipped where not.
pub(crate) fn may_mount(test: &str) -> bool {
    let tried = std::process::Command::new("unshare").args(["-m", "true"]).output();
    let may = tried.is_ok_and(|said| said.status.success());
    if !may {
        println!("{test} is skipped: mounting a small disk needs root and `unshare`");
    }
    may
}
