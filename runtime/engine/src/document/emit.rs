//! Writes nodes as YAML: blocks for what has fields, one line for what is short, quotes where in doubt.
use super::node::{Content, Node};
use super::scalar;
use std::fmt::Write;

/// Lists up to this many characters stay on one line.
const SHORT: usize = 90;

/// Writes the fields of a mapping, each on a line of its own, `indent` deep.
pub(crate) fn fields<'n>(
    out: &mut String,
    indent: usize,
    fields: impl IntoIterator<Item = (&'n str, &'n Node)>,
) {
    for (name, node) in fields {
        let _ = write!(out, "{:indent$}{}:", "", text(name));
        value(out, indent, node);
    }
}

/// What comes after the colon.
fn value(out: &mut String, indent: usize, node: &Node) {
    match &node.content {
        Content::Map(inner) if !inner.is_empty() => {
            out.push('\n');
            fields(out, indent + 2, inner.iter().map(|(key, node)| (&*key.name, node)));
        }
        Content::Text(text) if is_block(text) => {
            let (mark, text) = text.strip_suffix('\n').map_or(("|-", &**text), |text| ("|", text));
            let _ = writeln!(out, " {mark}");
            for line in text.split('\n') {
                let indent = if line.is_empty() { 0 } else { indent + 2 };
                let _ = writeln!(out, "{:indent$}{line}", "");
            }
        }
        _ => {
            let line = flow(node);
            if line.chars().count() <= SHORT || node.items().is_empty() {
                let _ = writeln!(out, " {line}");
            } else {
                out.push('\n');
                for item in node.items() {
                    let _ = writeln!(out, "{:width$}- {}", "", flow(item), width = indent + 2);
                }
            }
        }
    }
}

/// Whether a text of several lines reads the same as a block: no odd characters, and no blanks at either end.
fn is_block(text: &str) -> bool {
    let inner = text.strip_suffix('\n').unwrap_or(text);
    inner.contains('\n')
        && !inner.starts_with([' ', '\t', '\n'])
        && !inner.ends_with('\n')
        && inner.chars().all(|c| c == '\n' || is_printable(c))
        && inner.split('\n').all(|line| !line.ends_with(' '))
}

/// What may stand in a YAML text as it is.
fn is_printable(c: char) -> bool {
    !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
}

/// A value on one line.
fn flow(node: &Node) -> String {
    match &node.content {
        Content::Null | Content::Unknown => "null".into(),
        Content::Bool(value, _) => value.to_string(),
        Content::Number(_, written) => written.to_string(),
        Content::Loose(written) => match scalar::plain(written) {
            Ok(Content::Text(_)) | Err(_) => text(written),
            Ok(_) => written.to_string(),
        },
        Content::Text(written) => text(written),
        Content::Seq(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Content::Map(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, node)| format!("{}: {}", text(&key.name), flow(node))).collect();
            if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
        }
    }
}

/// A text: bare where nobody could take it for anything else, else as JSON spells it.
fn text(text: &str) -> String {
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
        && matches!(scalar::plain(text), Ok(Content::Text(_)));
    if bare {
        return text.to_owned();
    }
    let quoted = serde_json::Value::from(text).to_string();
    if quoted.chars().all(is_printable) {
        return quoted;
    }
    quoted.chars().fold(String::new(), |mut out, c| {
        if is_printable(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        out
    })
}
