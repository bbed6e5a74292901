//! A test file that no `mod` line names would never run, and nobody would notice.
use std::fs;
use std::path::Path;

/// Folders that are programs or data of their own, not modules of this binary.
const OTHERS: &[&str] = &["by_hand", "fuzz", "fixtures", "snapshots"];

#[test]
fn every_file_has_its_mod_line() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut forgotten = Vec::new();
    check(&tests, &tests.join("main.rs"), &mut forgotten);
    assert!(forgotten.is_empty(), "no `mod` line names these: {forgotten:#?}");
}

/// Every Rust file and folder beside `parent` must be declared in it.
fn check(folder: &Path, parent: &Path, forgotten: &mut Vec<String>) {
    let declared = fs::read_to_string(parent).unwrap_or_default();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, file) = (entry.path(), entry.file_name().into_string().unwrap());
        if path == parent || OTHERS.contains(&file.as_str()) {
            continue;
        }
        let module = if path.is_dir() { Some(file.as_str()) } else { file.strip_suffix(".rs") };
        let Some(module) = module else { continue };
        if !declared.lines().any(|line| line.trim_start_matches("pub(crate) ") == format!("mod {module};")) {
            forgotten.push(path.display().to_string());
        } else if path.is_dir() {
            check(&path, &path.join("mod.rs"), forgotten);
        }
    }
}
