//! The command line of muse: arguments, one file a command, reporters, exit codes.
//!
//! A binary of your own with stages of your own is a `main` that hands its list to [`main`].
mod app;
mod args;
mod commands;
mod display;
mod environment;
mod exit;
mod failure;
mod format;
mod machine;
mod model;
mod open;
mod out;
mod paint;
mod project;
mod reference;
mod render;
mod report;
mod signals;
mod terminal;
mod typed;
mod values;

use muse_stage::StageKind;
use std::process::ExitCode;

/// Runs the command line with the given stage kinds and answers the process's exit code.
pub fn main(kinds: &[&'static dyn StageKind]) -> ExitCode {
    app::main(kinds, std::env::args_os().collect()).into()
}

pub use reference::reference;

/// The command line's definition.
fn command() -> clap::Command {
    <args::Cli as clap::CommandFactory>::command()
}
