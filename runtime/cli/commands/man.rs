//! `muse man`: the man pages, one for each command.
use crate::app::App;
use crate::args::Cli;
use crate::exit;
use crate::failure::{CliError, CliResult};
use clap::{Args, CommandFactory, ValueHint};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse man ~/.local/share/man/man1     then: man muse-run
  muse man man && man ./man/muse.1     without installing";

/// Write the man pages.
///
/// Writes `muse.1` and one page for each command, `muse-run.1` and so on, to a folder, which is made where it is not
/// there. Pages that are there are replaced.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// The folder.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

/// Writes them.
pub(crate) fn run(app: &mut App<'_>, args: &ManArgs) -> CliResult {
    let wrong = |what| CliError::io(exit::USAGE, what, &args.dir);
    std::fs::create_dir_all(&args.dir).map_err(wrong("cannot make the folder"))?;
    // The list of commands stands in `muse.1`; a page `muse-help.1` would say nothing.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.dir).map_err(wrong("cannot write man pages to"))?;
    app.terminal.say(&format!("man pages are in {}", args.dir.display()));
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::printed_by;

    #[test]
    fn each_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man/man1");
        assert_eq!(printed_by(|app| run(app, &ManArgs { dir: dir.clone() })).0, Some(exit::DONE));
        let page = std::fs::read_to_string(dir.join("muse-run.1")).unwrap();
        assert!(page.contains("keep\\-going") && page.contains("Examples"), "{page}");
        assert!(dir.join("muse.1").exists() && !dir.join("muse-exec-stage.1").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let args = ManArgs { dir: file.path().join("man") };
        let mut message = String::new();
        printed_by(|app| run(app, &args).inspect_err(|error| message = error.to_string()));
        assert!(
            message.starts_with("cannot make the folder") && message.contains("not a directory"),
            "{message}"
        );
    }
}
