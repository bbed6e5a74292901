//! `muse validate`: check pipeline files without touching the store.
use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::plural;
use crate::render;
use clap::{Args, ValueEnum, ValueHint};
use muse_runtime::diagnostic::Diagnostic;
use muse_runtime::document::Lock;
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse validate pipelines/*.yaml                   all errors of all files, in one go
  muse validate pipelines/tiny.yaml --json         for editors and scripts
  muse validate pipelines/*.yaml --format github   annotations beside the lines of a pull request";

/// Check pipeline files without touching the store.
///
/// Parses, expands and checks each file: unknown fields, wrong values, ports that do not fit, cycles, files that
/// are not there. All errors come in one go, each with its place and, where there is one, the nearest right name.
/// Needs no store, no network and no GPU, so it is quick enough for every commit.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ValidateArgs {
    /// The pipeline files.
    #[arg(value_name = "PIPELINE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) pipelines: Vec<PathBuf>,
    /// What their parameters become.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
    /// Print one JSON object; the same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// How to print what is wrong.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: ValidateFormat,
}

/// How `muse validate` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValidateFormat {
    /// For people: each error with its line.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Workflow commands of GitHub.
    Github,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    ok: bool,
    errors: Vec<render::JsonError>,
}

/// Validates.
pub(crate) fn run(app: &mut App<'_>, args: &ValidateArgs) -> CliResult {
    let mut diagnostics = Vec::new();
    for path in &args.pipelines {
        let locked = match app.load(path, &args.values, true) {
            Ok(_) => Lock::load(path).map(drop),
            Err(error) => Err(error.diagnostics),
        };
        diagnostics.extend(locked.err().unwrap_or_default());
    }
    report(app, args, diagnostics)
}

/// Prints what is wrong with `files` files, as asked, and answers the exit code.
pub(crate) fn report(app: &mut App<'_>, args: &ValidateArgs, diagnostics: Vec<Diagnostic>) -> CliResult {
    let code = if diagnostics.is_empty() { exit::DONE } else { exit::USAGE };
    let format = if args.json { ValidateFormat::Json } else { args.format };
    match format {
        ValidateFormat::Json => {
            let errors = render::json(&diagnostics);
            app.out.json(&Report { ok: errors.is_empty(), errors })?;
        }
        ValidateFormat::Github => app.out.text(&render::github(&diagnostics))?,
        ValidateFormat::Text if diagnostics.is_empty() => {
            app.terminal.say(&format!("{}: no errors", plural(args.pipelines.len(), "file")));
        }
        ValidateFormat::Text => {
            let found = plural(diagnostics.len(), "error");
            return Err(CliError { message: found, ..CliError::from(diagnostics) });
        }
    }
    app.out.flush()?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;

    fn args(rest: &[&str]) -> ValidateArgs {
        app::parse_for_tests(&[&["muse", "validate", "a.yaml"], rest].concat(), |command| match command {
            crate::args::Command::Validate(args) => args,
            other => panic!("{other:?}"),
        })
    }

    fn printed(rest: &[&str], diagnostics: Vec<Diagnostic>) -> (Option<u8>, String) {
        app::printed_by(|app| report(app, &args(rest), diagnostics))
    }

    #[test]
    fn json_says_ok_or_what_is_wrong() {
        let wrong = || vec![Diagnostic::general("no file `a.yaml`")];
        let (code, text) = printed(&["--json"], wrong());
        assert_eq!(code, Some(exit::USAGE));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["errors"][0]["message"], "no file `a.yaml`");
        assert_eq!(printed(&["--format", "json"], wrong()).1, text);
        let (code, text) = printed(&["--json"], vec![]);
        assert_eq!((code, text.as_str()), (Some(0), "{\n  \"ok\": true,\n  \"errors\": []\n}\n"));
    }

    #[test]
    fn github_gets_workflow_commands_and_people_an_error() {
        let wrong = || vec![Diagnostic::general("no file `a.yaml`")];
        assert_eq!(
            printed(&["--format", "github"], wrong()),
            (Some(exit::USAGE), "::error::no file `a.yaml`\n".into())
        );
        assert_eq!(printed(&[], wrong()), (None, String::new()));
        assert_eq!(printed(&[], vec![]), (Some(0), String::new()));
    }
}
