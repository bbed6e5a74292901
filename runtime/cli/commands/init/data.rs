//! Where text comes from, as it was typed, and as it is found to be.
use super::sets::Set;
use clap::ValueEnum;
use std::fmt;
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
    pub(crate) class: Option<Class>,
    pub(crate) name: Option<String>,
    pub(crate) what: What,
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
pub(crate) const TAKEN: &[&str] = &[
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

/// Whether YAML takes a word for text: one that begins like a name, and stands for no value.
pub(crate) fn is_text(word: &str) -> bool {
    const VALUES: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !VALUES.contains(&word.to_ascii_lowercase().as_str())
}

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
        if let Some(name) = name.as_deref().filter(|name| !is_text(name)) {
            return Err(format!(
                "`{name}` is a value, and no name: begin it with a letter, as in `text_{name}`"
            ));
        }
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
            write!(f, "{}:", super::choices::word(class))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_value_and_no_stage_of_the_page() {
        for wrong in ["2024=a.txt", "No=a.txt", "code:-a=a.txt", "base=a.txt"] {
            assert!(Given::from_str(wrong).unwrap_err().contains('`'), "{wrong}");
        }
        for right in ["wiki_2=a.txt", "code:_x=a.txt", "./2024=a.txt", "2024.txt"] {
            assert_eq!(Given::from_str(right).unwrap().to_string(), right);
        }
        let words =
            ["a", "a-1", "_", "1", "1e3", "0x1f", ".5", "-1", "null", "True", "yes", "OFF", "y", "~", ""];
        let texts: Vec<&str> = words.into_iter().filter(|word| is_text(word)).collect();
        assert_eq!(texts, ["a", "a-1", "_"]);
    }
}
