//! Why a command ends without doing what it was asked: a code, a message, hints, places in files.
use crate::exit;
use muse_runtime::diagnostic::Diagnostic;
use muse_stage::StageError;
use std::fmt;
use std::path::Path;

/// What every command answers.
pub(crate) type CliResult<T = u8> = Result<T, CliError>;

/// The end of a command that went wrong. Everything in it is data; [`crate::terminal::Terminal`] draws it.
#[derive(Debug)]
pub(crate) struct CliError {
    /// One of [`crate::exit`].
    pub(crate) code: u8,
    /// What happened, as a lower-case fragment. Empty where the diagnostics say it all, or where nothing is to say.
    pub(crate) message: String,
    /// What to do, one hint a line.
    pub(crate) hints: Vec<String>,
    /// What is wrong with files.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl CliError {
    /// An error with any code.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hints: Vec::new(), diagnostics: Vec::new() }
    }

    /// The command line or a file is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// A stage failed, or a result asked for is not there.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(exit::FAILED, message)
    }

    /// The store is damaged, full or out of reach.
    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(exit::STORE, message)
    }

    /// Nobody reads any more: muse ends quietly.
    pub(crate) fn closed_pipe() -> Self {
        Self::new(exit::DONE, "")
    }

    /// For `map_err`: a file or folder that did not do what was asked of it.
    pub(crate) fn io(code: u8, what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let message = format!("{what} {}", path.display());
        move |error| Self::new(code, format!("{message}: {}", plain_io(&error)))
    }

    /// The same error with a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<StageError> for CliError {
    /// What a stage is made of failed outside one.
    fn from(error: StageError) -> Self {
        match error {
            StageError::Failed { message, help } => help.into_iter().fold(Self::failed(message), Self::hint),
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<Vec<Diagnostic>> for CliError {
    /// Files that are wrong.
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self { code: exit::USAGE, message: String::new(), hints: Vec::new(), diagnostics }
    }
}

impl From<Diagnostic> for CliError {
    fn from(diagnostic: Diagnostic) -> Self {
        vec![diagnostic].into()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.is_empty(), self.diagnostics.first()) {
            (true, Some(first)) => f.write_str(&first.message),
            _ => f.write_str(&self.message),
        }
    }
}

/// The system's words without `(os error 2)`, which tells people nothing.
pub(crate) fn plain_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error ").next().unwrap_or(&text);
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().collect::<String>() + letters.as_str(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_names_what_was_done_to_which_path() {
        let gone = std::io::Error::from_raw_os_error(2);
        let error = CliError::io(exit::USAGE, "cannot read", Path::new("a.yaml"))(gone);
        assert_eq!(
            (error.code, error.to_string().as_str()),
            (2, "cannot read a.yaml: no such file or directory")
        );
    }

    #[test]
    fn diagnostics_are_the_users_matter() {
        let error = CliError::from(vec![Diagnostic::general("unknown field `x`")]).hint("look again");
        assert_eq!((error.code, error.to_string().as_str()), (exit::USAGE, "unknown field `x`"));
        assert_eq!(error.hints, ["look again"]);
    }
}
