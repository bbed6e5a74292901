//! What stands under `with:` of a `download` stage.
mod check;
mod kinds;

pub(crate) use check::is_commit;
pub use kinds::{Digests, Documents, Format, Language, Output, RepoKind, Source};

use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{Bytes, Count, InputFiles};
use serde::{Deserialize, Serialize};

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
    /// the file without its number, or `synthetic`; a single file, whose name is no part of the key, is called `file`.
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
