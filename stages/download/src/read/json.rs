//! JSON: an object a line, or values one after the other or in an array.
//!
//! Text in JSON may hold an escape of half a character, `\ud83d` without its other half, which is no text in any
//! encoding. Each becomes U+FFFD, and the report counts the rows.
use super::chat::Row;
use super::records::Records;
use super::stream::{Stream, unreadable};
use super::{Flow, LARGEST, Reading, Taker, broken, broken_row};
use crate::params::Format;
use muse_stage::StageError;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

/// An object a line.
pub(super) fn lines(reading: &mut Reading, stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
    let mut lines = stream.lines(name);
    let mut records = Records::new(reading, name, taker);
    while let Some((number, line)) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let row = parse(line, name, number, &mut records)?;
        if records.row(number, row, line.len())?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    records.end()
}

/// Values one after the other, or in an array.
pub(super) fn values(reading: &mut Reading, stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
    let mut values = Values::new(stream.into_read(), name);
    let mut records = Records::new(reading, name, taker);
    while let Some((number, value)) = values.next()? {
        let text = std::str::from_utf8(value).map_err(|error| {
            broken_row(name, number, &format!("byte {} of it is no UTF-8", error.valid_up_to()))
        })?;
        let size = text.len();
        let row = parse(text, name, number, &mut records)?;
        if records.row(number, row, size)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    records.end()
}

fn parse(text: &str, name: &str, number: u64, records: &mut Records<'_>) -> Result<Row, StageError> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => match mend(text) {
            Cow::Owned(mended) => {
                records.taker.mended();
                serde_json::from_str(&mended).map_err(|error| no_json(name, number, &error))?
            }
            Cow::Borrowed(_) => return Err(no_json(name, number, &error)),
        },
    };
    match value {
        Value::Object(row) => Ok(row),
        _ => Err(broken_row(name, number, "no JSON object, so it has no columns")),
    }
}

fn no_json(name: &str, number: u64, error: &serde_json::Error) -> StageError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    broken_row(name, number, &format!("no JSON: {what}, at byte {} of it", error.column()))
}

/// The text with each escape of half a character replaced by that of U+FFFD.
fn mend(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let unit = |at: usize| -> Option<u16> {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&text[copied..at]);
                mended.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // The escaped character may be a backslash.
            None => at += 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[copied..]);
    Cow::Owned(mended)
}

/// Cuts a stream into the objects at its top.
struct Values<'a, R> {
    from: BufReader<R>,
    name: &'a str,
    value: Vec<u8>,
    number: u64,
    /// The objects stand in an array, which has not ended.
    array: bool,
    begun: bool,
}

impl<'a, R: Read> Values<'a, R> {
    fn new(from: R, name: &'a str) -> Self {
        let from = BufReader::with_capacity(1 << 17, from);
        Self { from, name, value: Vec::new(), number: 0, array: false, begun: false }
    }

    fn next(&mut self) -> Result<Option<(u64, &[u8])>, StageError> {
        self.value.clear();
        let (mut depth, mut in_text, mut escaped) = (0u32, false, false);
        loop {
            let chunk = self.from.fill_buf().map_err(|error| broken(self.name, &unreadable(&error)))?;
            if chunk.is_empty() {
                return if depth > 0 || self.array {
                    Err(broken(self.name, "it ends early: a bracket is not closed"))
                } else {
                    Ok(None)
                };
            }
            let mut taken = 0;
            let mut whole = false;
            let mut wrong = false;
            for byte in chunk {
                taken += 1;
                if depth == 0 {
                    match byte {
                        b' ' | b'\t' | b'\r' | b'\n' | b',' => continue,
                        b'[' if !self.begun => self.array = true,
                        b']' if self.array => self.array = false,
                        b'{' => depth = 1,
                        _ => wrong = true,
                    }
                    self.begun = true;
                    if depth == 0 && !wrong {
                        continue;
                    }
                } else if in_text {
                    (in_text, escaped) = match byte {
                        _ if escaped => (true, false),
                        b'\\' => (true, true),
                        b'"' => (false, false),
                        _ => (true, false),
                    };
                } else {
                    match byte {
                        b'"' => in_text = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                }
                self.value.push(*byte);
                whole = depth == 0;
                if whole || wrong {
                    break;
                }
            }
            self.from.consume(taken);
            if wrong {
                let message = "no JSON object, so it has no columns";
                return Err(broken_row(self.name, self.number + 1, message));
            }
            if whole {
                self.number += 1;
                return Ok(Some((self.number, &self.value)));
            }
            if self.value.len() as u64 > LARGEST {
                let message = format!("larger than {} MiB", LARGEST >> 20);
                return Err(broken_row(self.name, self.number + 1, &message)
                    .help("the rows must stand at the top: in an array, or one after the other"));
            }
        }
    }
}

/// How a file that is called `.json` is written.
pub(super) fn written_as(begin: &[u8]) -> Format {
    match looks_like(begin) {
        Some(Format::Jsonl) => Format::Jsonl,
        _ => Format::Json,
    }
}

/// Whether a file begins like JSON.
pub(super) fn looks_like(begin: &[u8]) -> Option<Format> {
    let start = begin.trim_ascii_start();
    let mut lines = start.splitn(2, |byte| *byte == b'\n');
    let first = lines.next()?;
    let cut = lines.next().is_none() && begin.len() >= 1 << 16;
    let after = start.get(1..).map(<[u8]>::trim_ascii_start).unwrap_or_default();
    match start.first()? {
        b'[' if after.starts_with(b"{") => Some(Format::Json),
        b'{' if cut && after.starts_with(b"\"") => Some(Format::Jsonl),
        b'{' if serde_json::from_slice::<Value>(first).is_ok() => Some(Format::Jsonl),
        b'{' if String::from_utf8_lossy(first).contains("\\ud") && after.starts_with(b"\"") => {
            Some(Format::Jsonl)
        }
        b'{' if first.trim_ascii() == b"{" && after.starts_with(b"\"") => Some(Format::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_replaced_and_nothing_else() {
        assert_eq!(mend(r#"{"a":"\ud83d\ude00"}"#), r#"{"a":"\ud83d\ude00"}"#);
        assert_eq!(mend(r#"{"a":"x\ud83dy\ude00"}"#), r#"{"a":"x\ufffdy\ufffd"}"#);
        assert_eq!(mend(r#""\\ud83d""#), r#""\\ud83d""#);
        assert_eq!(mend(r#""\ud83d\ud83d\ude00""#), r#""\ufffd\ud83d\ude00""#);
        assert_eq!(mend("\"日\\ud8"), "\"日\\ud8");
    }

    #[test]
    fn values_are_cut_at_their_ends() {
        let cut = |text: &str| {
            let mut values = Values::new(text.as_bytes(), "f");
            let mut found = Vec::new();
            loop {
                match values.next() {
                    Ok(Some((_, value))) => found.push(String::from_utf8(value.to_vec()).unwrap()),
                    Ok(None) => return found.join(" "),
                    Err(error) => return error.to_string(),
                }
            }
        };
        assert_eq!(cut(r#" [ {"a": "]}\"{"}, {"b": [{}]} ] "#), r#"{"a": "]}\"{"} {"b": [{}]}"#);
        assert_eq!(cut("{}\n{}{}"), "{} {} {}");
        assert_eq!(cut("[]"), "");
        assert_eq!(cut("[{}, 7]"), "f: row 2: no JSON object, so it has no columns");
        assert_eq!(cut("[{}"), "f: it ends early: a bracket is not closed");
        assert_eq!(cut("{\"a\": {"), "f: it ends early: a bracket is not closed");
    }

    #[test]
    fn json_is_recognised() {
        assert_eq!(looks_like(b"{\"a\": 1}\n{\"a\": 2}\n"), Some(Format::Jsonl));
        assert_eq!(looks_like(b"{\n  \"a\": 1\n}"), Some(Format::Json));
        assert_eq!(looks_like(b" [\n {\"a\": 1}]"), Some(Format::Json));
        assert_eq!(looks_like(b"{a story in braces}"), None);
        assert_eq!(looks_like(b"[1] a footnote"), None);
        assert_eq!(looks_like(b""), None);
    }
}
