//! A text with names in it, taken apart: `${params.x}`, `$${`, and the rest.
use super::node::{Content, Node};

/// The names that `${ROOT.x}` asks for in a value, wherever they stand in it.
pub(crate) fn names_in<'n>(node: &'n Node, root: &str, found: &mut Vec<&'n str>) {
    match &node.content {
        Content::Text(text) => {
            for piece in pieces(text) {
                if let Piece::Name { name, .. } = piece
                    && let Some((_, name)) = name.split_once('.').filter(|(first, _)| *first == root)
                {
                    found.push(name);
                }
            }
        }
        Content::Seq(items) => items.iter().for_each(|item| names_in(item, root, found)),
        Content::Map(fields) => fields.iter().for_each(|(_, value)| names_in(value, root, found)),
        _ => {}
    }
}

/// Whether there is anything to replace in a text. Most have not even a dollar sign.
pub(crate) fn text_has_names(text: &str) -> bool {
    text.bytes().any(|b| b == b'$') && text.contains("${")
}

/// Whether there is anything to replace in a value.
pub(crate) fn has_names(node: &Node) -> bool {
    match &node.content {
        Content::Text(text) => text_has_names(text),
        Content::Seq(items) => items.iter().any(has_names),
        Content::Map(fields) => fields.iter().any(|(_, value)| has_names(value)),
        _ => false,
    }
}

/// A value as a file writes it: `$${` for `${`.
pub(crate) fn escape(node: Node) -> Node {
    let content = match node.content {
        Content::Text(text) if text.contains("${") => Content::Text(text.replace("${", "$${").into()),
        Content::Seq(items) => Content::Seq(items.into_iter().map(escape).collect()),
        Content::Map(fields) => {
            Content::Map(fields.into_iter().map(|(key, value)| (key, escape(value))).collect())
        }
        other => other,
    };
    Node { content, ..node }
}

/// A text, taken apart.
pub(crate) enum Piece<'t> {
    Text(&'t str),
    /// `$${`
    Escape,
    /// `${name}`, with the braces in `whole`.
    Name {
        whole: &'t str,
        name: &'t str,
    },
    /// `${` without an end, and all that comes after it.
    Open(&'t str),
}

pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = match rest.find("${") {
            None => (Piece::Text(rest), ""),
            Some(1..) if rest.starts_with("$${") => (Piece::Escape, &rest[3..]),
            Some(0) => match rest[2..].split_once('}') {
                // A name with another one inside is the shell's: `${x:-${params.y}}`.
                Some((name, after)) if !name.contains("${") => {
                    (Piece::Name { whole: &rest[..name.len() + 3], name: name.trim() }, after)
                }
                _ => (Piece::Open(rest), &rest[2..]),
            },
            Some(at) => {
                let at = if rest[..at].ends_with('$') { at - 1 } else { at };
                (Piece::Text(&rest[..at]), &rest[at..])
            }
        };
        rest = after;
        Some(piece)
    })
}
