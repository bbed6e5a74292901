//! The same stage kind as an executable that any muse finds on the path or under `plugins:`.
fn main() -> std::process::ExitCode {
    muse_stage::plugin_main(&word_count::WordCount)
}
