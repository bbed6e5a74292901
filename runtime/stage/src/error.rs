//! How a stage fails: a message for people, where it can a hint, and never a panic.
use std::path::{Path, PathBuf};

/// Why a stage made no result.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It could not do what was asked.
    #[error("{message}")]
    Failed {
        /// What happened, as a fragment.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A file or folder did not do what was asked of it.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was told to stop, has saved what it could, and made no result.
    #[error("interrupted")]
    Interrupted,
}

impl StageError {
    /// A failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), help: None }
    }

    /// The same failure with a hint; other kinds of error stay as they are.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        match self {
            Self::Failed { message, .. } => Self::Failed { message, help: Some(help.into()) },
            other => other,
        }
    }

    /// For `map_err`: an I/O error with its path.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A parameter whose value is of the right shape but makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// Where in `with`, as a JSON pointer such as `/files/text`.
    pub pointer: String,
    /// What is wrong, naming the value.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), help: None }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
