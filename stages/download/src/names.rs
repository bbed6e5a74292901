//! What the name of a file says: what it holds, how it is packed, and what its source is called.

/// Endings that say how a file is packed.
const PACKED: &[&str] = &["gz", "zst", "zstd"];
/// Endings that say what a file holds.
const KNOWN: &[&str] = &["parquet", "jsonl", "ndjson", "json", "csv", "tsv", "txt", "text", "md", "zip"];

/// The ending that says what a file holds, in lower case, where there is one: `jsonl` of `a.jsonl.gz`.
pub(crate) fn ending(name: &str) -> Option<&'static str> {
    let file = file_name(name).to_ascii_lowercase();
    let mut parts = file.rsplit('.');
    let last = parts.next().filter(|last| last.len() < file.len())?;
    let last = if PACKED.contains(&last) { parts.next().unwrap_or_default() } else { last };
    KNOWN.iter().copied().find(|known| *known == last)
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The name of the source that a file belongs to: without endings and without the number of a part, so that
/// `wiki-00003-of-00010.parquet` is of `wiki`.
pub(crate) fn stem(path: &str) -> String {
    let mut stem = file_name(path);
    while let Some((front, last)) = stem.rsplit_once('.') {
        let lower = last.to_ascii_lowercase();
        let known = PACKED.contains(&lower.as_str()) || KNOWN.contains(&lower.as_str());
        if front.is_empty() || !known {
            break;
        }
        stem = front;
    }
    let digits = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let cut = digits(stem);
    let mut short = stem;
    if cut < stem.len() {
        short = stem[..cut].trim_end_matches(['-', '_', '.']);
        if short.len() == cut && cut > 0 {
            // A number that is part of a word, as in `gpt2`.
            short = stem;
        } else if let Some(front) = short.strip_suffix("-of") {
            short = front[..digits(front)].trim_end_matches(['-', '_', '.']);
        }
    }
    if short.is_empty() { "file".into() } else { short.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_hold() {
        assert_eq!(ending("a/b.JSONL.gz"), Some("jsonl"));
        assert_eq!(ending("b.parquet"), Some("parquet"));
        assert_eq!(ending("b.gz"), None);
        assert_eq!(ending("LICENSE"), None);
        assert_eq!(ending("json"), None);
    }

    #[test]
    fn the_parts_of_one_set_are_one_source() {
        for (path, source) in [
            ("data/wiki-00003-of-00010.parquet", "wiki"),
            ("wiki_07.jsonl.zst", "wiki"),
            ("part.0001.csv", "part"),
            ("gpt2.txt", "gpt2"),
            ("00000.parquet", "file"),
            ("日本語.txt", "日本語"),
            ("v1.2/notes.v3", "notes.v3"),
            (".hidden", ".hidden"),
        ] {
            assert_eq!(stem(path), source, "{path}");
        }
    }
}
