//! Who may depend on whom, and what library crates may not touch: the rules of docs/ARCHITECTURE.md, held by a test.
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The stages that train or run models.
const MODEL_STAGES: &[&str] = &["compress", "pretrain", "sft", "eval", "export", "import"];
/// Those of them that train.
const TRAINING_STAGES: &[&str] = &["pretrain", "sft"];

/// Whether a crate of ours may depend on another of ours.
fn allowed(from: &str, to: &str) -> bool {
    let stage = |name: &str| name.strip_prefix("muse-stage-").map(str::to_owned);
    match (from, to) {
        ("muse", "muse-runtime" | "muse-stage" | "muse-store" | "muse-stages" | "muse-artifacts") => true,
        // What stages and commands that run models share.
        ("muse", "muse-serve") | ("muse-serve", "muse-inference" | "muse-artifacts") => true,
        ("muse", "muse-inference") | ("muse-inference", "muse-artifacts" | "muse-model") => true,
        // So that a stage passes a format's error on as its own.
        ("muse-artifacts", "muse-stage") => true,
        ("muse-runtime", "muse-stage" | "muse-store") => true,
        ("muse-stages", to) => ["muse-stage", "muse-training"].contains(&to) || stage(to).is_some(),
        ("muse-model", "muse-kernels") => true,
        // A training, whatever the stage that asks for it.
        ("muse-training", "muse-stage" | "muse-artifacts" | "muse-model") => true,
        ("xtask", _) => true,
        // Examples are what users write: stages, and binaries that hand them to muse.
        (from, "muse" | "muse-stage" | "muse-stages")
            if from.starts_with("muse-example") || from == "word-count" =>
        {
            true
        }
        (from, "muse-stage" | "muse-artifacts") => stage(from).is_some(),
        (from, "muse-model" | "muse-inference") => {
            stage(from).is_some_and(|name| MODEL_STAGES.contains(&name.as_str()))
        }
        (from, "muse-training") => stage(from).is_some_and(|name| TRAINING_STAGES.contains(&name.as_str())),
        _ => false,
    }
}

fn packages() -> Vec<Value> {
    let said = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let metadata: Value = serde_json::from_slice(&said.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn dependencies_point_where_they_may() {
    let packages = packages();
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for package in &packages {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            // What only tests use is no part of the crate.
            if dependency["path"].is_null() || dependency["kind"] == "dev" {
                continue;
            }
            let to = dependency["name"].as_str().unwrap();
            arrows += 1;
            if !allowed(from, to) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(arrows > 5, "the packages were not read");
    assert!(wrong.is_empty(), "not allowed: {wrong:?}");
}

#[test]
fn the_rules_forbid_what_the_design_forbids() {
    for (from, to) in [
        ("muse-runtime", "muse-stage-command"),
        ("muse-runtime", "muse-stages"),
        ("muse-runtime", "muse-model"),
        ("muse-stage-command", "muse-store"),
        ("muse-stage-command", "muse-stage-pack"),
        ("muse-stage-command", "muse-runtime"),
        ("muse-stage-download", "muse-model"),
        ("muse-stage-download", "muse-inference"),
        ("muse-inference", "muse-stage-eval"),
        ("muse-stage", "muse-store"),
        ("muse-stage", "muse-runtime"),
        ("muse-store", "muse-stage"),
        ("muse-model", "muse-stage"),
        ("muse-artifacts", "muse-stage-pack"),
        ("muse-artifacts", "muse-training"),
        ("muse-training", "muse-stage-pretrain"),
        ("muse-stage-pack", "muse-training"),
        ("muse-stage-sft", "muse-stage-pretrain"),
        ("muse-model", "muse-training"),
        ("muse-artifacts", "muse-store"),
    ] {
        assert!(!allowed(from, to), "{from} -> {to}");
    }
    assert!(allowed("muse-stage-pretrain", "muse-model") && allowed("muse-stage-pack", "muse-artifacts"));
    assert!(allowed("muse-stage-pretrain", "muse-training") && allowed("muse-training", "muse-model"));
}

/// The Rust files of the library crates: all but the command line, tests, examples, benchmarks and tools.
fn library_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("runtime"), root.join("stages"), root.join("model")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir()
                && !["tests", "examples", "benches"].contains(&name)
                && path != root.join("runtime/cli")
            {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// What stands in a file before its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn libraries_never_print_and_never_read_the_environment() {
    let files = library_files();
    assert!(files.len() > 50, "only {} files were found", files.len());
    // Words in pieces, so that this file does not hold them.
    let forbidden = [
        concat!("print", "ln!"),
        concat!("print", "!("),
        concat!("db", "g!("),
        concat!("env::", "var"),
        concat!("env::", "home_dir"),
        concat!("env::", "current_dir"),
        concat!("process::", "exit"),
        concat!("disallowed", "_methods"),
        concat!("print_", "std"),
    ];
    let mut wrong = Vec::new();
    for path in &files {
        let code = code(path);
        for word in forbidden.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "libraries say things by events and errors, and are handed what they need: {wrong:#?}"
    );
}

#[test]
fn every_crate_of_ours_keeps_the_lints_of_the_workspace() {
    let lints = |manifest: &str, from: &str| -> Vec<String> {
        let table = manifest.split(from).nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
        table.lines().filter(|line| line.contains(" = ")).map(str::to_owned).collect()
    };
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for package in packages() {
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        if ["muse-artifacts", "muse-kernels"].iter().any(|name| package["name"] == **name) {
            // One maps files into memory, the other multiplies over pointers: these two may say `unsafe`, where a reason
            // stands beside it.
            let mut rust = lints(&root, "[workspace.lints.rust]");
            rust.iter_mut().for_each(|line| *line = line.replace("forbid", "deny"));
            assert_eq!(lints(&manifest, "[lints.rust]"), rust);
            assert_eq!(lints(&manifest, "[lints.clippy]"), lints(&root, "[workspace.lints.clippy]"));
            continue;
        }
        let kept = manifest.contains("[lints]\nworkspace = true");
        assert!(kept, "{} does not say `[lints] workspace = true`", package["name"]);
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = library_files();
    let mut folders = vec![root.join("runtime/cli"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let silent: Vec<_> = files
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .filter(|path| !path.starts_with(root.join("tests/fuzz/target")))
        .collect();
    assert!(silent.is_empty(), "the first line of these does not begin with `//! `: {silent:#?}");
}
