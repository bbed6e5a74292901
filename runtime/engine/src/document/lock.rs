//! The lock file beside a pipeline: what outside things are pinned to, one a line, so that git can merge it.
use super::node::Content;
use super::parse::parse;
use super::session::Session;
use crate::diagnostic::{Diagnostic, Source};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

const HEAD: &str =
    "# What the outside world may change, pinned. Commit this file; `muse update` renews it.\n";

/// The pins of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    path: PathBuf,
    pins: BTreeMap<String, String>,
}

impl Lock {
    /// The lock file that belongs to a pipeline file: `tiny.yaml` has `tiny.lock`.
    pub fn load(pipeline: &Path) -> Result<Self, Vec<Diagnostic>> {
        let path = pipeline.with_extension("lock");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { path, ..Self::default() }),
            Err(error) => {
                return Err(vec![Diagnostic::general(format!("cannot read {}: {error}", path.display()))]);
            }
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut session = Session::default();
        let source = session.source(Source { name: path.clone(), folder, text });
        let mut pins = BTreeMap::new();
        let node = parse(&mut session, source);
        if let Some(node) = node.filter(|node| !matches!(node.content, Content::Null)) {
            if !matches!(node.content, Content::Map(_)) {
                session.report(node.span, "a lock file holds one `\"thing\": \"value\"` a line");
            }
            for (key, value) in node.fields() {
                match value.text() {
                    Some(text) => drop(pins.insert(key.name.to_string(), text.to_string())),
                    None => session.report(value.span, format!("the pin of `{}` must be a text", key.name)),
                }
            }
        }
        let problems = session.into_problems();
        if problems.is_empty() { Ok(Self { path, pins }) } else { Err(problems) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an outside thing is pinned to.
    pub fn get(&self, id: &str) -> Option<&str> {
        self.pins.get(id).map(String::as_str)
    }

    /// Pins an outside thing.
    pub fn set(&mut self, id: &str, value: &str) {
        self.pins.insert(id.to_owned(), value.to_owned());
    }

    /// The file's text: sorted, one pin a line, texts as JSON spells them, which YAML reads too.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (id, value) in &self.pins {
            let _ = writeln!(text, "{}: {}", quoted(id), quoted(value));
        }
        text
    }

    /// Writes the file whole or not at all.
    pub fn save(&self) -> Result<(), Diagnostic> {
        let failed = |error: std::io::Error| {
            Diagnostic::general(format!("cannot write {}: {error}", self.path.display()))
        };
        let half = self.path.with_extension(format!("lock.{}", std::process::id()));
        let written = std::fs::File::create(&half)
            .and_then(|mut file| file.write_all(self.text().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&half, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&half);
        }
        written.map_err(failed)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_read_again_and_stands_on_lines_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = folder.path().join("tiny.yaml");
        let mut lock = Lock::load(&pipeline).unwrap();
        lock.set("https://example.org/b: c", "b3:1");
        lock.set("a\"quoted\\\n日本", "main # no comment");
        lock.save().unwrap();
        assert_eq!(lock.path(), folder.path().join("tiny.lock"));
        assert_eq!(lock.text().lines().count(), 3);
        assert_eq!(Lock::load(&pipeline).unwrap(), lock);
    }

    #[test]
    fn a_broken_lock_file_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = folder.path().join("tiny.yaml");
        std::fs::write(folder.path().join("tiny.lock"), "a: b\nc: [1]\n<<<<<<< HEAD\n").unwrap();
        let problems = Lock::load(&pipeline).unwrap_err();
        assert!(
            !problems.is_empty() && problems[0].place.as_ref().unwrap().line_column().0 >= 2,
            "{problems:?}"
        );
    }
}
