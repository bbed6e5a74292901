//! Standard error, where muse talks: notes, warnings, and how a command that went wrong is told.
use crate::failure::CliError;
use crate::format::visible;
use crate::paint::Paint;
use crate::render;
use std::io::Write;

/// How much muse says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// `-q`: what failed, and nothing else.
    Quiet,
    /// What changes.
    #[default]
    Normal,
    /// `-v`: hits, keys and causes too.
    Verbose,
}

/// What is known of standard error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terminal {
    /// Its colours.
    pub(crate) paint: Paint,
    /// Somebody looks at it: bars move.
    pub(crate) live: bool,
    /// How much to say.
    pub(crate) verbosity: Verbosity,
}

impl Terminal {
    /// Says one line, unless muse is to be quiet.
    pub(crate) fn say(self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.print(text);
        }
    }

    /// Says something to those who asked for more.
    pub(crate) fn detail(self, text: &str) {
        if self.verbosity == Verbosity::Verbose {
            self.print(text);
        }
    }

    /// Warns, also under `-q`.
    pub(crate) fn warn(self, text: &str) {
        self.print(&format!("{} {}", self.paint.warn("warning:"), visible(text)));
    }

    /// Says what a reporter chose to say, whatever the flags are.
    pub(crate) fn tell(self, text: &str) {
        self.print(text.trim_end_matches('\n'));
    }

    /// Tells why a command ends.
    pub(crate) fn fail(self, error: &CliError) {
        let text = self.failure(error);
        if !text.is_empty() {
            self.print(text.trim_end_matches('\n'));
        }
    }

    /// The text of [`Terminal::fail`].
    pub(crate) fn failure(self, error: &CliError) -> String {
        let mut text = render::text(&error.diagnostics, self.paint.on, columns());
        if !error.message.is_empty() {
            text += &format!("{} {}\n", self.paint.bad("error:"), visible(&error.message));
        }
        for hint in &error.hints {
            text += &format!("{} {}\n", self.paint.live("help:"), visible(hint));
        }
        text
    }

    /// A closed standard error has no reader to disappoint.
    fn print(self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// Columns of the terminal behind standard error; 100 where there is none.
pub(crate) fn columns() -> usize {
    size().map_or(100, |(columns, _)| columns)
}

/// Columns and rows of the terminal behind standard error.
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_message_and_what_to_do() {
        let error = CliError::usage("no file `tinny.yaml`\x1b[2J").hint("did you mean `tiny.yaml`?");
        assert_eq!(
            Terminal::default().failure(&error),
            "error: no file `tinny.yaml`\\u{1b}[2J\nhelp: did you mean `tiny.yaml`?\n"
        );
        assert_eq!(Terminal::default().failure(&CliError::closed_pipe()), "");
    }
}
