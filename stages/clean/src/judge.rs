//! The rules that look at one document alone, in the order in which they are applied.
use crate::fate::Rule;
use crate::language::{Languages, name, tell};
use crate::params::{Japanese, Params, Quality};
use crate::quality::{Lines, lines, repeated, signs};
use muse_artifacts::corpus::{BodyRef, DocumentRef};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Judges documents.
pub(crate) struct Judge<'a> {
    min_chars: u64,
    max_chars: u64,
    languages: &'a Languages,
    japanese: &'a Japanese,
    quality: &'a Quality,
}

/// Why a document goes.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) rule: Rule,
    /// What was measured.
    pub(crate) value: Value,
}

/// What was said: the text, or all turns of a chat.
pub(crate) fn said<'a>(document: &DocumentRef<'a>) -> Cow<'a, str> {
    match &document.body {
        BodyRef::Text(text) => Cow::Borrowed(text),
        BodyRef::Chat(messages) => {
            let turns: Vec<&str> = messages.iter().map(|message| message.content).collect();
            Cow::Owned(turns.join("\n"))
        }
    }
}

impl<'a> Judge<'a> {
    pub(crate) fn new(params: &'a Params) -> Self {
        Self {
            min_chars: params.min_chars.0,
            max_chars: params.max_chars.map_or(u64::MAX, |most| most.0),
            languages: &params.language,
            japanese: &params.japanese,
            quality: &params.quality,
        }
    }

    /// The first rule that drops a document that says this.
    pub(crate) fn failed(&self, text: &str) -> Option<Failed> {
        let characters = text.trim().chars().count() as u64;
        let failed = |rule, value| Some(Failed { rule, value });
        if characters < self.min_chars {
            return failed(Rule::MinChars, json!(characters));
        }
        if characters > self.max_chars {
            return failed(Rule::MaxChars, json!(characters));
        }
        if !self.languages.0.is_empty() {
            let told = tell(text, self.japanese);
            if !told.is_some_and(|told| self.languages.0.contains(&told)) {
                return failed(Rule::Language, json!(name(told)));
            }
        }
        self.quality(text)
    }

    fn quality(&self, text: &str) -> Option<Failed> {
        let above = |limit: Option<f64>, value: f64| limit.is_some_and(|limit| value > limit);
        let below = |limit: Option<f64>, value: f64| limit.is_some_and(|limit| value < limit);
        let rules = self.quality;
        let mut broken = Vec::new();
        if rules.max_symbols.or(rules.max_digits).is_some() {
            let (symbols, digits) = signs(text);
            broken.push((above(rules.max_symbols, symbols), Rule::MaxSymbols, symbols));
            broken.push((above(rules.max_digits, digits), Rule::MaxDigits, digits));
        }
        let by_lines = [
            rules.min_mean_line,
            rules.max_mean_line,
            rules.max_repeated_lines,
            rules.max_bullet_lines,
            rules.max_ellipsis_lines,
            rules.min_ended_lines,
        ];
        if by_lines.iter().any(Option::is_some) {
            let Lines { mean, repeated, bullets, ellipses, ended } = lines(text);
            broken.extend([
                (below(rules.min_mean_line, mean), Rule::MinMeanLine, mean),
                (above(rules.max_mean_line, mean), Rule::MaxMeanLine, mean),
                (above(rules.max_repeated_lines, repeated), Rule::MaxRepeatedLines, repeated),
                (above(rules.max_bullet_lines, bullets), Rule::MaxBulletLines, bullets),
                (above(rules.max_ellipsis_lines, ellipses), Rule::MaxEllipsisLines, ellipses),
                (below(rules.min_ended_lines, ended), Rule::MinEndedLines, ended),
            ]);
        }
        if let Some((_, rule, value)) = broken.into_iter().find(|(broken, ..)| *broken) {
            return Some(Failed { rule, value: rounded(value) });
        }
        if let Some(limit) = rules.max_repeated_ngrams {
            let value = repeated(text);
            if value > limit {
                return Some(Failed { rule: Rule::MaxRepeatedNgrams, value: rounded(value) });
            }
        }
        let held = rules.forbidden.iter().find(|forbidden| text.contains(forbidden.as_str()));
        held.map(|forbidden| Failed { rule: Rule::Forbidden, value: json!(forbidden) })
    }
}

/// To four digits behind the point, for people.
pub(crate) fn rounded(value: f64) -> Value {
    json!((value * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::{Document, Message};

    fn first(with: Value, text: &str) -> Option<(Rule, Value)> {
        let params: Params = serde_json::from_value(with).unwrap();
        Judge::new(&params).failed(text).map(|failed| (failed.rule, failed.value))
    }

    #[test]
    fn the_first_rule_that_is_broken_is_named_with_what_was_measured() {
        let cases = [
            (json!({}), " \n\u{3000}", Rule::MinChars, json!(0)),
            (json!({ "min_chars": 4 }), " 日本語 ", Rule::MinChars, json!(3)),
            (json!({ "max_chars": 2 }), "日本語", Rule::MaxChars, json!(3)),
            (json!({ "language": "ja" }), "OK, thanks", Rule::Language, json!("en")),
            (json!({ "language": ["en", "ko"] }), "ありがとう", Rule::Language, json!("ja")),
            (json!({ "quality": { "max_symbols": 0.4 } }), "★★☆あ", Rule::MaxSymbols, json!(0.75)),
            (json!({ "quality": { "max_digits": 0.4 } }), "123あ", Rule::MaxDigits, json!(0.75)),
            (json!({ "quality": { "min_mean_line": 3 } }), "春\n夏", Rule::MinMeanLine, json!(1.0)),
            (json!({ "quality": { "max_mean_line": 3 } }), "春夏秋冬", Rule::MaxMeanLine, json!(4.0)),
            (
                json!({ "quality": { "max_repeated_lines": 0.2 } }),
                "春\n夏\n春",
                Rule::MaxRepeatedLines,
                json!(0.3333),
            ),
            (
                json!({ "quality": { "max_bullet_lines": 0.9 } }),
                "・春\n・夏",
                Rule::MaxBulletLines,
                json!(1.0),
            ),
            (
                json!({ "quality": { "max_ellipsis_lines": 0.3 } }),
                "続く…",
                Rule::MaxEllipsisLines,
                json!(1.0),
            ),
            (
                json!({ "quality": { "min_ended_lines": 0.6 } }),
                "続く\n終わり。",
                Rule::MinEndedLines,
                json!(0.5),
            ),
            (
                json!({ "quality": { "forbidden": ["x", "lorem ipsum"] } }),
                "a lorem ipsum",
                Rule::Forbidden,
                json!("lorem ipsum"),
            ),
        ];
        for (with, text, rule, value) in cases {
            assert_eq!(first(with.clone(), text), Some((rule, value)), "{with}");
        }
        let again = json!({ "quality": { "max_repeated_ngrams": 0.2 } });
        assert_eq!(
            first(again, &"あいうえおかきくけこ".repeat(2)),
            Some((Rule::MaxRepeatedNgrams, json!(0.5)))
        );
    }

    #[test]
    fn what_breaks_no_rule_stays() {
        let with = json!({ "min_chars": 3, "max_chars": 3, "language": ["ja", "en"], "quality": {
            "max_symbols": 0.0, "max_digits": 0.0, "min_mean_line": 3, "max_mean_line": 3, "max_repeated_lines": 0.0,
            "max_repeated_ngrams": 0.0, "max_bullet_lines": 0.0, "max_ellipsis_lines": 0.0, "min_ended_lines": 0.0,
            "forbidden": ["猫"] } });
        assert!(first(with, "日本の").is_none());
        assert!(first(json!({ "min_chars": 0 }), "").is_none());
    }

    #[test]
    fn a_chat_says_what_all_its_turns_say() {
        let chat =
            Document::chat(vec![Message::new("user", "春は"), Message::new("assistant", "あけぼの")], "s");
        assert_eq!(said(&chat.borrow()), "春は\nあけぼの");
    }
}
