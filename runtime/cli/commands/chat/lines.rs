//! Where lines come from: typed, with a history and arrow keys, or one after the other out of a pipe.
use crate::exit;
use crate::failure::{CliError, CliResult, plain_io};
use crate::paint::Paint;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use std::io::{self, BufRead, IsTerminal};

/// Lines, one at a time.
pub(super) enum Lines {
    /// Somebody types.
    Typed(Box<Editor<(), MemHistory>>, String),
    /// They come out of a file or a pipe.
    Piped(io::Lines<io::StdinLock<'static>>),
}

/// What came.
pub(super) enum Line {
    /// A line.
    Said(String),
    /// One that says nothing.
    Nothing,
    /// There are no more.
    End,
}

impl Lines {
    pub(super) fn open(paint: Paint) -> CliResult<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Piped(io::stdin().lock().lines()));
        }
        let config = Config::builder().auto_add_history(true).build();
        let history = MemHistory::with_config(&config);
        let editor = Editor::with_history(config, history).map_err(wrong)?;
        Ok(Self::Typed(Box::new(editor), paint.live("> ")))
    }

    /// Whether somebody types them.
    pub(super) fn typed(&self) -> bool {
        matches!(self, Self::Typed(..))
    }

    pub(super) fn next(&mut self) -> CliResult<Line> {
        let line = match self {
            Self::Typed(editor, prompt) => match editor.readline(prompt) {
                Ok(line) => line,
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(Line::End),
                Err(error) => return Err(wrong(error)),
            },
            Self::Piped(lines) => match lines.next() {
                None => return Ok(Line::End),
                Some(Ok(line)) => line,
                Some(Err(error)) => {
                    return Err(CliError::usage(format!("cannot read standard input: {}", plain_io(&error))));
                }
            },
        };
        Ok(if line.trim().is_empty() { Line::Nothing } else { Line::Said(line) })
    }
}

fn wrong(error: ReadlineError) -> CliError {
    CliError::new(exit::FAILED, format!("cannot read from the terminal: {error}"))
}
