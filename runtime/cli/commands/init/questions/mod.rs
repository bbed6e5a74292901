//! The questions that no flag has answered.
mod settle;
mod texts;

use crate::commands::init::answers::Answers;
use crate::commands::init::bench::{Bench, complete};
use crate::commands::init::choices::{Form, Goal, Language, word};
use crate::commands::init::lines::Asks;
use crate::failure::{CliError, CliResult};
use crate::format::{Table, bytes};
use crate::paint::Paint;
use crate::terminal::Terminal;
use clap::ValueEnum;

/// A conversation about a page.
pub(crate) struct Questions<'a> {
    pub(crate) asks: &'a mut dyn Asks,
    pub(crate) bench: &'a Bench,
    pub(crate) paint: Paint,
}

impl Questions<'_> {
    /// Asks what is open; nothing, where nothing is wanted any more.
    pub(crate) fn answers(&mut self, mut answers: Answers) -> CliResult<Option<Answers>> {
        self.bench.check(&answers)?;
        let asked = self.goal(&mut answers)?
            && self.languages(&mut answers)?
            && self.data(&mut answers)?
            && self.form(&mut answers)?
            && self.chats(&mut answers)?
            && self.mix(&mut answers)?
            && self.machine(&mut answers)?
            && self.settle(&mut answers)?;
        Ok(asked.then_some(answers))
    }

    fn ask(&mut self, question: &str) -> CliResult<Option<String>> {
        self.asks.ask(&format!("{}: ", self.paint.live(question)))
    }

    fn wrong(&mut self, error: &CliError) {
        let text = Terminal { paint: self.paint, ..Terminal::default() }.failure(error);
        self.asks.say(&text);
    }

    /// Asks until what is said fits, and keeps what comes of it. No, where nothing is wanted any more.
    fn until(
        &mut self,
        answers: &mut Answers,
        question: &str,
        take: impl Fn(&Bench, &mut Answers, &str) -> CliResult<()>,
    ) -> CliResult<bool> {
        loop {
            let Some(line) = self.ask(question)? else { return Ok(false) };
            let mut changed = answers.clone();
            match take(self.bench, &mut changed, &line) {
                Ok(()) => {
                    *answers = changed;
                    return Ok(true);
                }
                Err(error) => self.wrong(&error),
            }
        }
    }

    /// Asks until there is a proposal with what is said. An empty line is `usual`.
    fn value(&mut self, answers: &mut Answers, key: &str, usual: &str) -> CliResult<bool> {
        self.until(answers, &format!("{key} [{usual}]"), |bench, answers, line| {
            let value = if line.is_empty() { usual } else { line };
            *answers = bench.changed(answers, key, value)?.0;
            Ok(())
        })
    }

    /// Shows choices; one of them is asked for by its word or its number.
    fn choice<T: ValueEnum>(
        &mut self,
        answers: &mut Answers,
        key: &str,
        title: &str,
        usual: T,
    ) -> CliResult<bool> {
        let mut table = Table::default();
        let words: Vec<String> = T::value_variants().iter().cloned().map(word).collect();
        for (at, choice) in T::value_variants().iter().enumerate() {
            let about =
                choice.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            let about = about.unwrap_or_default();
            table.row([(at + 1).to_string(), self.paint.strong(&word(choice.clone())), about]);
        }
        self.asks.say(&format!("\n{title}\n{}", table.draw("  ")));
        let usual = word(usual);
        self.until(answers, &format!("{key} [{usual}]"), |_, answers, line| {
            let numbered = line.parse().ok().and_then(|number: usize| words.get(number.checked_sub(1)?));
            let value = if line.is_empty() { &usual } else { numbered.map_or(line, String::as_str) };
            answers.set(key, value).map_err(CliError::usage)
        })
    }

    fn goal(&mut self, answers: &mut Answers) -> CliResult<bool> {
        match answers.goal {
            Some(_) => Ok(true),
            None => self.choice(answers, "goal", "What is the model for?", Goal::Try),
        }
    }

    fn languages(&mut self, answers: &mut Answers) -> CliResult<bool> {
        if !answers.languages.is_empty() {
            return Ok(true);
        }
        let usual = word(if answers.goal == Some(Goal::Benchmark) { Language::En } else { Language::Ja });
        self.asks.say(
            "\nWhich languages? Japanese (ja), English (en), Chinese (zh), Korean (ko):\none, or several by commas.",
        );
        self.until(answers, &format!("languages [{usual}]"), |_, answers, line| {
            answers.set("languages", if line.is_empty() { &usual } else { line }).map_err(CliError::usage)
        })
    }

    fn form(&mut self, answers: &mut Answers) -> CliResult<bool> {
        if answers.form.is_some() {
            return Ok(true);
        }
        let usual = complete(answers)?.form.unwrap_or(Form::Base);
        self.choice(answers, "form", "What does it do in the end?", usual)
    }

    fn machine(&mut self, answers: &mut Answers) -> CliResult<bool> {
        if answers.share.is_none() {
            let hardware = self.bench.found.choose(answers)?;
            let (name, memory) = (&hardware.name, bytes(hardware.memory));
            self.asks.say(&format!(
                "\nIt trains on {name}, with {memory} of memory.\nWhich share of the memory may it use?"
            ));
            if !self.value(answers, "share", "0.5")? {
                return Ok(false);
            }
        }
        if answers.time.is_some() || answers.goal != Some(Goal::Real) {
            return Ok(true);
        }
        self.asks.say("\nHow long may training take? Such as 30min, 8h or 3d.");
        self.value(answers, "time", "1d")
    }
}
