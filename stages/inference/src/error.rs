//! Why a model cannot be used, or a text not be written.
use muse_artifacts::ArtifactError;
use muse_model::decode::DeviceError;

/// What everything here answers.
pub type Result<T, E = InferenceError> = std::result::Result<T, E>;

/// Why a model cannot be used, or a text not be written.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// A file cannot be read, or is not what it should be.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The folder holds no model that can be used.
    #[error("{message}")]
    Unfit {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: String,
    },
    /// There is nothing to go on from.
    #[error("the prompt is empty: there is nothing to go on from")]
    Empty,
    /// The prompt fills the context.
    #[error("the prompt has {tokens} tokens, and there is room for {room}")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The most that a prompt may have, so that a token can follow.
        room: usize,
    },
    /// Too many wait already.
    #[error("{waiting} texts wait already")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// What it runs on fails.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The thread that runs the model is gone.
    #[error("the model has stopped: {0}")]
    Stopped(String),
}

impl InferenceError {
    /// A folder that holds no model that can be used.
    pub(crate) fn unfit(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Unfit { message: message.into(), help: help.into() }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Artifact(error) => error.hint(),
            Self::Device(error) => error.help.as_deref(),
            Self::Unfit { help, .. } => Some(help),
            Self::TooLong { .. } => Some("make it shorter, or give it more room where the model allows that"),
            Self::Busy { .. } => Some("try again later"),
            Self::Empty | Self::Stopped(_) => None,
        }
    }
}
