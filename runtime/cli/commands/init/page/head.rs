//! What stands above a page: what it is for, how to run it, what it takes, and whose its data is.
use super::Page;
use crate::commands::init::choices::{Form, Goal, Language};
use crate::commands::init::data::What;
use crate::format::{bytes, count, duration, pad, shell_word};
use std::fmt::Write as _;

impl Page<'_> {
    pub(super) fn head(&self) -> String {
        let mut text = String::new();
        let schema = self.place.root.join("docs/schema/pipeline.schema.json");
        if schema.is_file() {
            let _ = writeln!(text, "# yaml-language-server: $schema={}", self.place.named(&schema));
        }
        let _ = writeln!(text, "# {}: {}", self.name, self.what_for());
        text += "#\n";
        self.how_to(&mut text);
        text += "#\n";
        self.takes(&mut text);
        self.licences(&mut text);
        let _ = writeln!(text, "#\n# Written by\n#   {}", self.command);
        let _ = writeln!(text, "muse: 1\nname: {}\n", super::quoted(self.name));
        text
    }

    fn what_for(&self) -> String {
        let proposal = self.proposal;
        let parameters = count(proposal.sized.parameters() as f64);
        let names: Vec<&str> = proposal.languages.iter().copied().map(Language::name).collect();
        let does = match proposal.form {
            Form::Chat => "that answers",
            Form::Base => "that goes on with a text",
        };
        let why = match proposal.goal {
            Goal::Try => "to see how all of it goes",
            Goal::Real => "as good as memory, time and data allow",
            Goal::Benchmark => "by a recipe that is the same for everybody",
        };
        format!("a model of {parameters} parameters {does} in {}, {why}.", names.join(" and "))
    }

    /// The call that shows in seconds whether all of it works, without a network.
    pub(crate) fn smoke(&self) -> String {
        let page = shell_word(&self.shown());
        // Questions come over the network, and a smoke run does without.
        let stages = if self.tasks().len() > 1 { " eval model" } else { "" };
        format!("muse run {page}{stages} --preset smoke")
    }

    fn how_to(&self, text: &mut String) {
        let page = shell_word(&self.shown());
        let uses = match self.proposal.form {
            Form::Chat => (format!("muse chat {page}:chat"), "talk with it"),
            Form::Base => (format!("muse generate {page}:base --prompt '…'"), "let it write"),
        };
        let lines = [
            (self.smoke(), "seconds, learns nothing: does all of it work?"),
            (format!("muse run {page}"), "the training; stop it when you like, it goes on"),
            uses,
        ];
        let wide = lines.iter().map(|(call, _)| call.chars().count()).max().unwrap_or_default();
        for (call, about) in &lines {
            let _ = writeln!(text, "#   {}  {about}", pad(call, wide));
        }
    }

    fn takes(&self, text: &mut String) {
        let proposal = self.proposal;
        let memory = bytes(proposal.fit.cost.training.total);
        let page = shell_word(&self.shown());
        let _ = writeln!(
            text,
            "# Counted, not measured, for {} with {}:",
            proposal.hardware.name,
            bytes(proposal.hardware.memory)
        );
        let _ = writeln!(text, "#   Memory  {memory}: `muse params {page}:base` shows what goes where");
        let time = duration(proposal.seconds);
        let _ = writeln!(
            text,
            "#   Time    {time} of training, estimated {}",
            proposal.hardware.assumes(proposal.precision)
        );
        let _ = writeln!(text, "#   Disk    {} below `cache/`, about", bytes(proposal.disk));
        for note in &proposal.notes {
            let _ = writeln!(text, "# Note: {note}.");
        }
    }

    fn licences(&self, text: &mut String) {
        let all = self.proposal.texts.iter().chain(&self.proposal.chats);
        let sets: Vec<(String, &str)> = all
            .filter_map(|taken| match &taken.source.what {
                What::Hub(repo, _) => {
                    let licence = taken.source.set.map_or("see `muse inspect` on it", |set| set.licence);
                    Some((repo.clone(), licence))
                }
                _ => None,
            })
            .collect();
        let Some(wide) = sets.iter().map(|(repo, _)| repo.len()).max() else { return };
        *text += "#\n# Licences, which the results inherit:\n";
        let mut told: Vec<&(String, &str)> = Vec::new();
        for set in &sets {
            if !told.contains(&set) {
                let _ = writeln!(text, "#   {}  {}", pad(&set.0, wide), set.1);
                told.push(set);
            }
        }
        *text += "# The first run pins the commits in the lock file beside this page: commit that file.\n";
    }
}
