//! A cause in words: the field, what it was, what it is.
use crate::format::{shorten, visible};
use muse_runtime::last_files::Changes;
use muse_runtime::plan::Cause;
use serde_json::Value;

/// One cause as a phrase.
pub(crate) fn phrase(cause: &Cause) -> String {
    let text = match cause {
        Cause::New => "new: it never ran here".to_owned(),
        Cause::Param { field, old: Value::String(old), new: Value::String(new) } => {
            let (old, new) = around_the_difference(old, new);
            format!("{field}: `{old}` -> `{new}`")
        }
        Cause::Param { field, old, new } => format!("{field}: {} -> {}", value(old), value(new)),
        Cause::Input { field, root } if root.is_empty() => format!("input {field} differs"),
        Cause::Input { field, root } => format!("input {field}, because of {root}"),
        Cause::Code { old, new } => format!("stage version {old} -> {new}"),
        Cause::File { field, files } => match named(files) {
            Some(names) => format!("input files {field}: {names}"),
            None => format!("input files {field} changed"),
        },
        Cause::Pin { field, old, new } => {
            format!("{field} is pinned to {} instead of {}", value(new), value(old))
        }
        Cause::Forced => "forced".to_owned(),
        Cause::Missing => "its result is gone from the store".to_owned(),
        Cause::Unpinned { field } => format!("{field} is not pinned in the lock file"),
    };
    visible(&text)
}

/// `a.txt changed; b.txt, c.txt and 7 more added`: a few names of each sort.
fn named(files: &Changes) -> Option<String> {
    const SHOWN: usize = 3;
    let sorts = [(&files.changed, "changed"), (&files.added, "added"), (&files.removed, "removed")];
    let phrase = |(names, what): (&Vec<String>, &str)| {
        let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{shown}{more} {what}"))
    };
    let mut phrases: Vec<String> = sorts.into_iter().filter_map(phrase).collect();
    if files.more > 0 {
        phrases.push(format!("and {} files besides", files.more));
    }
    (!phrases.is_empty()).then(|| phrases.join(", "))
}

/// All causes in one line; past the third they are counted.
pub(crate) fn line(causes: &[Cause]) -> String {
    let mut phrases: Vec<String> = causes.iter().take(3).map(phrase).collect();
    if causes.len() > 3 {
        phrases.push(format!("and {} more", causes.len() - 3));
    }
    phrases.join("; ")
}

/// A value, short enough for a line.
pub(crate) fn value(value: &Value) -> String {
    value_up_to(value, 40)
}

/// A value, shortened to so many columns.
pub(crate) fn value_up_to(value: &Value, columns: usize) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) if text.chars().count() <= columns && !text.contains('\n') => format!("`{text}`"),
        other => shorten(&other.to_string(), columns),
    }
}

/// Two texts, each as a piece that shows where they part: a long command differs in a word.
fn around_the_difference(old: &str, new: &str) -> (String, String) {
    const BEFORE: usize = 12;
    const SHOWN: usize = 40;
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let longest = old.chars().count().max(new.chars().count());
    let from = if longest <= SHOWN { 0 } else { same.saturating_sub(BEFORE) };
    let piece = |text: &str| {
        let shown: String = text.chars().skip(from).take(SHOWN).collect();
        let head = if from > 0 { "…" } else { "" };
        let tail = if text.chars().count() > from + SHOWN { "…" } else { "" };
        format!("{head}{}{tail}", shown.replace('\n', "\\n"))
    };
    (piece(old), piece(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_shown_where_they_part() {
        let text = |words: u32| {
            Value::from(format!("tr -s ' ' < in/text | sort | uniq -c | head -n {words} > out/words"))
        };
        let cause = Cause::Param { field: "run".into(), old: text(60), new: text(30) };
        assert_eq!(phrase(&cause), "run: `…c | head -n 60 > out/words` -> `…c | head -n 30 > out/words`");
    }

    #[test]
    fn old_and_new_stand_side_by_side() {
        let param = |old: Value, new: Value| Cause::Param { field: "vocab_size".into(), old, new };
        assert_eq!(phrase(&param(4096.into(), 8192.into())), "vocab_size: 4096 -> 8192");
        assert_eq!(phrase(&param(Value::Null, "a\x1bb".into())), "vocab_size: nothing -> `a\\u{1b}b`");
        let input = Cause::Input { field: "data".into(), root: "corpus".into() };
        assert_eq!(line(&[Cause::Forced, input]), "forced; input data, because of corpus");
        assert!(line(&vec![Cause::New; 5]).ends_with("; and 2 more"));
    }
}
