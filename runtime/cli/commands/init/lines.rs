//! Who is asked: somebody at a terminal, whose lines can be edited, or a list of a test.
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::terminal::Terminal;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without white space at its ends.
    Said(String),
    /// Ctrl-C or Ctrl-D: nothing is wanted any more.
    End,
}

/// Somebody who is asked.
pub(crate) trait Asks {
    /// Puts a question, and waits for the answer.
    fn ask(&mut self, question: &str) -> CliResult<Line>;
    /// Says something.
    fn say(&mut self, text: &str);
}

/// Somebody at a terminal.
pub(crate) struct Typed {
    editor: Editor<(), MemHistory>,
    terminal: Terminal,
}

impl Typed {
    pub(crate) fn open(terminal: Terminal) -> CliResult<Self> {
        let config = Config::builder().auto_add_history(true).build();
        let history = MemHistory::with_config(&config);
        let editor = Editor::with_history(config, history).map_err(wrong)?;
        Ok(Self { editor, terminal })
    }
}

impl Asks for Typed {
    fn ask(&mut self, question: &str) -> CliResult<Line> {
        match self.editor.readline(question) {
            Ok(line) => Ok(Line::Said(line.trim().to_owned())),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(Line::End),
            Err(error) => Err(wrong(error)),
        }
    }

    fn say(&mut self, text: &str) {
        self.terminal.tell(text);
    }
}

fn wrong(error: ReadlineError) -> CliError {
    CliError::new(exit::FAILED, format!("cannot read from the terminal: {error}"))
}
