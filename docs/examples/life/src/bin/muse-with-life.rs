//! muse with the kind `life`.
use life::Life;
use muse_stages::BUILTIN;

fn main() -> std::process::ExitCode {
    let mut kinds = BUILTIN.to_vec();
    kinds.push(&Life);
    muse::main(&kinds)
}
