//! Where text comes from: what was typed, and what it is found to be.
use super::answers::Language;
use super::sets::{self, Set};
use crate::failure::{CliError, CliResult};
use clap::ValueEnum;
use muse_runtime::document::paths;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// What mixes go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Class {
    /// Japanese text.
    Japanese,
    /// Programs.
    Code,
    /// All other text.
    General,
}

/// A source of text as it was typed: `[CLASS:][NAME=]WHAT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    class: Option<Class>,
    name: Option<String>,
    what: What,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The generator of `download`.
    Synthetic,
    /// A path, a folder or a glob.
    Files(String),
    /// A data set of the hub, and a configuration of it.
    Hub(String, Option<String>),
}

/// A source of text, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    /// The name of its stage.
    pub(crate) name: String,
    /// What mixes take it for.
    pub(crate) class: Class,
    /// What it is. Paths start from the page.
    pub(crate) what: What,
    /// The data set, where it is one of those that are known.
    pub(crate) set: Option<&'static Set>,
    /// How much text there is, about; nothing where that is not known, or where there is no end.
    pub(crate) bytes: Option<u64>,
    /// All of it is one document.
    pub(crate) one_document: bool,
}

/// Names of stages that the page has beside its sources.
const TAKEN: &[&str] = &[
    "text",
    "tokenizer",
    "packed",
    "base",
    "talk",
    "packed_talk",
    "chat",
    "eval",
    "model",
    "arc_easy",
    "hellaswag",
];

/// Endings of files that are packed.
const PACKED: &[&str] = &["gz", "zst", "zip", "parquet"];
/// Endings of files that have several documents in them.
const ROWS: &[&str] = &["jsonl", "json", "csv", "tsv"];

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let class =
            text.split_once(':').and_then(|(word, rest)| Some((Class::from_str(word, false).ok()?, rest)));
        let (class, rest) = class.map_or((None, text), |(class, rest)| (Some(class), rest));
        let good = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let named = rest.split_once('=').filter(|(name, _)| good(name));
        let (name, what) = named.map_or((None, rest), |(name, what)| (Some(name.to_owned()), what));
        if let Some(name) = name.as_deref().filter(|name| TAKEN.contains(name)) {
            return Err(format!("the page has a stage `{name}` of its own: give the text another name"));
        }
        let what = match what.strip_prefix("hub:") {
            Some(repo) => {
                let (repo, config) =
                    repo.split_once(':').map_or((repo, None), |(repo, config)| (repo, Some(config)));
                if repo.split('/').count() != 2 || repo.split('/').any(str::is_empty) || config == Some("") {
                    return Err("expected `hub:OWNER/NAME` or `hub:OWNER/NAME:CONFIG`".into());
                }
                What::Hub(repo.to_owned(), config.map(str::to_owned))
            }
            None if what == "synthetic" => What::Synthetic,
            None if what.is_empty() => return Err("expected a path, `hub:OWNER/NAME` or `synthetic`".into()),
            None => What::Files(what.to_owned()),
        };
        Ok(Self { class, name, what })
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(class) = self.class {
            write!(f, "{}:", super::answers::word(class))?;
        }
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        write!(f, "{}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synthetic => f.write_str("synthetic"),
            Self::Files(path) => f.write_str(path),
            Self::Hub(repo, None) => write!(f, "hub:{repo}"),
            Self::Hub(repo, Some(config)) => write!(f, "hub:{repo}:{config}"),
        }
    }
}

impl Given {
    /// One of the sets that are known.
    pub(crate) fn known(set: &'static Set) -> Self {
        let what = What::Hub(set.repo.to_owned(), set.config.map(str::to_owned));
        Self { class: None, name: None, what }
    }

    /// The generator.
    pub(crate) fn synthetic() -> Self {
        Self { class: None, name: None, what: What::Synthetic }
    }

    /// It comes from the hub.
    pub(crate) fn of_hub(&self) -> bool {
        matches!(self.what, What::Hub(..))
    }
}

/// What sources are looked for from, and for whom.
pub(crate) struct Look<'a> {
    /// The folder that paths were typed in.
    pub(crate) current: &'a Path,
    /// The project.
    pub(crate) root: &'a Path,
    /// The folder of the page, which paths in it start from.
    pub(crate) page: &'a Path,
    /// The flag that named them.
    pub(crate) flag: &'a str,
    /// The languages of the page.
    pub(crate) languages: &'a [Language],
}

impl Look<'_> {
    /// What sources are, each with a name of its own.
    pub(crate) fn sources(&self, given: &[Given], taken: &mut Vec<String>) -> CliResult<Vec<Source>> {
        given.iter().map(|given| self.source(given, taken)).collect()
    }

    fn source(&self, given: &Given, taken: &mut Vec<String>) -> CliResult<Source> {
        let set = match &given.what {
            What::Hub(repo, config) => sets::find(repo, config.as_deref()),
            _ => None,
        };
        let japanese = self.languages.first() == Some(&Language::Ja);
        let usual = if japanese { Class::Japanese } else { Class::General };
        let mut source = Source {
            name: name(given, set, self.flag),
            class: given.class.or(set.map(|set| set.class)).unwrap_or(usual),
            what: given.what.clone(),
            set,
            bytes: set.map(Set::bytes),
            one_document: false,
        };
        if given.name.is_some() && taken.contains(&source.name) {
            return Err(CliError::usage(format!("two texts are called `{}`", source.name))
                .hint("give one of them another name: `--data NAME=WHAT`"));
        }
        if let What::Files(text) = &given.what {
            self.look(text, &mut source)?;
        }
        source.name = (1..)
            .map(|number| if number == 1 { source.name.clone() } else { format!("{}_{number}", source.name) })
            .find(|name| !taken.contains(name) && !TAKEN.contains(&name.as_str()))
            .unwrap_or_default();
        taken.push(source.name.clone());
        Ok(source)
    }

    /// Looks for files, and says how they are named on the page.
    fn look(&self, text: &str, source: &mut Source) -> CliResult<()> {
        // What is typed may be absolute; what stands on a page may not, for teammates have other folders.
        if Path::new(text).is_absolute() && !Path::new(text).starts_with(self.root) {
            let message = format!("`{text}` is not in the project, and teammates have it elsewhere");
            return Err(CliError::usage(message)
                .hint(format!("make a link in the project and name that: `ln -s {text} data`")));
        }
        let found = paths::find(&format!("--{}", self.flag), self.current, text)?;
        let path = between(self.page, &self.current.join(text)).unwrap_or_else(|| PathBuf::from(text));
        source.what = What::Files(path.to_string_lossy().into_owned());
        let ends = |path: &Path, with: &[&str]| {
            path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| with.contains(&ending))
        };
        let size = |path: &PathBuf| {
            let size = path.metadata().map_or(0, |about| about.len());
            // Text takes about three times as much when it is unpacked.
            if ends(path, PACKED) { size.saturating_mul(3) } else { size }
        };
        source.bytes = Some(found.files.iter().map(|(_, path)| size(path)).sum());
        let plain = |path: &Path| !ends(path, PACKED) && !ends(path, ROWS);
        source.one_document = matches!(found.files.as_slice(), [(_, path)] if plain(path));
        Ok(())
    }
}

/// What the stage of a source is called.
fn name(given: &Given, set: Option<&Set>, flag: &str) -> String {
    let of_text = |text: &str| -> String {
        let plain =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
        let name: String = text.chars().map(plain).collect();
        name.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
    };
    let found = match (&given.name, set, &given.what) {
        (Some(name), ..) => return name.clone(),
        (_, Some(set), _) => set.name.to_owned(),
        (_, _, What::Synthetic) if flag == "chats" => "dialogues".to_owned(),
        (_, _, What::Synthetic) => "stories".to_owned(),
        (_, _, What::Hub(repo, _)) => of_text(repo.rsplit('/').next().unwrap_or(repo)),
        (_, _, What::Files(path)) => {
            let part = Path::new(path).components().rev().find_map(|part| match part {
                Component::Normal(name) => name.to_str().filter(|name| !name.contains(['*', '?', '{'])),
                _ => None,
            });
            of_text(part.and_then(|part| part.split('.').next()).unwrap_or_default())
        }
    };
    let found: String = found.chars().take(40).collect();
    if found.is_empty() { "texts".into() } else { found }
}

/// How one gets from a folder to a path, without looking at the disk.
pub(crate) fn between(from: &Path, to: &Path) -> Option<PathBuf> {
    let plain = |path: &Path| {
        let mut parts: Vec<Component<'_>> = Vec::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir if matches!(parts.last(), Some(Component::Normal(_))) => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        parts.into_iter().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>()
    };
    if from.is_absolute() != to.is_absolute() {
        return None;
    }
    let (from, to) = (plain(from), plain(to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut path = PathBuf::new();
    from.iter().skip(common).for_each(|_| path.push(".."));
    to.iter().skip(common).for_each(|part| path.push(part));
    Some(path)
}
