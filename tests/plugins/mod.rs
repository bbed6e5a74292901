//! The three ways in which a stage kind reaches muse, each with its example built and run.
mod checks;
mod locked;
mod longer;
mod marks;
mod own_binary;
mod programs;
mod story;

use crate::support::TestContext;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Builds the example crates and answers where its programs are. In a run of all tests it is built already.
fn example(program: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let programs = BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--offline",
            "--package",
            "word-count",
            "--package",
            "muse-example-life",
            "--bins",
            "--message-format",
            "json",
            "-q",
        ]);
        cargo.args((!cfg!(debug_assertions)).then_some("--release"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
        let said = cargo.output().unwrap();
        assert!(said.status.success(), "the examples do not build");
        let messages = said.stdout.split(|byte| *byte == b'\n');
        let artifacts = messages.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
        artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from)).collect()
    });
    programs.iter().find(|path| path.ends_with(program)).expect("cargo names what it built").clone()
}

/// The Python plugin, as it stands in docs/. The tests need nothing but Rust and a C compiler, so where there is no
/// Python those of this plugin are skipped, and say so.
fn line_count() -> Option<PathBuf> {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 here");
        return None;
    }
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/line-count/muse-stage-line-count"))
}

/// Puts a program where a pipeline may name it: by a link, as data elsewhere is named.
fn link(context: &TestContext, program: &Path) {
    let name = program.file_name().unwrap();
    std::fs::create_dir_all(context.path("bin")).unwrap();
    std::os::unix::fs::symlink(program, context.path("bin").join(name)).unwrap();
}
