//! The few regular expressions that schemas of stages use: anchored rows of characters and classes.

/// A compiled pattern: what may stand there, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    text: String,
}

#[derive(Clone, Debug)]
struct Part {
    /// Ranges of characters, ends included.
    ranges: Vec<(char, char)>,
    negated: bool,
    optional: bool,
    repeats: bool,
}

impl Pattern {
    /// Reads `^[A-Za-z][A-Za-z0-9_.-]*$` and the like. `None` where there is more to it than that: what is not
    /// understood here is the kind's own to check.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let body = text.strip_prefix('^')?.strip_suffix('$')?;
        let mut parts = Vec::new();
        let mut chars = body.chars().peekable();
        while let Some(c) = chars.next() {
            let mut part = Part { ranges: Vec::new(), negated: false, optional: false, repeats: false };
            match c {
                '[' => {
                    part.negated = chars.next_if_eq(&'^').is_some();
                    loop {
                        let from = match chars.next()? {
                            ']' => break,
                            '\\' => chars.next().filter(|c| !c.is_ascii_alphanumeric())?,
                            c => c,
                        };
                        let mut ahead = chars.clone();
                        let range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
                        if range {
                            chars.next();
                        }
                        let to = if range { chars.next().filter(|c| *c != '\\')? } else { from };
                        part.ranges.push((from, to));
                    }
                }
                '\\' => {
                    let c = chars.next().filter(|c| !c.is_ascii_alphanumeric())?;
                    part.ranges.push((c, c));
                }
                '.' => part.negated = true,
                '(' | ')' | '|' | '{' | '}' | '*' | '+' | '?' | '^' | '$' => return None,
                c => part.ranges.push((c, c)),
            }
            match chars.peek() {
                Some('*') => (part.optional, part.repeats) = (true, true),
                Some('+') => part.repeats = true,
                Some('?') => part.optional = true,
                _ => {}
            }
            if part.optional || part.repeats {
                chars.next();
            }
            parts.push(part);
        }
        Some(Self { parts, text: text.into() })
    }

    /// What to write, for people.
    pub(crate) fn words(&self) -> String {
        match self.text.as_str() {
            "^[A-Za-z0-9_-]+$" => "use A-Z a-z 0-9 _ -".into(),
            "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$" => "use A-Z a-z 0-9 _ - and dots that are not first".into(),
            "^[A-Za-z_][A-Za-z0-9_]*$" => "use A-Z a-z 0-9 _ and no digit first".into(),
            other => format!("it must match {other}"),
        }
    }

    /// Whether the whole text is as the pattern says. Walks all possibilities at once, so no text is slow.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut states = vec![false; self.parts.len() + 1];
        states[0] = true;
        self.skip_optional(&mut states);
        for c in text.chars() {
            let mut next = vec![false; states.len()];
            for (at, part) in self.parts.iter().enumerate() {
                if states[at] && part.takes(c) {
                    next[at + 1] = true;
                    next[at] |= part.repeats;
                }
            }
            self.skip_optional(&mut next);
            states = next;
        }
        states.last() == Some(&true)
    }

    fn skip_optional(&self, states: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            if states[at] && part.optional {
                states[at + 1] = true;
            }
        }
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_and_the_rest_does_not() {
        let pattern = Pattern::new("^[A-Za-z0-9_-][A-Za-z0-9_.-]*$").unwrap();
        for good in ["a", "-", "a.b", "model.safetensors", "0", "a-b_c..d"] {
            assert!(pattern.matches(good), "{good}");
        }
        for bad in ["", ".a", "a/b", "a b", "é", "a\n"] {
            assert!(!pattern.matches(bad), "{bad}");
        }
    }

    #[test]
    fn repeats_and_optionals() {
        let pattern = Pattern::new("^a+b?\\.[^x]$").unwrap();
        assert!(pattern.matches("aab.y") && pattern.matches("a.z"));
        assert!(!pattern.matches("b.y") && !pattern.matches("aab.x") && !pattern.matches("abb.y"));
        assert!(
            Pattern::new("^(a|b)$").is_none()
                && Pattern::new("a").is_none()
                && Pattern::new("^\\d$").is_none()
        );
    }

    #[test]
    fn one_loop_too_many_is_still_fast() {
        let pattern = Pattern::new("^a*a*a*a*a*a*a*a*b$").unwrap();
        assert!(!pattern.matches(&"a".repeat(10_000)));
    }
}
