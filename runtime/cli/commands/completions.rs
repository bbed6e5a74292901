//! `muse completions`: what a shell needs to complete muse's commands and flags.
use crate::app::App;
use crate::args::Cli;
use crate::exit;
use crate::failure::CliResult;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  muse completions bash > ~/.local/share/bash-completion/completions/muse
  muse completions zsh  > ~/.zfunc/_muse      (with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc)
  muse completions fish > ~/.config/fish/completions/muse.fish";

/// Completions for a shell.
///
/// Prints a script that teaches a shell the commands and flags of this muse. Put it where the shell looks for such
/// scripts and start a new one.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// Prints them.
pub(crate) fn run(app: &mut App<'_>, args: &CompletionsArgs) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "muse", &mut script);
    app.out.bytes(&script)?;
    app.out.flush()?;
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::printed_by;

    #[test]
    fn every_shell_learns_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let (code, script) = printed_by(|app| run(app, &CompletionsArgs { shell }));
            assert_eq!(code, Some(exit::DONE));
            assert!(script.contains("validate") && script.contains("keep-going"), "{shell}");
        }
    }
}
