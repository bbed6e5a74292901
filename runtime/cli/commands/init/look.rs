//! Looks for sources of text: are they there, how large are they, and how are they named on the page?
use super::choices::Language;
use super::data::{Class, Given, Source, TAKEN, What, is_text};
use super::place::Place;
use super::sets::{self, Set};
use crate::failure::{CliError, CliResult};
use muse_runtime::document::paths;
use std::path::{Component, Path, PathBuf};

/// Endings of files that are packed.
const PACKED: &[&str] = &["gz", "zst", "zip", "parquet"];
/// Endings of files that have several documents in them.
const ROWS: &[&str] = &["jsonl", "json", "csv", "tsv"];

/// What sources are looked for from, and for whom.
pub(crate) struct Look<'a> {
    /// Where paths were typed, and where the page will stand.
    pub(crate) place: &'a Place,
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
        if Path::new(text).is_absolute() && !Path::new(text).starts_with(&self.place.root) {
            let message = format!("`{text}` is not in the project, and teammates have it elsewhere");
            return Err(CliError::usage(message)
                .hint(format!("make a link in the project and name that: `ln -s {text} data`")));
        }
        let current = &self.place.current;
        let found = paths::find(&format!("--{}", self.flag), current, text)?;
        source.what = What::Files(self.place.named(&current.join(text)));
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
    match found.as_str() {
        "" => "texts".into(),
        found if is_text(found) => found.into(),
        // A number, or a word that stands for a value.
        found => format!("texts_{found}"),
    }
}
