//! Lines that somebody types at a terminal, with arrow keys and a history.
use crate::exit;
use crate::failure::{CliError, CliResult};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

/// Somebody who types.
pub(crate) struct Typed(Editor<(), MemHistory>);

impl Typed {
    pub(crate) fn open() -> CliResult<Self> {
        let config = Config::builder().auto_add_history(true).build();
        let history = MemHistory::with_config(&config);
        Ok(Self(Editor::with_history(config, history).map_err(wrong)?))
    }

    /// The next line; none after Ctrl-C or Ctrl-D.
    pub(crate) fn line(&mut self, prompt: &str) -> CliResult<Option<String>> {
        match self.0.readline(prompt) {
            Ok(line) => Ok(Some(line)),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(error) => Err(wrong(error)),
        }
    }
}

fn wrong(error: ReadlineError) -> CliError {
    CliError::new(exit::FAILED, format!("cannot read from the terminal: {error}"))
}
