//! The stages that bring texts and chats in, clean them and mix them.
use super::Page;
use super::params::documents;
use crate::commands::init::bench::spoken;
use crate::commands::init::choices::{Goal, word};
use crate::commands::init::data::{Class, What};
use crate::commands::init::proposal::Taken;
use crate::commands::init::proposal::rules::TIMES;
use std::fmt::Write as _;

impl Page<'_> {
    /// Texts, one stage each, and what is made of them.
    pub(super) fn texts(&self, text: &mut String) {
        let proposal = self.proposal;
        *text += "  # What it learns to write from.\n";
        for taken in &proposal.texts {
            self.download(text, taken, false);
        }
        let names: Vec<&str> = proposal.texts.iter().map(|taken| taken.source.name.as_str()).collect();
        let mixed = names.len() > 1;
        let about = if mixed {
            "Nothing twice, mixed by shares of bytes, in random order."
        } else {
            "Nothing twice, in random order."
        };
        let _ = writeln!(text, "\n  # {about} `muse inspect {}:text` tells what went.", self.shown());
        let _ =
            writeln!(text, "  text:\n    uses: clean\n    inputs: {{ corpus: {} }}\n    with:", list(&names));
        let all_hub = proposal.texts.iter().all(|taken| matches!(taken.source.what, What::Hub(..)));
        let programs = proposal.texts.iter().any(|taken| taken.source.class == Class::Code);
        // What the generator cannot speak a smoke run would have none of.
        if all_hub && !programs && spoken(&proposal.languages) {
            let _ = writeln!(text, "      language: [{}]\n      min_chars: 50", self.languages());
        }
        let dedup = if proposal.goal == Goal::Try { "exact" } else { "minhash" };
        let _ = writeln!(text, "      dedup: {dedup}");
        if mixed {
            let part = |taken: &Taken| {
                format!("{}: {}", taken.source.name, (taken.share * 1e4).round().max(1.0) / 1e4)
            };
            let parts: Vec<String> = proposal.texts.iter().map(part).collect();
            let _ = writeln!(text, "      weights: {{ {} }}", parts.join(", "));
            let _ = writeln!(text, "      repeat: {TIMES}            # the scarcest text may come so often");
        }
        let _ = writeln!(text, "      shuffle: true\n      seed: {}\n", proposal.seed);
    }

    fn download(&self, text: &mut String, taken: &Taken, chats: bool) {
        let documents = format!("\"${{params.{}}}\"", documents(taken));
        let dialogues = u8::from(chats);
        let speaks = self.languages();
        let languages = if speaks.is_empty() { String::new() } else { format!(", languages: [{speaks}]") };
        let name = &taken.source.name;
        let with = match &taken.source.what {
            What::Synthetic => {
                let seed = self.seed(taken);
                format!(
                    "source: synthetic{languages}, count: {documents}, dialogues: {dialogues}, seed: {seed}"
                )
            }
            What::Files(path) => {
                format!("source: file, paths: [{}], limit: {documents}, name: {name}", super::quoted(path))
            }
            What::Hub(repo, config) => return self.of_hub(text, taken, repo, config.as_deref(), chats),
        };
        let _ = writeln!(text, "  {name}:\n    uses: download\n    with: {{ {with} }}");
    }

    fn of_hub(&self, text: &mut String, taken: &Taken, repo: &str, config: Option<&str>, chats: bool) {
        let speaks = self.languages();
        let split = taken.source.set.and_then(|set| set.split);
        let lines = [
            Some("source: \"${params.source}\"".to_owned()),
            Some(format!("repo: {}", super::quoted(repo))),
            config.map(|config| format!("config: {}", super::quoted(config))),
            split.map(|split| format!("split: {split}")),
            Some(format!("limit: \"${{params.{}}}\"", documents(taken))),
            Some(format!("name: {}", taken.source.name)),
            // The hub has no such fields: they are for the generator, in a smoke run.
            (!speaks.is_empty()).then(|| format!("languages: [{speaks}]")),
            Some(format!("dialogues: {}", u8::from(chats))),
            Some(format!("seed: {}", self.seed(taken))),
        ];
        let _ = writeln!(text, "  {}:\n    uses: download\n    with:", taken.source.name);
        lines.into_iter().flatten().for_each(|line| *text += &format!("      {line}\n"));
    }

    /// What the generator goes by: texts that are the same would go as copies.
    fn seed(&self, taken: &Taken) -> u64 {
        let mut all = self.proposal.texts.iter().chain(&self.proposal.chats);
        let place = all.position(|other| other.source.name == taken.source.name).unwrap_or_default() as u64;
        self.proposal.seed.saturating_add(1 + place)
    }

    /// The languages that the generator speaks, of those of the page.
    fn languages(&self) -> String {
        let spoken = self.proposal.languages.iter().copied().filter(|language| language.spoken());
        let all: Vec<String> = spoken.map(word).collect();
        all.join(", ")
    }

    /// Chats: all of them, or nothing.
    pub(super) fn talk(&self, text: &mut String) {
        let chats = &self.proposal.chats;
        if chats.is_empty() {
            return;
        }
        *text += "  # Chats. Only what the assistant says is learned.\n";
        for taken in chats {
            self.download(text, taken, true);
        }
        let names: Vec<&str> = chats.iter().map(|taken| taken.source.name.as_str()).collect();
        let _ = writeln!(text, "  talk:\n    uses: clean\n    inputs: {{ corpus: {} }}", list(&names));
        let _ = writeln!(text, "    with: {{ dedup: exact, shuffle: true, seed: {} }}\n", self.proposal.seed);
    }
}

/// One stage, or a list of several.
fn list(names: &[&str]) -> String {
    if let [one] = names { (*one).to_owned() } else { format!("[{}]", names.join(", ")) }
}
