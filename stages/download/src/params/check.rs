//! What the schema cannot say of parameters, and which of them do not count beside the others.
use super::{Output, Params, Source};
use muse_stage::FieldError;

const HUB: &[&str] = &["repo", "kind", "revision", "files", "split", "config"];
const HTTP: &[&str] = &["urls", "sha256"];
const FILE: &[&str] = &["paths"];
const SYNTHETIC: &[&str] = &["seed", "count", "size", "languages", "dialogues"];
/// What says how files become documents.
const READING: &[&str] = &["format", "text", "messages", "documents"];

impl Params {
    /// The fields that do not count beside the others.
    pub(crate) fn idle(&self) -> Vec<&'static str> {
        let mut idle: Vec<&'static str> =
            [(Source::Hub, HUB), (Source::Http, HTTP), (Source::File, FILE), (Source::Synthetic, SYNTHETIC)]
                .into_iter()
                .filter(|(source, _)| *source != self.source)
                .flat_map(|(_, fields)| fields)
                .copied()
                .collect();
        if self.source == Source::Synthetic || self.output == Output::Files {
            idle.extend(READING);
        }
        if self.output == Output::Files {
            idle.extend(["name", "limit"]);
        }
        idle
    }

    /// What the schema cannot say.
    pub(crate) fn check(&self) -> Result<(), FieldError> {
        let missing = |field: &str, example: &str| {
            let source = serde_json::to_value(self.source).unwrap_or_default();
            let message = format!("`source: {}` needs `{field}`", source.as_str().unwrap_or_default());
            Err(FieldError::new("", message).help(format!("such as `{field}: {example}`")))
        };
        match self.source {
            Source::Hub if self.repo.is_none() => return missing("repo", "roneneldan/TinyStories"),
            Source::Http if self.urls.is_empty() => {
                return missing("urls", "[\"https://example.org/text.txt\"]");
            }
            Source::File if self.paths.is_empty() => return missing("paths", "[\"../data/*.jsonl\"]"),
            _ => {}
        }
        if let Some(repo) = self.repo.as_deref().filter(|repo| !is_repo(repo)) {
            let message = format!("`{repo}` is no repository of the hub");
            return Err(
                FieldError::new("/repo", message).help("write OWNER/NAME, such as `roneneldan/TinyStories`")
            );
        }
        if self.revision.is_empty() {
            return Err(FieldError::new("/revision", "the revision is empty").help("`main` is the usual one"));
        }
        for (at, glob) in self.files.iter().enumerate() {
            if let Err(error) = globset::Glob::new(glob) {
                let message = format!("`{glob}` is no glob: {}", error.kind());
                return Err(FieldError::new(format!("/files/{at}"), message));
            }
        }
        for (at, url) in self.urls.iter().enumerate() {
            let good = reqwest::Url::parse(url)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.password().is_none());
            if !good {
                let help =
                    "write a whole address, such as `https://example.org/text.txt`, without a password";
                let message = format!("`{url}` cannot be fetched");
                return Err(FieldError::new(format!("/urls/{at}"), message).help(help));
            }
            if self.urls[..at].contains(url) {
                return Err(FieldError::new(format!("/urls/{at}"), format!("`{url}` is named twice")));
            }
        }
        self.sha256.check(&self.urls)?;
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), FieldError> {
        if self.text.is_some() && self.messages.is_some() {
            let help = "a corpus is read from one of them; make two stages to have both";
            return Err(FieldError::new("/messages", "both `text` and `messages` name a column").help(help));
        }
        if self.source == Source::Synthetic && self.output == Output::Files {
            return Err(
                FieldError::new("/as", "the generator makes documents, no files").help("leave `as` out")
            );
        }
        if self.count.is_some() && self.size.is_some() {
            return Err(FieldError::new("/size", "both `count` and `size` are given").help("leave one out"));
        }
        if self.languages.is_empty() {
            return Err(FieldError::new("/languages", "no language").help("such as `languages: [ja, en]`"));
        }
        if !(0.0..=1.0).contains(&self.dialogues) {
            let message = format!("{} is no share", self.dialogues);
            return Err(FieldError::new("/dialogues", message).help("write a number from 0 to 1"));
        }
        for (field, value) in [
            ("limit", self.limit.map(|c| c.0)),
            ("count", self.count.map(|c| c.0)),
            ("size", self.size.map(|b| b.0)),
        ] {
            if value == Some(0) {
                let help = "leave it out to take all";
                return Err(FieldError::new(format!("/{field}"), format!("`{field}` is 0: nothing to make"))
                    .help(help));
            }
        }
        if self.name.as_deref().is_some_and(str::is_empty) {
            return Err(FieldError::new("/name", "the name is empty"));
        }
        Ok(())
    }

    /// What the hub's revision is called in the lock file; `None` where it is a commit already.
    pub(crate) fn hub_pin(&self) -> Option<String> {
        let repo = self.repo.as_deref()?;
        (!is_commit(&self.revision)).then(|| format!("hub:{}/{repo}@{}", self.kind.plural(), self.revision))
    }
}

fn is_repo(text: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match text.split_once('/') {
        Some((owner, name)) => good(owner) && good(name),
        None => good(text),
    }
}

/// Whether a revision names one state for ever.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
