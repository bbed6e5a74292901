//! What a rule takes, in words for messages.
use super::{Form, Range, RuleId, Shape, Unit};
use serde_json::Value;

/// More than this many words are not listed in a message.
const MOST_LISTED: usize = 12;

impl Shape {
    /// What a value may be: `a whole number`, `one of bpe, unigram`, `a text or a list of texts`.
    pub(crate) fn expected(&self, id: RuleId) -> String {
        self.expected_to(id, 0)
    }

    fn expected_to(&self, id: RuleId, depth: usize) -> String {
        match self.resolve(id).0 {
            Form::Any | Form::Skip => "any value".into(),
            Form::Never => "nothing that could be written".into(),
            Form::Same(_) | Form::Map(_) => "a mapping".into(),
            Form::Null => "nothing".into(),
            Form::Bool => "`true` or `false`".into(),
            Form::Integer { .. } => "a whole number".into(),
            Form::Number(_) => "a number".into(),
            Form::Text { .. } => "a text".into(),
            Form::Choice(values) => one_of(values),
            Form::List { item, .. } if depth < 3 => match self.resolve(*item).0 {
                Form::Text { .. } => "a list of texts".into(),
                Form::Integer { .. } => "a list of whole numbers".into(),
                Form::Number(_) => "a list of numbers".into(),
                Form::Files => "a list of paths".into(),
                _ => "a list".into(),
            },
            Form::List { .. } => "a list".into(),
            Form::OneOf(branches) => {
                let words: Vec<String> = branches
                    .iter()
                    .filter(|branch| !matches!(self.resolve(**branch).0, Form::Null) && depth < 3)
                    .map(|branch| self.expected_to(*branch, depth + 1))
                    .fold(Vec::new(), |mut words, word| {
                        if !words.contains(&word) {
                            words.push(word);
                        }
                        words
                    });
                words.join(" or ")
            }
            Form::Unit(Unit::Bytes) => "a size, such as `8GiB`".into(),
            Form::Unit(Unit::Count) => "a count, such as `2B`".into(),
            Form::Unit(Unit::Duration) => "a time, such as `1.5h`".into(),
            Form::Files => "a path, folder or glob".into(),
            Form::Config(_) => "the path of a file of values".into(),
        }
    }

    /// The words that may stand there, beside other things.
    pub(crate) fn choices(&self, id: RuleId) -> Vec<&str> {
        match self.resolve(id).0 {
            Form::Choice(values) => values.iter().filter_map(Value::as_str).collect(),
            Form::OneOf(branches) => branches.iter().flat_map(|branch| self.choices(*branch)).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a text may stand there.
    pub(crate) fn takes_text(&self, id: RuleId) -> bool {
        match self.resolve(id).0 {
            Form::Text { .. } | Form::Files | Form::Config(_) | Form::Unit(_) => true,
            Form::OneOf(branches) => branches.iter().any(|branch| self.takes_text(*branch)),
            Form::Choice(values) => values.iter().any(Value::is_string),
            _ => false,
        }
    }

    /// Whether nothing may stand there.
    pub(crate) fn takes_null(&self, id: RuleId) -> bool {
        match self.resolve(id).0 {
            Form::Null | Form::Any => true,
            Form::OneOf(branches) => branches.iter().any(|branch| self.takes_null(*branch)),
            Form::Choice(values) => values.contains(&Value::Null),
            _ => false,
        }
    }
}

impl Range {
    /// What a number outside of the range should be.
    pub(crate) fn broken_by(&self, value: f64) -> Option<String> {
        let words = |bound: Option<f64>, is: fn(&f64, &f64) -> bool, words: &str| {
            bound.filter(|bound| !is(&value, bound)).map(|bound| format!("{words} {bound}"))
        };
        words(self.least, f64::ge, "at least")
            .or_else(|| words(self.most, f64::le, "at most"))
            .or_else(|| words(self.above, f64::gt, "more than"))
            .or_else(|| words(self.below, f64::lt, "less than"))
    }
}

/// `one of a, b, c`.
pub(crate) fn one_of(values: &[Value]) -> String {
    let words: Vec<String> = values
        .iter()
        .take(MOST_LISTED)
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    let more = if values.len() > MOST_LISTED { ", …" } else { "" };
    match words.as_slice() {
        [one] if more.is_empty() => format!("`{one}`"),
        _ => format!("one of {}{more}", words.join(", ")),
    }
}
