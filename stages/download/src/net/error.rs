//! What a server says when it says no, in words that tell what to do.
use muse_stage::StageError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why bytes did not come.
#[derive(Debug)]
pub(crate) enum NetError {
    /// Another try may help: after so long, where the server said so.
    Passing { message: String, help: Option<String>, after: Option<Duration> },
    /// The file is no longer the one that was begun.
    Changed { message: String },
    /// It stays so.
    Lasting { message: String, help: Option<String> },
    /// The disk did not take it.
    Disk { path: PathBuf, source: io::Error },
    /// The stage was told to stop.
    Stopped,
}

/// The repository that a request was for, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    /// Its name.
    pub(crate) name: String,
    /// Where people look at it.
    pub(crate) page: String,
    pub(crate) revision: String,
}

impl NetError {
    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self::Lasting { message: message.into(), help: None }
    }

    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self::Passing { message: message.into(), help: None, after: None }
    }

    /// An answer that is none: `status` is not a success.
    pub(crate) fn refused(url: &str, status: u16, answer: &Refusal<'_>, repo: Option<&Repo>) -> Self {
        let said = answer.message.map(|said| format!(" ({said})")).unwrap_or_default();
        let message = match repo {
            Some(repo) => format!("the hub answered {status} for `{}`: {}{said}", repo.name, shown(url)),
            None => format!("{} answered {status}{said}", shown(url)),
        };
        match status {
            429 => Self::Passing {
                message,
                help: Some("too many requests: wait a while and run again; what is there is kept".into()),
                after: answer.retry_after,
            },
            408 | 500..=599 => Self::Passing {
                message,
                help: Some("the server has trouble: run again later; what is there is kept".into()),
                after: answer.retry_after,
            },
            401 | 403 => Self::Lasting { message, help: Some(forbidden(answer, repo)) },
            404 | 410 => Self::Lasting { message, help: missing(answer, repo) },
            _ => Self::Lasting { message, help: None },
        }
    }
}

/// What stood in an answer that is no success.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusal<'a> {
    /// The hub's word for it, such as `GatedRepo`.
    pub(crate) code: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    pub(crate) retry_after: Option<Duration>,
    /// A token went with the request.
    pub(crate) with_token: bool,
}

fn forbidden(answer: &Refusal<'_>, repo: Option<&Repo>) -> String {
    let Some(repo) = repo else { return "this address wants a login, which `download` cannot give".into() };
    let page = &repo.page;
    match (answer.code, answer.with_token) {
        (Some("RepoNotFound"), false) => format!(
            "there is no such repository, or it is private: look at {page}, and give the stage a token by \
             `secrets: [HF_TOKEN]` where it is private"
        ),
        (_, false) => format!(
            "the repository is gated or private: accept its licence at {page}, and give the stage a token by \
             `secrets: [HF_TOKEN]`"
        ),
        (_, true) => format!(
            "the token in HF_TOKEN may not read it: accept the licence at {page} with the account of that token, \
             or make a token that may read it"
        ),
    }
}

fn missing(answer: &Refusal<'_>, repo: Option<&Repo>) -> Option<String> {
    let repo = repo?;
    Some(match answer.code {
        Some("RevisionNotFound") => {
            format!("there is no revision `{}`; {}/tree/main shows which there are", repo.revision, repo.page)
        }
        Some("EntryNotFound") => {
            format!("the file is not in `{}`: look at {}/tree", repo.revision, repo.page)
        }
        _ => format!(
            "look at {}: check `repo` and `revision`, and say `kind: model` for a model; a private repository also \
             needs `secrets: [HF_TOKEN]`",
            repo.page
        ),
    })
}

/// An address without what follows its path: a signature is nobody's business.
pub(crate) fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

impl From<NetError> for StageError {
    fn from(error: NetError) -> Self {
        let failed = |message: String, help: Option<String>| {
            let error = StageError::new(message);
            match help {
                Some(help) => error.help(help),
                None => error,
            }
        };
        match error {
            NetError::Passing { message, help, .. } | NetError::Lasting { message, help } => {
                failed(message, help)
            }
            NetError::Changed { message } => failed(message, None),
            NetError::Disk { path, source } => StageError::Io { path, source },
            NetError::Stopped => StageError::Interrupted,
        }
    }
}
