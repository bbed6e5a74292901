//! What every command is handed: the kinds, the environment, standard output, standard error, the project.
use crate::args::{Cli, GlobalArgs};
use crate::environment::Environment;
use crate::exit;
use crate::failure::CliResult;
use crate::out::Out;
use crate::paint::{ColorChoice, Paint};
use crate::project::Project;
use crate::terminal::{Terminal, Verbosity};
use clap::{CommandFactory, FromArgMatches};
use muse_stage::StageKind;
use muse_stages::bench::keep_kernels_in;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// One call of muse.
pub(crate) struct App<'a> {
    /// The stage kinds that this binary has.
    pub(crate) kinds: &'a [&'static dyn StageKind],
    /// The caller's environment.
    pub(crate) environment: Environment,
    /// Standard output, for data.
    pub(crate) out: Out<'a>,
    /// The colours of standard output.
    pub(crate) paint: Paint,
    /// Standard error, for talk.
    pub(crate) terminal: Terminal,
    /// `--cache-dir`.
    pub(crate) cache_dir: Option<PathBuf>,
}

impl<'a> App<'a> {
    fn new(kinds: &'a [&'static dyn StageKind], environment: Environment, global: &GlobalArgs) -> Self {
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let live = io::stderr().is_terminal();
        let colors = global.color.wants(live, &environment);
        let live = live && environment.text("TERM") != Some("dumb");
        Self {
            kinds,
            out: Out::stdout(),
            paint: Paint::new(global.color.wants(io::stdout().is_terminal(), &environment)),
            terminal: Terminal { paint: Paint::new(colors), live, verbosity },
            cache_dir: global.cache_dir.clone(),
            environment,
        }
    }

    /// True under `-v`.
    pub(crate) fn verbose(&self) -> bool {
        self.terminal.verbosity == Verbosity::Verbose
    }

    /// The project of a pipeline file, or of the current folder, with its cache.
    pub(crate) fn project(&self, pipeline: Option<&Path>) -> Project {
        Project::find(&self.environment.folder, pipeline, self.cache_dir.as_deref())
    }
}

/// Reads the command line and does what it says.
pub(crate) fn main(kinds: &[&'static dyn StageKind], arguments: Vec<OsString>) -> u8 {
    let environment = Environment::read();
    let parsed = Cli::command()
        .color(help_colors(&arguments, &environment))
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that went away has seen enough of the page.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::DONE };
        }
    };
    environment.kernels().into_iter().for_each(keep_kernels_in);
    let mut app = App::new(kinds, environment, &cli.global);
    let result = crate::commands::dispatch(&mut app, &cli.command);
    end(&mut app, result)
}

/// Hands over what is left of standard output, and tells what went wrong.
fn end(app: &mut App<'_>, result: CliResult) -> u8 {
    let result = match (result, app.out.flush()) {
        (Ok(_), Err(error)) => Err(error),
        (result, _) => result,
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            app.terminal.fail(&error);
            error.code
        }
    }
}

/// `--color` as far as help pages and errors of the command line go: they are drawn before it is parsed.
fn help_colors(arguments: &[OsString], environment: &Environment) -> clap::ColorChoice {
    let words: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let choice = words.iter().enumerate().find_map(|(at, word)| match *word {
        "--color" => words.get(at + 1).copied(),
        _ => word.strip_prefix("--color="),
    });
    match choice {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        // What is a terminal differs for pages and errors, so clap finds out; the rest is ours to say.
        _ if !ColorChoice::Auto.wants(true, environment) => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// What a command prints to standard output, and its code where it did not fail.
#[cfg(test)]
pub(crate) fn printed_by(command: impl FnOnce(&mut App<'_>) -> CliResult) -> (Option<u8>, String) {
    printed_with(&[], command)
}

/// As [`printed_by`], with stage kinds.
#[cfg(test)]
pub(crate) fn printed_with(
    kinds: &[&'static dyn StageKind],
    command: impl FnOnce(&mut App<'_>) -> CliResult,
) -> (Option<u8>, String) {
    let mut bytes = Vec::new();
    let mut app = App {
        kinds,
        environment: Environment::of(&[]),
        out: Out::to(&mut bytes),
        paint: Paint::default(),
        terminal: Terminal { verbosity: Verbosity::Quiet, ..Terminal::default() },
        cache_dir: None,
    };
    let code = command(&mut app).ok();
    drop(app);
    (code, String::from_utf8(bytes).unwrap())
}

/// A command's arguments as typed.
#[cfg(test)]
pub(crate) fn parse_for_tests<T>(words: &[&str], pick: impl FnOnce(crate::args::Command) -> T) -> T {
    use clap::Parser;
    pick(Cli::try_parse_from(words).unwrap().command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_is_known_before_the_rest_is_parsed() {
        let colors = |words: &[&str], variables: &[(&str, &str)]| {
            let words: Vec<_> = words.iter().map(OsString::from).collect();
            help_colors(&words, &Environment::of(variables))
        };
        assert_eq!(colors(&["muse", "--color", "never", "run"], &[]), clap::ColorChoice::Never);
        assert_eq!(
            colors(&["muse", "run", "--color=always"], &[("NO_COLOR", "1")]),
            clap::ColorChoice::Always
        );
        assert_eq!(colors(&["muse"], &[]), clap::ColorChoice::Auto);
        assert_eq!(colors(&["muse"], &[("NO_COLOR", "1")]), clap::ColorChoice::Never);
    }
}
