//! The whole way from words to files, with a script in the place of somebody who types.
mod asked;
mod files;

use super::*;
use crate::app::{parse_for_tests, printed_with};
use crate::failure::CliError;
use std::collections::VecDeque;
use std::fs;
use std::path::Path;

/// Somebody who says these lines, and then goes.
#[derive(Default)]
struct Script {
    lines: VecDeque<&'static str>,
    /// All that was asked and said.
    heard: String,
}

impl Asks for Script {
    fn ask(&mut self, question: &str) -> CliResult<Option<String>> {
        let line = self.lines.pop_front();
        self.heard += &format!("{question}{}\n", line.unwrap_or("^D"));
        Ok(line.map(str::to_owned))
    }

    fn say(&mut self, text: &str) {
        self.heard += text;
        self.heard += "\n";
    }
}

/// A folder to write in, and a machine.
pub(super) struct Desk {
    folder: tempfile::TempDir,
    pub(super) found: Found,
    /// The folder that muse is called in.
    called: &'static str,
}

/// What came of a call.
pub(super) struct Came {
    pub(super) code: Result<u8, CliError>,
    pub(super) printed: String,
    heard: String,
}

impl Desk {
    pub(super) fn new(found: Found) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), found, called: "" }
    }

    /// Two cores and 8 GiB.
    pub(super) fn small() -> Self {
        Self::new(Found::of(2, 8 << 30, &[]))
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(super) fn init(&self, words: &[&str]) -> Came {
        self.call(words, None)
    }

    fn typed(&self, words: &[&str], lines: &[&'static str]) -> Came {
        self.call(words, Some(Script { lines: lines.iter().copied().collect(), heard: String::new() }))
    }

    fn call(&self, words: &[&str], mut script: Option<Script>) -> Came {
        let args = parse_for_tests(&[&["muse", "init"], words].concat(), |command| match command {
            crate::args::Command::Init(args) => *args,
            other => panic!("{other:?}"),
        });
        let mut came = None;
        let (_, printed) = printed_with(muse_stages::BUILTIN, |app| {
            app.environment.folder = self.path(self.called);
            let asks = script.as_mut().map(|script| script as &mut dyn Asks);
            came = Some(made(app, &args, self.found.clone(), asks));
            Ok(0)
        });
        Came { code: came.unwrap(), printed, heard: script.unwrap_or_default().heard }
    }
}

fn there(folder: &Path) -> Vec<String> {
    let mut open = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() { open.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    let mut names: Vec<String> =
        files.iter().map(|file| file.strip_prefix(folder).unwrap().display().to_string()).collect();
    names.sort();
    names
}
