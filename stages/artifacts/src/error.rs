//! What can be wrong with an artifact: the file, what it is, and what to do.
use muse_stage::StageError;
use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

/// What every reader and writer answers.
pub type Result<T, E = ArtifactError> = std::result::Result<T, E>;

/// Why an artifact cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The disk did not do what was asked.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a fragment.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The file is of a version that this muse does not know.
    #[error("{}: format {found} is not known here, which is {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The one that is known.
        known: u32,
    },
}

/// What to do about a file of another version.
const NEWER: &str = "a newer muse wrote it: use that one";

impl ArtifactError {
    /// A file that is not what it should be.
    pub fn format(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_owned(), message: message.into(), help: None }
    }

    /// Whether what is there is not what was written. Else it cannot be told: a disk that does not answer may do so later, and a
    /// newer muse may know what this one does not.
    pub fn is_damage(&self) -> bool {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
        match self {
            Self::Io { source, .. } => matches!(source.kind(), NotFound | IsADirectory | NotADirectory),
            Self::Format { .. } => true,
            Self::Version { .. } => false,
        }
    }

    /// Refuses a file of a later version than the one that is known.
    pub fn check_version(path: impl AsRef<Path>, found: u32, known: u32) -> Result<()> {
        match found.cmp(&known) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Self::Version { path: path.as_ref().to_owned(), found, known }),
            Ordering::Less => Err(Self::format(path, format!("there never was a format {found}"))),
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Io { .. } => None,
            Self::Format { help, .. } => help.as_deref(),
            Self::Version { .. } => Some(NEWER),
        }
    }

    /// For `map_err`: an I/O error with its path.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn help(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Format { path, message, .. } => Self::Format { path, message, help: Some(hint.into()) },
            other => other,
        }
    }
}

impl From<ArtifactError> for StageError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Io { path, source } => Self::Io { path, source },
            ArtifactError::Version { .. } => Self::new(error.to_string()).help(NEWER),
            ArtifactError::Format { path, message, help } => {
                let error = Self::new(format!("{}: {message}", path.display()));
                match help {
                    Some(help) => error.help(help),
                    None => error,
                }
            }
        }
    }
}
