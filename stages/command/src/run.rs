//! Starts the program, waits for it, and says how it ended.
use crate::{Params, text};
use muse_stage::{CommandText, Context, StageError};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    context.go_on()?;
    let (program, mut command) = match &params.run {
        CommandText::Line(line) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(text::fill(line));
            ("sh".to_owned(), command)
        }
        CommandText::Argv(argv) => {
            let mut argv = argv.iter().map(|argument| text::fill(argument));
            let program = argv.next().unwrap_or_default();
            let mut command = Command::new(&program);
            command.args(argv);
            (program, command)
        }
    };
    command.current_dir(context.work()).envs(&params.env).stdin(Stdio::null());
    if *params.resume {
        command.env("MUSE_RESUME", context.resume()?);
    }
    // All that a command says is its log, in the order in which it says it.
    let log = std::io::stderr().as_fd().try_clone_to_owned().map_err(StageError::io("standard error"))?;
    command.stdout(Stdio::from(log));
    let status = match command.spawn().and_then(|mut child| child.wait()) {
        Ok(status) => status,
        Err(error) => return Err(not_started(&program, &error)),
    };
    // A program that was told to stop may well exit with 0 and half a result.
    context.go_on()?;
    if status.success() { Ok(()) } else { Err(StageError::new(describe(status))) }
}

fn not_started(program: &str, error: &std::io::Error) -> StageError {
    let failed = StageError::new(format!("cannot start `{program}`: {error}"));
    match error.kind() {
        std::io::ErrorKind::NotFound if program.contains('/') => failed.help(
            "a command starts in an empty folder: name the program under `files` and run it by `${in.NAME}`",
        ),
        std::io::ErrorKind::NotFound => failed.help("is it installed, and on the PATH of whoever runs muse?"),
        std::io::ErrorKind::PermissionDenied => failed.help("is it marked as executable?"),
        _ => failed,
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(127), _) => "exit status 127 (the shell found no such command)".into(),
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "killed by signal 9 (out of memory, or by hand)".into(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}
