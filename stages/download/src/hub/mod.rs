//! The Hugging Face Hub: which commit a revision is, which files it has, what its card says. By the hf-hub crate; the
//! bytes come by `net`, which can resume.
mod card;
mod select;

pub(crate) use card::Card;
pub(crate) use select::{Choice, by_card, holds_documents, known_splits, select};

use crate::net::{NetError, Of, Patience, Repo, Target, Token, Web};
use crate::params::{Params, RepoKind};
use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClientBuilder, HFClientSync, HFError, HFResult, split_id};
use reqwest::Url;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// A repository at one revision.
pub(crate) struct Hub {
    client: HFClientSync,
    pub(crate) web: Arc<Web>,
    endpoint: String,
    kind: RepoKind,
    repo: Repo,
    with_token: bool,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    oid: String,
    /// It is stored beside git.
    linked: bool,
}

/// What the hub says of a repository.
pub(crate) struct Info {
    pub(crate) commit: String,
    pub(crate) card: Card,
}

impl Hub {
    /// The repository that `params` name.
    pub(crate) fn of(
        params: &Params,
        endpoint: &str,
        token: Option<Token>,
        patience: Patience,
        offline: bool,
    ) -> Result<Self, NetError> {
        let repo = params.repo.as_deref().unwrap_or_default();
        Self::new(repo, params.kind, &params.revision, endpoint, token, patience, offline)
    }

    pub(crate) fn new(
        repo: &str,
        kind: RepoKind,
        revision: &str,
        endpoint: &str,
        token: Option<Token>,
        patience: Patience,
        offline: bool,
    ) -> Result<Self, NetError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let web = Arc::new(Web::new(Some((&endpoint, token.clone())), patience, offline)?);
        // A token that is no header is not sent. Without one the crate would look for one by itself.
        let secret = token.as_ref().map_or("\n", |token| token.reveal());
        let client = HFClientBuilder::new()
            .endpoint(&endpoint)
            .token(secret)
            .client(web.twin()?)
            .retry_max_attempts(0)
            .cache_enabled(false)
            .build_sync()
            .map_err(|error| NetError::lasting(format!("no client for the hub: {error}")))?;
        let page = match kind {
            RepoKind::Dataset => format!("{endpoint}/datasets/{repo}"),
            RepoKind::Model => format!("{endpoint}/{repo}"),
        };
        let repo = Repo { name: repo.to_owned(), page, revision: revision.to_owned() };
        Ok(Self { client, web, endpoint, kind, repo, with_token: token.is_some() })
    }

    /// What a revision is today.
    pub(crate) fn info(&self, revision: &str) -> Result<Info, NetError> {
        let (owner, name) = split_id(&self.repo.name);
        let (sha, card) = self.ask(|| match self.kind {
            RepoKind::Dataset => {
                let info = self.client.dataset(owner, name).info().revision(revision).send()?;
                Ok((info.sha, info.card_data))
            }
            RepoKind::Model => {
                let info = self.client.model(owner, name).info().revision(revision).send()?;
                Ok((info.sha, info.card_data))
            }
        })?;
        let commit = sha.filter(|sha| crate::params::is_commit(sha)).ok_or_else(|| {
            NetError::lasting(format!(
                "the hub does not say which commit `{revision}` of `{}` is",
                self.repo.name
            ))
        })?;
        Ok(Info { commit, card: Card::new(card.unwrap_or(Value::Null)) })
    }

    /// All files of a commit, sorted by path.
    pub(crate) fn files(&self, commit: &str) -> Result<Vec<HubFile>, NetError> {
        let (owner, name) = split_id(&self.repo.name);
        let entries = self.ask(|| match self.kind {
            RepoKind::Dataset => {
                self.client.dataset(owner, name).list_tree().revision(commit).recursive(true).send()
            }
            RepoKind::Model => {
                self.client.model(owner, name).list_tree().revision(commit).recursive(true).send()
            }
        })?;
        let mut files: Vec<HubFile> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                RepoTreeEntry::File { oid, size, path, lfs, xet_hash, .. } => {
                    Some(HubFile { path, size, oid, linked: lfs.is_some() || xet_hash.is_some() })
                }
                RepoTreeEntry::Directory { .. } => None,
            })
            .collect();
        files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        Ok(files)
    }

    /// How a file of a commit is fetched.
    pub(crate) fn target(&self, commit: &str, file: &HubFile) -> Result<Target, NetError> {
        let pointer = if file.linked { Some(self.address("raw", commit, &file.path)?) } else { None };
        Ok(Target {
            name: file.path.clone(),
            url: self.address("resolve", commit, &file.path)?,
            size: file.size,
            parts: true,
            of: Of::Hub {
                repo: self.repo.clone(),
                commit: commit.to_owned(),
                oid: file.oid.clone(),
                pointer,
                learned: OnceLock::new(),
            },
        })
    }

    fn address(&self, how: &str, commit: &str, path: &str) -> Result<String, NetError> {
        let bad = || NetError::lasting(format!("`{}` is no address of a hub", self.endpoint));
        let mut url = Url::parse(&self.endpoint).map_err(|_| bad())?;
        {
            let mut parts = url.path_segments_mut().map_err(|()| bad())?;
            parts.pop_if_empty();
            if self.kind == RepoKind::Dataset {
                parts.push("datasets");
            }
            parts.extend(self.repo.name.split('/')).push(how).push(commit).extend(path.split('/'));
        }
        Ok(url.into())
    }

    fn ask<T: Send>(&self, question: impl Fn() -> HFResult<T>) -> Result<T, NetError> {
        self.web.allowed(&self.repo.page)?;
        self.web.patience.insist(|_| question().map_err(|error| self.understood(error)))
    }

    fn understood(&self, error: HFError) -> NetError {
        let (context, after) = match &error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context } => (Some(context), None),
            HFError::RateLimited { retry_after, context } => (Some(context), *retry_after),
            HFError::RepoNotFound { context, .. }
            | HFError::RevisionNotFound { context, .. }
            | HFError::EntryNotFound { context, .. } => (context.as_ref(), None),
            HFError::Request { source, .. } => {
                let message =
                    format!("the hub cannot be reached at {}: {}", self.endpoint, Web::said(source));
                let help = "look at the network and, where there is one, at HTTPS_PROXY and HF_ENDPOINT";
                return NetError::Passing { message, help: Some(help.into()), after: None };
            }
            _ => (None, None),
        };
        let Some(context) = context else {
            return NetError::lasting(format!("the hub said something that is not understood: {error}"));
        };
        let said = crate::net::Refusal {
            code: context.error_code.as_deref(),
            message: context.server_message.as_deref(),
            retry_after: after,
            with_token: self.with_token,
        };
        NetError::refused(&context.url, context.status.as_u16(), &said, Some(&self.repo))
    }
}
