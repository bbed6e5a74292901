//! A hundred and more broken files: all that is wrong is found, at its line and column, and nothing else.
//!
//! At the end of each file of `tests/broken` stand comments: `expect: LINE:COLUMN words of the message` for each
//! error (`expect in FILE:` where it is in another one), `help: words` below it where a help must say something,
//! and `set:`, `preset:`, `env:` for what the load is given.
use crate::kinds::KINDS;
use muse_runtime::diagnostic::Diagnostic;
use muse_runtime::document::{Options, load};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

struct Expected {
    place: String,
    words: String,
    help: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn comments(text: &str, name: &str) -> Vec<String> {
    let prefix = format!("# {name}: ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}

fn expected(text: &str) -> Vec<Expected> {
    let mut all: Vec<Expected> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
        if let Some(rest) = line.strip_prefix("expect: ") {
            let (place, words) = rest.split_once(' ').unwrap();
            all.push(Expected { place: place.into(), words: words.into(), help: None });
        } else if let Some(rest) = line.strip_prefix("expect in ") {
            let (file, rest) = rest.split_once(": ").unwrap();
            let (place, words) = rest.split_once(' ').unwrap();
            all.push(Expected { place: format!("{file}:{place}"), words: words.into(), help: None });
        } else if let Some(rest) = line.strip_prefix("help: ") {
            all.last_mut().unwrap().help = Some(rest.into());
        }
    }
    all
}

fn problems(path: &Path, text: &str) -> Vec<Diagnostic> {
    let sets = comments(text, "set");
    let preset = comments(text, "preset").pop();
    let env: BTreeMap<String, String> = comments(text, "env")
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let options = Options { sets: &sets, preset: preset.as_deref(), env: Some(&env), ..Options::new(&KINDS) };
    load(path, &options).err().unwrap_or_default()
}

/// `LINE:COLUMN`, with the file's name in front where it is not the file itself.
fn place(problem: &Diagnostic, path: &Path) -> String {
    let Some(place) = &problem.place else { return "-".into() };
    let (line, column) = place.line_column();
    if place.file() == path {
        return format!("{line}:{column}");
    }
    let file = place.file().strip_prefix(folder()).unwrap_or(place.file());
    format!("{}:{line}:{column}", file.display())
}

#[test]
fn each_error_of_a_broken_file_is_told_where_it_is() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 100, "only {} files", paths.len());
    let mut report = String::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let expected = expected(&text);
        let found = problems(path, &text);
        let fits = |(problem, expected): (&Diagnostic, &Expected)| {
            place(problem, path) == expected.place
                && problem.message.contains(&expected.words)
                && expected
                    .help
                    .as_ref()
                    .is_none_or(|help| problem.help.as_ref().is_some_and(|told| told.contains(help.as_str())))
        };
        if expected.is_empty() || found.len() != expected.len() || !found.iter().zip(&expected).all(fits) {
            let _ = writeln!(report, "\n{}\n{text}but found", path.file_name().unwrap().display());
            for problem in &found {
                let _ = writeln!(report, "# expect: {} {}", place(problem, path), problem.message);
                if let Some(help) = &problem.help {
                    let _ = writeln!(report, "# help: {help}");
                }
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}
