//! Where lines come from: typed, or one after the other out of a pipe.
use crate::failure::{CliError, CliResult, plain_io};
use crate::paint::Paint;
use crate::typed::Typed;
use std::io::{self, BufRead, IsTerminal};

/// Lines, one at a time.
pub(super) enum Lines {
    /// Somebody types, behind a prompt.
    Typed(Box<Typed>, String),
    /// They come out of a file or a pipe.
    Piped(io::Lines<io::StdinLock<'static>>),
}

impl Lines {
    pub(super) fn open(paint: Paint) -> CliResult<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Piped(io::stdin().lock().lines()));
        }
        Ok(Self::Typed(Box::new(Typed::open()?), paint.live("> ")))
    }

    /// Whether somebody types them.
    pub(super) fn typed(&self) -> bool {
        matches!(self, Self::Typed(..))
    }

    /// The next line that says something; none at their end.
    pub(super) fn next(&mut self) -> CliResult<Option<String>> {
        loop {
            let line = match self {
                Self::Typed(typed, prompt) => typed.line(prompt)?,
                Self::Piped(lines) => lines.next().transpose().map_err(|error| {
                    CliError::usage(format!("cannot read standard input: {}", plain_io(&error)))
                })?,
            };
            if line.as_ref().is_none_or(|line| !line.trim().is_empty()) {
                return Ok(line);
            }
        }
    }
}
