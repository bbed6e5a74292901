//! The questions about what it learns from: texts, chats, and how texts are mixed.
use super::Questions;
use crate::commands::init::answers::Answers;
use crate::commands::init::bench::{self, Bench, complete, spoken};
use crate::commands::init::choices::{Form, Goal};
use crate::commands::init::data::Given;
use crate::commands::init::sets::{self, Set};
use crate::failure::{CliError, CliResult};
use crate::format::{Table, shorten};
use std::str::FromStr;

/// Columns beside the names of sets.
const WIDTH: usize = 62;

impl Questions<'_> {
    pub(super) fn data(&mut self, answers: &mut Answers) -> CliResult<bool> {
        if !answers.data.is_empty() || answers.goal == Some(Goal::Benchmark) {
            return Ok(true);
        }
        let mut offered: Vec<Given> = Vec::new();
        let mut table = Table::default();
        if spoken(&answers.languages) {
            offered.push(Given::synthetic());
            let about = "stories of a generator, without a network: for trials";
            table.row(["1".to_owned(), self.paint.strong("synthetic"), about.into()]);
        }
        for set in sets::texts(&answers.languages) {
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
        self.until(answers, &format!("data [{}]", shown.join(" ")), |bench, answers, line| {
            answers.data = if line.is_empty() { usual.clone() } else { read(line, &offered)? };
            there(bench, answers)
        })
    }

    /// Asks for chats where it is to answer and none are known in these languages.
    pub(super) fn chats(&mut self, answers: &mut Answers) -> CliResult<bool> {
        if answers.form != Some(Form::Chat) || !bench::chats(answers).is_empty() {
            return Ok(true);
        }
        self.asks.say(
            "\nNo chats in these languages are known by name. What does it learn to answer from?\n\
             Paths or globs of your files, or `hub:OWNER/NAME:CONFIG`; Enter for a model that goes on\n\
             with a text.",
        );
        self.until(answers, "chats [none]", |bench, answers, line| {
            let (key, value) = if line.is_empty() { ("form", "base") } else { ("chats", line) };
            answers.set(key, value).map_err(CliError::usage)?;
            there(bench, answers)
        })
    }

    pub(super) fn mix(&mut self, answers: &mut Answers) -> CliResult<bool> {
        let full = complete(answers)?;
        if answers.mix.is_some() {
            // It may name texts that are not there.
            match self.bench.propose(answers) {
                Ok(_) => return Ok(true),
                Err(error) => self.wrong(&error),
            }
        } else if full.data.len() < 2 {
            return Ok(true);
        }
        let texts = self.bench.sources(&full)?.0;
        let by_hand: Vec<String> = texts.iter().map(|source| format!("{}=1", source.name)).collect();
        self.asks.say(&format!(
            "\nHow are the texts mixed? `balanced`: Japanese, programs and all else in equal parts;\n\
             `japanese` or `code`: 70% of that; or by hand, such as\n`{}`.",
            by_hand.join(",")
        ));
        self.value(answers, "mix", "balanced")
    }
}

/// Reads numbers of a list and sources.
fn read(line: &str, offered: &[Given]) -> CliResult<Vec<Given>> {
    let one = |text: &str| match text.parse::<usize>() {
        Ok(number) => offered
            .get(number.wrapping_sub(1))
            .cloned()
            .ok_or_else(|| CliError::usage(format!("there is no {number} in the list"))),
        Err(_) => Given::from_str(text).map_err(|why| CliError::usage(format!("`{text}`: {why}"))),
    };
    line.split_whitespace().map(one).collect()
}

/// What is wrong with sources, if anything is.
fn there(bench: &Bench, answers: &Answers) -> CliResult<()> {
    bench.sources(answers).map(drop)
}

/// A data set in a few words.
fn about(set: &Set) -> String {
    shorten(&format!("{}; {}", set.about, set.licence), WIDTH)
}
