//! The command line of muse: arguments, one file a command, reporters, exit codes.
mod environment;
mod exit;
mod failure;
mod format;
mod out;
mod paint;
mod render;
mod terminal;

use muse_stage::StageKind;
use std::process::ExitCode;

/// Runs the command line with the given stage kinds and answers the process's exit code.
pub fn main(kinds: &[&'static dyn StageKind]) -> ExitCode {
    let _ = kinds;
    ExitCode::SUCCESS
}
