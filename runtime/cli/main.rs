//! The `muse` program: the command line with the built-in stages.
use std::process::ExitCode;

/// Planning is many small pieces on all cores, where the system's allocator takes a tenth longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muse::main(muse_stages::BUILTIN)
}
