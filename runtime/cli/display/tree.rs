//! A report as people read it: JSON without its brackets, one field a line, small things side by side.
use crate::format::{exact, shorten, visible, width};
use serde_json::Value;

/// Columns of a line.
const COLUMNS: usize = 100;
/// Items of a list that are shown.
const SHOWN: usize = 12;
/// And of a list of numbers or words.
const MANY: usize = 60;

/// The lines of a value below `indent` spaces.
pub(crate) fn draw(value: &Value, indent: usize) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) => {
            let widest = fields.iter().filter(|(_, value)| inline(value).is_some());
            let widest = widest.map(|(name, _)| width(name)).max().unwrap_or(0).min(28);
            for (name, value) in fields {
                let name = visible(name);
                match inline(value) {
                    Some(short) => {
                        let padding = " ".repeat(widest.saturating_sub(width(&name)));
                        let line = format!("{}{name}{padding}  {short}", " ".repeat(indent));
                        text += &(shorten(line.trim_end(), COLUMNS) + "\n");
                    }
                    None => {
                        text += &format!("{}{name}\n", " ".repeat(indent));
                        text += &draw(value, indent + 2);
                    }
                }
            }
        }
        Value::Array(items) if items.iter().all(is_small) => {
            let mut line = " ".repeat(indent);
            for (at, item) in items.iter().filter_map(inline).take(MANY).enumerate() {
                if at > 0 {
                    line.push(',');
                    if width(&line) + width(&item) + 2 > COLUMNS {
                        text += &(line + "\n");
                        line = " ".repeat(indent.saturating_sub(1));
                    }
                    line.push(' ');
                }
                line += &shorten(&item, COLUMNS.saturating_sub(indent));
            }
            if items.len() > MANY {
                line += &format!(" … and {} more", items.len() - MANY);
            }
            text += &(line + "\n");
        }
        Value::Array(items) => {
            for item in items.iter().take(SHOWN) {
                let lines = match inline(item) {
                    Some(short) => format!("{}{short}\n", " ".repeat(indent + 2)),
                    None => draw(item, indent + 2),
                };
                // The first line of each begins with a dash.
                let mut lines = lines.lines();
                let first = lines.next().unwrap_or_default();
                text += &shorten(&format!("{}- {}", " ".repeat(indent), first.trim_start()), COLUMNS);
                text.push('\n');
                lines.for_each(|line| text += &format!("{line}\n"));
            }
            if items.len() > SHOWN {
                text += &format!("{}… and {} more\n", " ".repeat(indent), items.len() - SHOWN);
            }
        }
        other => text += &format!("{}{}\n", " ".repeat(indent), inline(other).unwrap_or_default()),
    }
    text
}

/// A value that fits into a line, on one.
fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".into()),
        Value::Bool(true) => Some("yes".into()),
        Value::Bool(false) => Some("no".into()),
        Value::Number(number) => Some(match number.as_u64() {
            Some(whole) => exact(whole),
            None => number.as_f64().filter(|_| number.is_f64()).map_or(number.to_string(), rounded),
        }),
        // White space at an end would not be seen.
        Value::String(text) if text.trim() != text => Some(format!("\"{}\"", line(text))),
        Value::String(text) => Some(line(text)),
        Value::Array(items) => {
            let items: Vec<String> =
                items.iter().map(|item| is_small(item).then(|| inline(item))?).collect::<Option<_>>()?;
            let text = items.join(", ");
            (width(&text) <= 70).then_some(if text.is_empty() { "none".into() } else { text })
        }
        Value::Object(fields) if fields.is_empty() => Some("none".into()),
        Value::Object(_) => None,
    }
}

/// Neither a list nor a mapping.
fn is_small(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// A text on one line.
fn line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Four digits that count.
fn rounded(number: f64) -> String {
    let text = match number.abs() {
        size if size >= 1000.0 => format!("{number:.0}"),
        size if size >= 1.0 => format!("{number:.3}"),
        size if size >= 0.001 || size == 0.0 => format!("{number:.5}"),
        _ => format!("{number:.3e}"),
    };
    let (digits, power) = text.split_at(text.find('e').unwrap_or(text.len()));
    if !digits.contains('.') {
        return text;
    }
    format!("{}{power}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_drawn_as_a_tree() {
        let report = json!({
            "total": { "documents": 1_234_567, "characters_per_token": 1.98765, "warnings": [] },
            "languages": ["ja", "en"],
            "samples": [{ "text": "一\n二", "tokens": ["一", "二"] }, { "text": "x".repeat(200), "tokens": null }],
            "many": (0..100).collect::<Vec<_>>(),
        });
        let text = draw(&report, 0);
        let samples = "
samples
  - text    一\\n二
    tokens  一, 二
";
        let total = "
total
  characters_per_token  1.988
  documents             1,234,567
  warnings              none
";
        assert!(text.starts_with("languages  ja, en\n") && text.contains(samples), "{text}");
        assert!(text.ends_with(total), "{text}");
        assert!(text.contains("\nmany\n  0, 1, 2, 3, ") && text.contains(" … and 40 more\n"), "{text}");
        assert!(text.lines().all(|line| width(line) <= COLUMNS), "{text}");
    }

    #[test]
    fn a_number_keeps_the_digits_that_count() {
        let seen = [0.0, 1e-6, -0.000_123_45, 0.0125, 1.5, 20.0, 12_345.6].map(rounded);
        assert_eq!(seen, ["0", "1e-6", "-1.234e-4", "0.0125", "1.5", "20", "12346"]);
    }
}
