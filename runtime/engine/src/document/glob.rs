//! Globs: `*`, `?`, `**`, `{a,b}`, and nothing else. A name that begins with a dot is found only by a dot.

/// More alternatives than this are a slip.
const MOST_ALTERNATIVES: usize = 1000;

/// A pattern, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    /// The folder before the first special character, as written; empty where there is none.
    pub(crate) fixed: String,
    /// What may come below it: one row of parts for each alternative of the braces.
    pub(crate) rows: Vec<Vec<Part>>,
}

/// One name of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Just this name.
    Name(String),
    /// A name with `*` and `?` in it.
    Wild(String),
    /// `**`: any number of folders.
    Deep,
}

/// Why a text is no glob that could be looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GlobError {
    /// `..` behind a special character: names would lead out of their folder.
    Climbs,
    /// Too many braces.
    TooMany,
}

impl Glob {
    /// Takes a text apart. `None` where it is a plain path.
    pub(crate) fn new(text: &str) -> Option<Result<Self, GlobError>> {
        let special = |part: &str| part.contains(['*', '?']);
        let brace = first_braces(text).map(|(open, _)| open);
        let star = text.find(['*', '?']);
        let first = match (brace, star) {
            (Some(brace), Some(star)) => brace.min(star),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return None,
        };
        let cut = text[..first].rfind('/').map_or(0, |slash| slash + 1);
        let (fixed, rest) = text.split_at(cut);
        let mut rows = Vec::new();
        let mut texts = vec![rest.to_owned()];
        while let Some(text) = texts.pop() {
            if let Some((open, close)) = first_braces(&text) {
                for choice in choices(&text[open + 1..close]) {
                    texts.push(format!("{}{choice}{}", &text[..open], &text[close + 1..]));
                }
                if texts.len() + rows.len() > MOST_ALTERNATIVES {
                    return Some(Err(GlobError::TooMany));
                }
                continue;
            }
            let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
            let row: Vec<Part> = parts
                .map(|part| match part {
                    "**" => Part::Deep,
                    part if special(part) => Part::Wild(part.to_owned()),
                    part => Part::Name(part.to_owned()),
                })
                .collect();
            if row.contains(&Part::Name("..".into())) {
                return Some(Err(GlobError::Climbs));
            }
            rows.push(row);
        }
        Some(Ok(Self { fixed: fixed.to_owned(), rows }))
    }
}

/// The first pair of braces that has a comma between them.
fn first_braces(text: &str) -> Option<(usize, usize)> {
    let mut open = Vec::new();
    let mut best: Option<(usize, usize)> = None;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open.push((at, false)),
            ',' => {
                if let Some((_, comma)) = open.last_mut() {
                    *comma = true;
                }
            }
            '}' => {
                if let Some((from, true)) = open.pop() {
                    best = Some(best.filter(|(first, _)| *first < from).unwrap_or((from, at)));
                }
            }
            _ => {}
        }
    }
    best
}

/// What the commas of one pair of braces part, whatever stands in braces inside.
fn choices(text: &str) -> Vec<&str> {
    let (mut choices, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                choices.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    choices.push(&text[from..]);
    choices
}

impl Part {
    /// Whether a name is as this part says.
    pub(crate) fn takes(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Deep => !name.starts_with('.'),
            Self::Wild(pattern) => {
                (!name.starts_with('.') || pattern.starts_with('.')) && wild(pattern, name)
            }
        }
    }
}

/// `*` is any row of characters, `?` is one. Goes back to the last `*` only, so no name is slow.
fn wild(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = pattern.clone();
        match ahead.next() {
            Some('*') => {
                pattern = ahead;
                retry = Some((pattern.clone(), name.clone()));
                continue;
            }
            Some(c) => {
                let mut rest = name.clone();
                if rest.next().is_some_and(|own| c == '?' || own == c) {
                    (pattern, name) = (ahead, rest);
                    continue;
                }
            }
            None if name.as_str().is_empty() => return true,
            None => {}
        }
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (pattern, name) = (after.clone(), from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::new(text).unwrap().unwrap()
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, good, bad) in [
            ("*.txt", "a.txt", "a.txt.gz"),
            ("a*b*c", "axxbyybzc", "axxbyyb"),
            ("?", "é", "ab"),
            ("*", "x", ".x"),
            (".*", ".x", "x"),
            ("[a]", "[a]", "a"),
            ("a?c", "abc", "ac"),
        ] {
            let part = if pattern.contains(['*', '?']) {
                Part::Wild(pattern.into())
            } else {
                Part::Name(pattern.into())
            };
            assert!(part.takes(good), "{pattern} {good}");
            assert!(!part.takes(bad), "{pattern} {bad}");
        }
    }

    #[test]
    fn the_fixed_part_ends_before_the_first_special_name() {
        assert_eq!(glob("../data/*.txt").fixed, "../data/");
        assert_eq!(glob("data/{a,b/c}.txt").fixed, "data/");
        assert_eq!(glob("data/x{a,b}/y/*").fixed, "data/");
        assert_eq!(glob("*").fixed, "");
        assert!(Glob::new("data/[a].txt").is_none() && Glob::new("data/{a}.txt").is_none());
        assert!(Glob::new("data/}{,").is_none());
    }

    #[test]
    fn braces_are_alternatives_nested_too() {
        let mut names: Vec<String> = glob("{a,b{1,2}}.{x,y}")
            .rows
            .iter()
            .map(|row| match row.as_slice() {
                [Part::Name(name)] => name.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        names.sort();
        assert_eq!(names, ["a.x", "a.y", "b1.x", "b1.y", "b2.x", "b2.y"]);
        assert_eq!(glob("{a}{,b}").rows.len(), 2);
    }

    #[test]
    fn climbing_and_too_many_are_refused() {
        assert_eq!(Glob::new("*/../x"), Some(Err(GlobError::Climbs)));
        assert_eq!(Glob::new("{..,a}/x"), Some(Err(GlobError::Climbs)));
        assert_eq!(Glob::new(&"{a,b}".repeat(20)), Some(Err(GlobError::TooMany)));
    }
}
