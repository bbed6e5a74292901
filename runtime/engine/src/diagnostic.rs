//! What is wrong with a file, and where: a message, a place, what to do. The command line draws it.
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A text that places point into: a file, or a `--set` of the command line.
#[derive(Debug)]
pub struct Source {
    /// The file as the user named it; `--set` for the command line.
    pub name: PathBuf,
    /// The folder that relative paths in this text start from.
    pub folder: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A piece of a source, in bytes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text.
    pub source: Arc<Source>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Place {
    /// Line and column of the first byte, from 1; a column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        let start = self.start.min(self.source.text.len());
        let before = &self.source.text.as_bytes()[..start];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        (line, column)
    }

    /// The file as the user named it.
    pub fn file(&self) -> &Path {
        &self.source.name
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What happened, naming the field and the value; a fragment without a full stop.
    pub message: String,
    /// Where, if anywhere.
    pub place: Option<Place>,
    /// A few words under the underlined text.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places that belong to it, each with a few words: where it was written first, the way of a cycle.
    pub also: Vec<(Place, String)>,
}

impl Diagnostic {
    /// Something wrong at a place.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: Some(place),
            label: String::new(),
            help: None,
            also: Vec::new(),
        }
    }

    /// Something wrong without a place.
    pub fn general(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, label: String::new(), help: None, also: Vec::new() }
    }

    /// With words under the underlined text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a hint.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn also(mut self, place: Place, words: impl Into<String>) -> Self {
        self.also.push((place, words.into()));
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`, for logs and tests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            let (line, column) = place.line_column();
            write!(f, "{}:{line}:{column}: ", place.file().display())?;
        }
        f.write_str(&self.message)
    }
}

/// The nearest of `names` to `word`, if it is near enough to be what was meant: a slip or two, or another ending.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = |name: &'a str| {
        let lower = name.to_lowercase();
        let distance = strsim::damerau_levenshtein(&word, &lower);
        let longer = word.chars().count().max(lower.chars().count());
        let same = word.chars().zip(lower.chars()).take_while(|(a, b)| a == b).count();
        // Names without a letter in common are as far apart as can be, however short.
        let near = distance < longer && (distance <= 1 + longer / 4 || (same >= 4 && distance <= longer / 2));
        near.then_some((distance, name))
    };
    names.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_proposed_and_what_is_not_is_not() {
        let names = ["corpus", "tokenizer", "vocab_size", "n", "ab"];
        let near = |word| nearest(word, names);
        assert_eq!(near("tokeniser"), Some("tokenizer"));
        assert_eq!(near("vocab_siz"), Some("vocab_size"));
        assert_eq!(near("Corpus"), Some("corpus"));
        assert_eq!(near("ac"), Some("ab"));
        assert_eq!(near("N"), Some("n"));
        assert_eq!(near("m"), None, "one letter is as good as another");
        assert_eq!(near("model"), None);
    }

    #[test]
    fn a_column_counts_characters() {
        let source = Source { name: "p".into(), folder: PathBuf::new(), text: "a\näöü x".into() };
        let place = Place { source: Arc::new(source), start: 9, end: 10 };
        assert_eq!(place.line_column(), (2, 5));
    }
}
