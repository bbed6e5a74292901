//! Who is asked: somebody at a terminal, or a list of a test.
use crate::failure::CliResult;
use crate::terminal::Terminal;
use crate::typed::Typed;

/// Somebody who is asked.
pub(crate) trait Asks {
    /// Puts a question, and waits for the answer, without white space at its ends; none where nothing is wanted any more.
    fn ask(&mut self, question: &str) -> CliResult<Option<String>>;
    /// Says something.
    fn say(&mut self, text: &str);
}

/// Somebody at a terminal.
pub(crate) struct Somebody {
    pub(crate) typed: Typed,
    pub(crate) terminal: Terminal,
}

impl Asks for Somebody {
    fn ask(&mut self, question: &str) -> CliResult<Option<String>> {
        Ok(self.typed.line(question)?.map(|line| line.trim().to_owned()))
    }

    fn say(&mut self, text: &str) {
        self.terminal.tell(text);
    }
}
