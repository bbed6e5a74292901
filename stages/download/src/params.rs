//! What stands under `with:` of a `download` stage, and what the schema cannot say of it.
use muse_stage::schemars::{self, JsonSchema, Schema, SchemaGenerator};
use muse_stage::{Bytes, Count, FieldError, InputFiles};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;

/// What stands under `with:`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Where the data is. Fields of another source are checked and do not count.
    #[serde(default)]
    pub source: Source,
    /// `corpus` reads the data into texts and chats; `files` keeps it as it is.
    #[serde(default, rename = "as")]
    pub output: Output,
    /// hub: the repository, such as `roneneldan/TinyStories`.
    #[serde(default)]
    pub repo: Option<String>,
    /// hub: what sort of repository it is.
    #[serde(default)]
    pub kind: RepoKind,
    /// hub: a branch, a tag or a commit. `run` writes the commit into the lock file.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// hub: globs of files. Without them, the files of `config` and `split`.
    #[serde(default)]
    pub files: Vec<String>,
    /// hub: the part of the data set to take. Without it `train`, or the only one that there is.
    #[serde(default)]
    pub split: Option<String>,
    /// hub: the configuration of the data set. Without it the default one, or the only one that there is.
    #[serde(default)]
    pub config: Option<String>,
    /// http: what to fetch, in this order.
    #[serde(default)]
    pub urls: Vec<String>,
    /// http: the SHA-256 of each URL, as a list in the order of `urls` or as a map from URL to digest. A URL
    /// without one is pinned in the lock file by what it holds when it is first fetched.
    #[serde(default)]
    pub sha256: Digests,
    /// file: paths, folders or globs, relative to the pipeline file.
    #[serde(default)]
    pub paths: Vec<InputFiles>,
    /// How the files are written. `auto` goes by their names, and by their first bytes where these say nothing.
    #[serde(default)]
    pub format: Format,
    /// The column that holds the text. Found where it is not named.
    #[serde(default)]
    pub text: Option<String>,
    /// The column that holds conversations. Found where it is not named.
    #[serde(default)]
    pub messages: Option<String>,
    /// What a document is in plain text. A paragraph ends at an empty line.
    #[serde(default)]
    pub documents: Documents,
    /// The name of the source in the corpus, for reports and mixing. Without it the repository's name, the name of
    /// the file without its number, or `synthetic`.
    #[serde(default)]
    pub name: Option<String>,
    /// The most documents to take. Of parquet files on the hub only the parts that hold them are read.
    #[serde(default)]
    pub limit: Option<Count>,
    /// synthetic: another seed gives other documents.
    #[serde(default)]
    pub seed: u64,
    /// synthetic: how many documents; 1000 where neither this nor `size` is given.
    #[serde(default)]
    pub count: Option<Count>,
    /// synthetic: about how many bytes of text, instead of `count`.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// synthetic: the languages, in equal shares.
    #[serde(default = "both_languages")]
    pub languages: Vec<Language>,
    /// synthetic: the share of documents that are dialogues.
    #[serde(default = "quarter")]
    #[schemars(range(min = 0, max = 1))]
    pub dialogues: f64,
}

/// Where data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The Hugging Face Hub.
    Hub,
    /// URLs.
    Http,
    /// Files beside the pipeline.
    #[default]
    File,
    /// A seeded generator of stories and dialogues, for trials without a network.
    Synthetic,
}

/// What to make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Texts and chats, as output `corpus`.
    #[default]
    Corpus,
    /// The bytes as they are, as output `files`.
    Files,
}

/// The sorts of repositories that hold files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepoKind {
    /// A data set.
    #[default]
    Dataset,
    /// A model.
    Model,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// By name or first bytes.
    #[default]
    Auto,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Jsonl,
    /// JSON values one after the other, or in an array.
    Json,
    /// Values parted by commas, below a line of names.
    Csv,
    /// Values parted by tabs, below a line of names.
    Tsv,
    /// Plain text.
    Text,
}

/// What a document is in plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// The whole file.
    #[default]
    File,
    /// Lines up to an empty one.
    Paragraph,
    /// Each line that is not empty.
    Line,
}

/// A language of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Japanese.
    Ja,
    /// English.
    En,
}

/// SHA-256 digests of URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Digests {
    written: Value,
}

impl From<Value> for Digests {
    fn from(written: Value) -> Self {
        Self { written }
    }
}

impl From<Digests> for Value {
    fn from(digests: Digests) -> Self {
        match digests.written {
            Value::Null => json!([]),
            written => written,
        }
    }
}

impl JsonSchema for Digests {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Digests".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let digest = json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" });
        let value = json!({ "anyOf": [{ "type": "array", "items": digest },
                                      { "type": "object", "additionalProperties": digest }] });
        Schema::try_from(value).unwrap_or_default()
    }
}

impl Digests {
    /// The digest of one of `urls`.
    pub(crate) fn of(&self, urls: &[String], url: &str) -> Option<String> {
        let found = match &self.written {
            Value::Array(list) => list.get(urls.iter().position(|one| one == url)?),
            Value::Object(map) => map.get(url),
            _ => None,
        };
        found.and_then(Value::as_str).map(str::to_ascii_lowercase)
    }

    fn check(&self, urls: &[String]) -> Result<(), FieldError> {
        match &self.written {
            Value::Array(list) if !list.is_empty() && list.len() != urls.len() => {
                let message = format!("{} digests for {} URLs", list.len(), urls.len());
                Err(FieldError::new("/sha256", message)
                    .help("write one for each, or a map from URL to digest"))
            }
            Value::Object(map) => match map.keys().find(|url| !urls.contains(url)) {
                Some(url) => Err(FieldError::new("/sha256", format!("`{url}` is none of `urls`"))),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn main_branch() -> String {
    "main".into()
}

fn both_languages() -> Vec<Language> {
    vec![Language::Ja, Language::En]
}

fn quarter() -> f64 {
    0.25
}

/// Documents of the generator where neither `count` nor `size` is given.
pub(crate) const DEFAULT_COUNT: u64 = 1000;

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

impl RepoKind {
    /// As it stands in the hub's addresses.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
        }
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
