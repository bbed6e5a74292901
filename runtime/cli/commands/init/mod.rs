//! `muse init`: the recipe wizard. Answers become a proposal, and a proposal a page.
//!
//! `answers` holds what was said, with `choices` among a few words; `questions` asks for the rest; `bench` fills in what is
//! usual and looks for `data` and `hardware`; `proposal` is arithmetic, `table` shows it, `page` writes it, and `write` puts
//! it on disk.
mod answers;
mod bench;
mod choices;
mod data;
mod hardware;
mod lines;
mod look;
mod mix;
mod page;
mod place;
mod proposal;
mod questions;
mod sets;
mod sizes;
mod summary;
mod table;
mod write;

#[cfg(test)]
mod tests;

use crate::app::App;
use crate::exit;
use crate::failure::CliResult;
use crate::format::shell_word;
use crate::typed::Typed;
use answers::Answers;
use bench::Bench;
use choices::{Goal, word};
use clap::{Args, ValueHint};
use hardware::Found;
use lines::{Asks, Somebody};
use page::Page;
use place::Place;
use questions::Questions;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use write::Writing;

const EXAMPLES: &str = "\
Examples:
  muse init                                               asks, proposes, and writes a page
  muse init first --yes                                   a small model that talks, offline, in minutes
  muse init novels --goal real --data 'texts/*.txt' --time 8h --form base
  muse init wiki --goal real --languages ja --data hub:wikimedia/wikipedia:20231101.ja
  muse init mix --goal real --languages ja,en --mix japanese --data hub:HuggingFaceFW/fineweb-2:jpn_Jpan \\
      --data hub:HuggingFaceFW/fineweb-edu:sample-10BT --data 'code:src=src/**/*.rs'
  muse init big --goal benchmark --gpu H100 --memory 80GiB --print   for a machine that is elsewhere
In a terminal it asks for what no flag says; elsewhere, and with --yes, it takes what is usual.";

/// The recipe wizard: asks, or takes flags, and writes a pipeline that validates.
///
/// Proposes a model, how long and on what it learns, and how that fits into the memory of this machine: parameters,
/// memory, tokens and the time that is expected are shown, and change with every value that is set. Then it writes a page
/// with comments, from data to a model that others load, and the files of `configs/` that it names. Nothing that is there
/// is written over.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// What the pipeline is called [default: the goal].
    #[arg(value_name = "NAME", value_parser = place::name)]
    pub(crate) name: Option<String>,
    /// What is answered.
    #[command(flatten)]
    pub(crate) answers: Answers,
    /// Where to write it [default: `pipelines/NAME.yaml` in the project].
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
    /// Write over what is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask nothing: take what is proposed.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Print the page, and write nothing.
    #[arg(long)]
    pub(crate) print: bool,
    /// Ask nothing, and print what was proposed and written as one JSON object.
    #[arg(long, conflicts_with = "print")]
    pub(crate) json: bool,
}

/// Asks where somebody can answer, and writes.
pub(crate) fn run(app: &mut App<'_>, args: &InitArgs) -> CliResult {
    let asks = !args.yes && !args.json && io::stdin().is_terminal() && io::stdout().is_terminal();
    let found = Found::detect(&app.environment);
    if asks {
        let mut asks = Somebody { typed: Typed::open()?, terminal: app.terminal };
        made(app, args, found, Some(&mut asks))
    } else {
        made(app, args, found, None)
    }
}

/// Makes a page, with somebody to ask or without.
fn made(app: &mut App<'_>, args: &InitArgs, found: Found, mut asks: Option<&mut dyn Asks>) -> CliResult {
    let usual =
        |goal: Option<Goal>| match (&args.name, args.to.as_ref().and_then(|to| to.file_stem()?.to_str())) {
            (Some(name), _) => name.clone(),
            (None, Some(stem)) => stem.to_owned(),
            (None, None) => word(goal.unwrap_or(Goal::Try)),
        };
    let place = Place::of(app, &usual(args.answers.goal), args.to.as_deref())?;
    let mut bench = Bench { found, place };
    let mut answers = args.answers.clone();
    let mut name = usual(answers.goal);
    if let Some(asks) = asks.as_deref_mut() {
        let paint = app.paint;
        let named = args.name.is_some() || args.to.is_some();
        if named {
            free(&bench.place, args)?;
        }
        let mut questions = Questions { asks: &mut *asks, bench: &bench, paint };
        let Some(given) = questions.answers(answers)? else { return Ok(nothing(asks)) };
        answers = given;
        name = usual(answers.goal);
        if !named {
            let free = |name: &str| free(&Place::of(app, name, None)?, args);
            let Some(given) = questions.name(&name, free)? else { return Ok(nothing(asks)) };
            name = given;
        }
    }
    bench.place = Place::of(app, &name, args.to.as_deref())?;
    let proposal = bench.propose(&answers)?;
    let command = command(&name, args, &answers);
    let page = Page { proposal: &proposal, name: &name, place: &bench.place, command };
    let (files, smoke) = (page.files(), page.smoke());
    let page = files.first().cloned();
    let force = args.force || args.print;
    let writing = Writing::of(files, &bench.place, force)?;
    writing.check(app, &bench.place)?;
    let written = if args.print { Vec::new() } else { writing.write(&bench.place)? };
    if args.json {
        app.out.json(&summary::json(&name, &bench.place, &proposal, &written))?;
    } else if let Some(page) = page.filter(|_| args.print) {
        app.out.text(&page.text)?;
    } else {
        if asks.is_none() {
            app.terminal.say(&table::draw(&proposal, &answers, app.terminal.paint));
        }
        app.terminal.say(&summary::written(&bench.place, &written, &proposal, &smoke, app.terminal.paint));
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// An error, where a page is there already that is not to be written over.
fn free(place: &Place, args: &InitArgs) -> CliResult<()> {
    let taken = place.page.exists() && !args.force && !args.print;
    if taken { Err(write::there(&place.shown(&place.page))) } else { Ok(()) }
}

/// The end of somebody who wants nothing any more.
fn nothing(asks: &mut dyn Asks) -> u8 {
    asks.say("nothing was written");
    exit::INTERRUPTED
}

/// The call that makes the same page without asking.
fn command(name: &str, args: &InitArgs, answers: &Answers) -> String {
    let mut words = vec!["muse init".to_owned(), shell_word(name), "--yes".to_owned()];
    words.extend(args.to.as_ref().map(|to| format!("--to {}", shell_word(&to.to_string_lossy()))));
    words.extend(answers.flags());
    words.join(" ")
}
