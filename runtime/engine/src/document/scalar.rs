//! What an unquoted YAML word means: the core schema of YAML 1.2, without infinities.
use super::node::Content;
use serde_json::Number;
use std::sync::Arc;

/// Reads a plain scalar. The error is a fragment for a message.
pub(crate) fn plain(text: &str) -> Result<Content, String> {
    let written = || Arc::<str>::from(text);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Content::Null),
        "true" | "True" | "TRUE" => return Ok(Content::Bool(true, written())),
        "false" | "False" | "FALSE" => return Ok(Content::Bool(false, written())),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is no number that a key can hold"));
    }
    let looks_like_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !looks_like_number {
        return Ok(Content::Text(written()));
    }
    let number = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) if is_all(digits, |b| b.is_ascii_hexdigit()) => whole(digits, 16),
        (_, Some(digits)) if is_all(digits, |b| (b'0'..=b'7').contains(&b)) => whole(digits, 8),
        _ if is_all(unsigned, |b| b.is_ascii_digit()) => whole(text, 10),
        _ if is_float(unsigned) => {
            text.parse::<f64>().ok().filter(|value| value.is_finite()).and_then(Number::from_f64)
        }
        _ => return Ok(Content::Text(written())),
    };
    match number {
        Some(number) => Ok(Content::Number(number, written())),
        None => Err(format!("`{text}` does not fit into 64 bits")),
    }
}

fn whole(digits: &str, radix: u32) -> Option<Number> {
    match i64::from_str_radix(digits, radix) {
        Ok(value) => Some(value.into()),
        Err(_) => u64::from_str_radix(digits, radix).ok().map(Number::from),
    }
}

fn is_all(text: &str, is: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(is)
}

/// `[0-9]* . [0-9]* ([eE][-+]?[0-9]+)?` with a digit before the exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    digits(before)
        && digits(after)
        && !(before.is_empty() && after.is_empty())
        && exponent
            .is_none_or(|text| is_all(text.strip_prefix(['-', '+']).unwrap_or(text), |b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match plain(text) {
            Ok(Content::Null) => "null".into(),
            Ok(Content::Bool(value, _)) => format!("bool {value}"),
            Ok(Content::Number(number, _)) => format!("number {number}"),
            Ok(Content::Text(text)) => format!("text {text}"),
            Ok(other) => format!("{other:?}"),
            Err(message) => format!("error {message}"),
        }
    }

    #[test]
    fn the_core_schema_and_nothing_more() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("NULL", "null"),
            ("nULL", "text nULL"),
            ("True", "bool true"),
            ("yes", "text yes"),
            ("on", "text on"),
            ("0", "number 0"),
            ("-0", "number 0"),
            ("+7", "number 7"),
            ("007", "number 7"),
            ("0x1F", "number 31"),
            ("0o17", "number 15"),
            ("0b1", "text 0b1"),
            ("-0x1", "text -0x1"),
            ("1_000", "text 1_000"),
            ("18446744073709551615", "number 18446744073709551615"),
            ("18446744073709551616", "error `18446744073709551616` does not fit into 64 bits"),
            ("1.", "number 1.0"),
            (".5", "number 0.5"),
            ("1e3", "number 1000.0"),
            ("-1.5E-3", "number -0.0015"),
            (".", "text ."),
            ("..", "text .."),
            ("../x", "text ../x"),
            (".e1", "text .e1"),
            ("1e", "text 1e"),
            ("1e+", "text 1e+"),
            ("1.2.3", "text 1.2.3"),
            ("12:30", "text 12:30"),
            ("2024-01-01", "text 2024-01-01"),
            ("8GiB", "text 8GiB"),
            ("-", "text -"),
            ("1e999", "error `1e999` does not fit into 64 bits"),
            (".nan", "error `.nan` is no number that a key can hold"),
            ("-.inf", "error `-.inf` is no number that a key can hold"),
        ] {
            assert_eq!(read(text), meaning, "{text:?}");
        }
    }
}
