//! A proposal as a page: commented YAML, and the files of values that it names.
mod head;
mod params;
mod stages;
#[cfg(test)]
mod tests;
mod texts;

use super::data::is_text;
use super::place::Place;
use super::proposal::Proposal;
use super::sizes::Sized;
use std::path::PathBuf;

/// The model that `--preset smoke` trains.
const SMOKE_MODEL: &str = "tiny_1m";
/// Tasks that come along, and that pages name.
const TASKS: &[(&str, &str)] = &[
    ("held_out", include_str!("../../../../../configs/tasks/held_out.yaml")),
    ("hellaswag", include_str!("../../../../../configs/tasks/hellaswag.yaml")),
    ("arc_easy", include_str!("../../../../../configs/tasks/arc_easy.yaml")),
];

/// A file to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct File {
    /// Where.
    pub(crate) path: PathBuf,
    /// What stands in it.
    pub(crate) text: String,
    /// It belongs to the project: one that is there already is as good, whatever stands in it.
    pub(crate) shared: bool,
}

/// What a page is written from.
pub(crate) struct Page<'a> {
    pub(crate) proposal: &'a Proposal,
    /// What the pipeline is called.
    pub(crate) name: &'a str,
    /// Where it will stand.
    pub(crate) place: &'a Place,
    /// The call that makes the same page.
    pub(crate) command: String,
}

impl Page<'_> {
    /// The page, and then the files that it names.
    pub(crate) fn files(&self) -> Vec<File> {
        let text = format!("{}{}{}", self.head(), self.params(), self.stages());
        let mut files = vec![File { path: self.place.page.clone(), text, shared: false }];
        let sized = &self.proposal.sized;
        files.push(File { path: self.model_path(), text: sized.file(), shared: sized.name.is_some() });
        if self.model_path() != self.smoke_path()
            && let Some(smoke) = Sized::shipped(SMOKE_MODEL)
        {
            files.push(File { path: self.smoke_path(), text: smoke.file(), shared: true });
        }
        for (name, text) in TASKS.iter().filter(|(name, _)| self.tasks().contains(name)) {
            let path = self.place.root.join(format!("configs/tasks/{name}.yaml"));
            files.push(File { path, text: (*text).to_owned(), shared: true });
        }
        files
    }

    fn model_path(&self) -> PathBuf {
        let file = match self.proposal.sized.name {
            Some(name) => name.to_owned(),
            // Its own model is not taken for one that comes along.
            None if Sized::shipped(self.name).is_some() => format!("{}_own", self.name),
            None => self.name.to_owned(),
        };
        self.place.root.join(format!("configs/models/{file}.yaml"))
    }

    fn smoke_path(&self) -> PathBuf {
        self.place.root.join(format!("configs/models/{SMOKE_MODEL}.yaml"))
    }

    /// The page as calls name it.
    fn shown(&self) -> String {
        self.place.shown(&self.place.page)
    }

    /// What `eval` asks. Beside held-out text a benchmark has questions, in English for now.
    fn tasks(&self) -> Vec<&'static str> {
        use super::choices::{Goal, Language};
        let asks = self.proposal.goal == Goal::Benchmark && self.proposal.languages.contains(&Language::En);
        TASKS.iter().map(|(name, _)| *name).filter(|name| asks || *name == "held_out").collect()
    }

    /// The stage whose model is the last.
    fn last(&self) -> &'static str {
        if self.proposal.chats.is_empty() { "base" } else { "chat" }
    }
}

/// A text as a YAML value, in quotes unless it is surely nothing else.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    match (is_text(text) || text.starts_with("../")) && text.chars().all(plain) {
        true => text.to_owned(),
        // What would stand for a value stands for itself.
        false => serde_json::Value::from(text.replace("${", "$${")).to_string(),
    }
}
