//! Which files of a repository are meant: by globs, or by configuration and split.
use super::card::Config;
use super::{Card, HubFile};
use crate::names::ending;
use globset::{GlobBuilder, GlobMatcher};
use muse_stage::StageError;

/// Splits by the words that name them in paths.
const SPLITS: &[(&str, &[&str])] = &[
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// What a stage asks for.
pub(crate) struct Choice<'a> {
    pub(crate) repo: &'a str,
    pub(crate) files: &'a [String],
    pub(crate) config: Option<&'a str>,
    pub(crate) split: Option<&'a str>,
    /// Files that hold documents only; else whatever there is.
    pub(crate) documents: bool,
}

/// The files that are meant, in the order of their paths; one at least.
pub(crate) fn select<'a>(
    files: &'a [HubFile],
    card: &Card,
    choice: &Choice<'_>,
) -> Result<Vec<&'a HubFile>, StageError> {
    let chosen = if !choice.files.is_empty() {
        by_globs(files.iter().collect(), choice.files)
    } else if !choice.documents && choice.config.is_none() && choice.split.is_none() {
        files.iter().collect()
    } else {
        by_parts(files, card, choice)?
    };
    if chosen.is_empty() {
        return Err(nothing(files, choice));
    }
    Ok(chosen)
}

fn by_parts<'a>(
    files: &'a [HubFile],
    card: &Card,
    choice: &Choice<'_>,
) -> Result<Vec<&'a HubFile>, StageError> {
    let configs = card.configs();
    let data: Vec<&HubFile> = files.iter().filter(|file| holds_documents(&file.path)).collect();
    if configs.is_empty() {
        let within = |file: &&HubFile| match choice.config {
            Some(config) => file.path.split('/').any(|part| part == config),
            None => true,
        };
        return by_names(one_format(data.into_iter().filter(within).collect()), choice);
    }
    let config = the_config(&configs, choice)?;
    let names: Vec<&str> = config.splits.iter().map(|(split, _)| split.as_str()).collect();
    let split = the_split(&names, choice)?;
    let globs: Vec<String> =
        config.splits.iter().filter(|(name, _)| name == split).flat_map(|(_, globs)| globs.clone()).collect();
    Ok(by_card(files, &globs))
}

fn the_config<'c>(configs: &'c [Config], choice: &Choice<'_>) -> Result<&'c Config, StageError> {
    let names = || configs.iter().map(|config| format!("`{}`", config.name)).collect::<Vec<_>>().join(", ");
    match (choice.config, configs) {
        (Some(name), _) => configs.iter().find(|config| config.name == name).ok_or_else(|| {
            StageError::new(format!("`{}` has no configuration `{name}`", choice.repo))
                .help(format!("there are: {}", names()))
        }),
        (None, [only]) => Ok(only),
        (None, _) => configs.iter().find(|config| config.default).ok_or_else(|| {
            StageError::new(format!("`{}` has several configurations and no default one", choice.repo))
                .help(format!("write `config:` with one of: {}", names()))
        }),
    }
}

fn the_split<'s>(names: &[&'s str], choice: &Choice<'_>) -> Result<&'s str, StageError> {
    let list = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found = match choice.split {
        Some(split) => names.iter().find(|name| **name == split),
        None if names.len() == 1 => names.first(),
        None => names.iter().find(|name| **name == "train"),
    };
    found.copied().ok_or_else(|| {
        let what = match choice.split {
            Some(split) => format!("`{}` has no split `{split}`", choice.repo),
            None => format!("`{}` has several splits and none is `train`", choice.repo),
        };
        StageError::new(what).help(format!("write `split:` with one of: {}", list()))
    })
}

/// Splits by the names of files and folders, as data sets without configurations have them.
fn by_names<'a>(data: Vec<&'a HubFile>, choice: &Choice<'_>) -> Result<Vec<&'a HubFile>, StageError> {
    let mut known: Vec<&str> = data.iter().filter_map(|file| split_of(&file.path)).collect();
    known.sort_unstable();
    known.dedup();
    if known.is_empty() && matches!(choice.split, None | Some("train")) {
        return Ok(data);
    }
    let asked = choice.split.map(|split| {
        let known = SPLITS.iter().find(|(_, words)| words.contains(&split));
        known.map_or(split, |(name, _)| name)
    });
    let split = the_split(&known, &Choice { split: asked, ..*choice })?;
    Ok(data.into_iter().filter(|file| split_of(&file.path) == Some(split)).collect())
}

/// The split that a path names: the word stands alone, between what are no letters.
pub(super) fn split_of(path: &str) -> Option<&'static str> {
    let lower = path.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    // The last one counts: `train/test.csv` is a test.
    words
        .iter()
        .rev()
        .find_map(|word| SPLITS.iter().find(|(_, names)| names.contains(word)).map(|(name, _)| *name))
}

/// The splits that the names of files tell of.
pub(crate) fn known_splits(files: &[HubFile]) -> Vec<&'static str> {
    let data = files.iter().filter(|file| holds_documents(&file.path));
    let mut known: Vec<&str> = data.filter_map(|file| split_of(&file.path)).collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// A repository often holds the same twice: the format with the most bytes is the data.
fn one_format(data: Vec<&HubFile>) -> Vec<&HubFile> {
    let mut formats: Vec<(u64, &str)> = Vec::new();
    for file in &data {
        let Some(format) = ending(&file.path) else { continue };
        match formats.iter_mut().find(|(_, known)| *known == format) {
            Some((bytes, _)) => *bytes = bytes.saturating_add(file.size),
            None => formats.push((file.size, format)),
        }
    }
    let Some((_, most)) = formats.into_iter().max() else { return Vec::new() };
    data.into_iter().filter(|file| ending(&file.path) == Some(most)).collect()
}

/// Whether a file can hold documents: what a repository says of itself does not.
pub(crate) fn holds_documents(path: &str) -> bool {
    let file = crate::names::file_name(path).to_ascii_lowercase();
    let about = [
        "dataset_infos.json",
        "config.json",
        "dataset_dict.json",
        "state.json",
        "requirements.txt",
        "license.txt",
    ];
    !path.split('/').any(|part| part.starts_with('.'))
        && !about.contains(&file.as_str())
        && ending(path).is_some_and(|ending| ending != "md")
}

/// The files of documents that the globs of a card mean.
pub(crate) fn by_card<'a>(files: &'a [HubFile], globs: &[String]) -> Vec<&'a HubFile> {
    by_globs(files.iter().filter(|file| holds_documents(&file.path)).collect(), globs)
}

fn by_globs<'a>(files: Vec<&'a HubFile>, globs: &[String]) -> Vec<&'a HubFile> {
    let matchers: Vec<GlobMatcher> = globs
        .iter()
        .filter_map(|glob| GlobBuilder::new(glob).literal_separator(true).build().ok())
        .map(|glob| glob.compile_matcher())
        .collect();
    files.into_iter().filter(|file| matchers.iter().any(|glob| glob.is_match(&file.path))).collect()
}

fn nothing(files: &[HubFile], choice: &Choice<'_>) -> StageError {
    let what = match choice.files {
        [] => "has no file of documents that fits".to_owned(),
        globs => format!("has no file that matches `{}`", globs.join("`, `")),
    };
    let some: Vec<&str> = files.iter().take(10).map(|file| file.path.as_str()).collect();
    let more = if files.len() > some.len() {
        format!(" and {} more", files.len() - some.len())
    } else {
        String::new()
    };
    StageError::new(format!("`{}` {what}", choice.repo))
        .help(format!("it has: {}{more}; a `*` does not go into folders, `**` does", some.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(paths: &[&str]) -> Vec<HubFile> {
        let file =
            |path: &&str| HubFile { path: (*path).into(), size: 10, oid: String::new(), linked: false };
        paths.iter().map(file).collect()
    }

    fn chosen(
        paths: &[&str],
        card: serde_json::Value,
        config: Option<&str>,
        split: Option<&str>,
    ) -> Result<String, String> {
        let files = files(paths);
        let choice = Choice { repo: "o/r", files: &[], config, split, documents: true };
        match select(&files, &Card::new(card), &choice) {
            Ok(found) => Ok(found.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(" ")),
            Err(StageError::Failed { message, help }) => {
                Err(format!("{message}; {}", help.unwrap_or_default()))
            }
            Err(other) => Err(other.to_string()),
        }
    }

    #[test]
    fn splits_are_found_by_name() {
        let paths = [
            "README.md",
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/test-00000-of-00001.parquet",
            "x/.hidden.parquet",
        ];
        let none = || json!(null);
        assert_eq!(chosen(&paths, none(), None, None).unwrap(), format!("{} {}", paths[1], paths[2]));
        assert_eq!(chosen(&paths, none(), None, Some("test")).unwrap(), paths[3]);
        assert_eq!(
            chosen(&paths, none(), None, Some("dev")).unwrap_err(),
            "`o/r` has no split `validation`; write `split:` with one of: `test`, `train`"
        );
        assert_eq!(
            chosen(&["a.jsonl", "b.jsonl", "tiny.csv"], none(), None, None).unwrap(),
            "a.jsonl b.jsonl"
        );
        assert_eq!(split_of("constraint/data.txt"), None);
        assert_eq!(split_of("TinyStoriesV2-GPT4-valid.txt"), Some("validation"));
    }

    #[test]
    fn configurations_are_taken_from_the_card() {
        let card = || {
            json!({ "configs": [
                { "config_name": "ja", "data_files": [{ "split": "train", "path": "ja/*.parquet" }] },
                { "config_name": "en", "data_files": [{ "split": "train", "path": "en/**" }, { "split": "test", "path": "en/t.parquet" }] },
            ] })
        };
        let paths = ["en/a/b.parquet", "en/t.parquet", "ja/1.parquet", "ja/x/2.parquet"];
        assert_eq!(chosen(&paths, card(), Some("ja"), None).unwrap(), "ja/1.parquet");
        assert_eq!(chosen(&paths, card(), Some("en"), Some("test")).unwrap(), "en/t.parquet");
        assert_eq!(
            chosen(&paths, card(), None, None).unwrap_err(),
            "`o/r` has several configurations and no default one; write `config:` with one of: `ja`, `en`"
        );
        assert_eq!(
            chosen(&paths, card(), Some("fr"), None).unwrap_err(),
            "`o/r` has no configuration `fr`; there are: `ja`, `en`"
        );
    }

    #[test]
    fn nothing_is_an_error_that_says_what_there_is() {
        let files = files(&["a.bin", "b/c.bin"]);
        let globs = ["*.txt".to_owned()];
        let choice = Choice { repo: "o/r", files: &globs, config: None, split: None, documents: false };
        let Err(StageError::Failed { message, help }) = select(&files, &Card::default(), &choice) else {
            panic!()
        };
        assert_eq!(message, "`o/r` has no file that matches `*.txt`");
        assert_eq!(help.unwrap(), "it has: a.bin, b/c.bin; a `*` does not go into folders, `**` does");
    }
}
