//! The `muse` program: the command line with the built-in stages.
use std::process::ExitCode;

fn main() -> ExitCode {
    muse::main(muse_stages::BUILTIN)
}
