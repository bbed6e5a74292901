//! The questions that no flag has answered.
mod settle;

use crate::commands::init::answers::Answers;
use crate::commands::init::bench::{Bench, complete, spoken};
use crate::commands::init::choices::{Form, Goal, Language, word};
use crate::commands::init::data::Given;
use crate::commands::init::lines::Asks;
use crate::commands::init::sets::{self, Set};
use crate::failure::{CliError, CliResult};
use crate::format::{Table, bytes, shorten};
use crate::paint::Paint;
use crate::terminal::Terminal;
use clap::ValueEnum;
use std::str::FromStr;

/// Columns beside the names of sets.
const WIDTH: usize = 62;

/// A conversation about a page.
pub(crate) struct Questions<'a> {
    pub(crate) asks: &'a mut dyn Asks,
    pub(crate) bench: &'a Bench,
    pub(crate) paint: Paint,
}

impl Questions<'_> {
    /// Asks what is open; nothing, where nothing is wanted any more.
    pub(crate) fn answers(&mut self, answers: Answers) -> CliResult<Option<Answers>> {
        let mut answers = answers;
        let asked = self.goal(&mut answers)?
            && self.languages(&mut answers)?
            && self.data(&mut answers)?
            && self.mix(&mut answers)?
            && self.form(&mut answers)?
            && self.machine(&mut answers)?
            && self.settle(&mut answers)?;
        Ok(asked.then_some(answers))
    }

    pub(super) fn ask(&mut self, question: &str) -> CliResult<Option<String>> {
        self.asks.ask(&format!("{}: ", self.paint.live(question)))
    }

    fn wrong(&mut self, error: &CliError) {
        let text = Terminal { paint: self.paint, ..Terminal::default() }.failure(error);
        self.asks.say(&text);
    }

    /// Asks until a flag of this name takes what is said. An empty line is `usual`.
    fn value(&mut self, answers: &mut Answers, key: &str, usual: &str) -> CliResult<bool> {
        loop {
            let Some(line) = self.ask(&format!("{key} [{usual}]"))? else { return Ok(false) };
            let value = if line.is_empty() { usual } else { &line };
            match answers.set(key, value) {
                Ok(()) => return Ok(true),
                Err(why) => self.wrong(&CliError::usage(why)),
            }
        }
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
        loop {
            let Some(line) = self.ask(&format!("{key} [{usual}]"))? else { return Ok(false) };
            let numbered = line.parse().ok().and_then(|number: usize| words.get(number.checked_sub(1)?));
            let value = if line.is_empty() { &usual } else { numbered.unwrap_or(&line) };
            match answers.set(key, value) {
                Ok(()) => return Ok(true),
                Err(why) => self.wrong(&CliError::usage(why)),
            }
        }
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
        let usual = if answers.goal == Some(Goal::Benchmark) { Language::En } else { Language::Ja };
        self.asks.say(
            "\nWhich languages? Japanese (ja), English (en), Chinese (zh), Korean (ko):\none, or several by commas.",
        );
        self.value(answers, "languages", &word(usual))
    }

    fn data(&mut self, answers: &mut Answers) -> CliResult<bool> {
        if !answers.data.is_empty() || answers.goal == Some(Goal::Benchmark) {
            return Ok(true);
        }
        let known = sets::texts(&answers.languages);
        let mut offered: Vec<Given> = Vec::new();
        let mut table = Table::default();
        if spoken(&answers.languages) {
            offered.push(Given::synthetic());
            let about = "stories of a generator, without a network: for trials";
            table.row(["1".to_owned(), self.paint.strong("synthetic"), about.into()]);
        }
        for set in known {
            offered.push(Given::known(set));
            table.row([offered.len().to_string(), self.paint.strong(set.name), about(set)]);
        }
        self.asks.say(&format!(
            "\nWhat does it learn from? Numbers of this list, paths or globs of your files,\n\
             or `hub:OWNER/NAME:CONFIG`; several with spaces between them.\n{}",
            table.draw("  ")
        ));
        let usual = match answers.goal {
            Some(Goal::Real) => sets::proposed(&answers.languages).into_iter().map(Given::known).collect(),
            _ => offered.first().cloned().into_iter().collect::<Vec<Given>>(),
        };
        let place =
            |given: &Given| offered.iter().position(|one| one == given).map(|at| (at + 1).to_string());
        let shown: Vec<String> = usual.iter().filter_map(place).collect();
        loop {
            let Some(line) = self.ask(&format!("data [{}]", shown.join(" ")))? else { return Ok(false) };
            match self.read(&line, &offered, &usual, answers) {
                Ok(data) => {
                    answers.data = data;
                    return Ok(true);
                }
                Err(error) => self.wrong(&error),
            }
        }
    }

    /// Reads numbers and sources, and looks whether they are there.
    fn read(
        &self,
        line: &str,
        offered: &[Given],
        usual: &[Given],
        answers: &Answers,
    ) -> CliResult<Vec<Given>> {
        let one = |text: &str| match text.parse::<usize>() {
            Ok(number) => offered
                .get(number.wrapping_sub(1))
                .cloned()
                .ok_or_else(|| CliError::usage(format!("there is no {number} in the list"))),
            Err(_) => Given::from_str(text).map_err(|why| CliError::usage(format!("`{text}`: {why}"))),
        };
        let data = match line {
            "" => usual.to_vec(),
            line => line.split_whitespace().map(one).collect::<CliResult<Vec<Given>>>()?,
        };
        let asked = Answers { data, ..answers.clone() };
        self.bench.sources(&asked)?;
        Ok(asked.data)
    }

    fn mix(&mut self, answers: &mut Answers) -> CliResult<bool> {
        let full = complete(answers)?;
        if answers.mix.is_some() || full.data.len() < 2 {
            return Ok(true);
        }
        let names: Vec<String> = self.bench.sources(&full)?.0.into_iter().map(|source| source.name).collect();
        let by_hand: Vec<String> = names.iter().map(|name| format!("{name}=1")).collect();
        self.asks.say(&format!(
            "\nHow are they mixed? `balanced`: Japanese, programs and all else in equal parts;\n\
             `japanese` or `code`: 70% of that; or by hand, such as\n`{}`.",
            by_hand.join(",")
        ));
        self.value(answers, "mix", "balanced")
    }

    fn form(&mut self, answers: &mut Answers) -> CliResult<bool> {
        let usual = complete(answers)?.form.unwrap_or(Form::Base);
        match answers.form {
            Some(_) => Ok(true),
            None => self.choice(answers, "form", "What does it do in the end?", usual),
        }
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

/// A data set in a few words.
fn about(set: &Set) -> String {
    shorten(&format!("{}; {}", set.about, set.licence), WIDTH)
}
