//! muse with one stage kind more.
use muse_stages::BUILTIN;
use word_count::WordCount;

fn main() -> std::process::ExitCode {
    let mut kinds = BUILTIN.to_vec();
    kinds.push(&WordCount);
    muse::main(&kinds)
}
