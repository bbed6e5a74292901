//! From YAML text to nodes, within limits, and every problem with its place.
use super::build::Builder;
use super::node::{Content, Node, Span};
use super::session::Session;
use granit_parser::Parser;

/// The largest file.
pub const MOST_BYTES: usize = 8 << 20;
/// The most nodes of a file, what aliases repeat included.
pub const MOST_NODES: usize = 1_000_000;
/// The deepest nesting.
pub const DEEPEST: usize = 64;
/// The most aliases of a file.
pub const MOST_ALIASES: usize = 1000;

/// Reads the text of a source. `None` where it cannot be read to its end; the session knows why.
pub(crate) fn parse(session: &mut Session, source: u32) -> Option<Node> {
    parse_from(session, source, 0)
}

/// The same from a byte of the text on.
pub(crate) fn parse_from(session: &mut Session, source: u32, first: usize) -> Option<Node> {
    let text = session.sources().get(source as usize)?.clone();
    let text = text.text.get(first..)?;
    let whole = Span { source, start: to_u32(first), end: to_u32(first) };
    if text.len() > MOST_BYTES {
        session.report(whole, format!("the file is larger than {} MiB", MOST_BYTES >> 20));
        return None;
    }
    if let Some((at, what)) = forbidden(text) {
        // A byte-order mark is one letter of three bytes.
        let length = text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        let span = Span { start: to_u32(first + at), end: to_u32(first + at + length), ..whole };
        let problem = session.at(span, what).help("save it as plain UTF-8 text");
        session.add(span, problem);
        return None;
    }
    let options = granit_parser::options! {
        flow_nesting_limit: DEEPEST + 8,
        block_nesting_limit: DEEPEST + 8,
    };
    let mut builder = Builder::new(session);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or(0..0);
                let span =
                    Span { source, start: to_u32(first + range.start), end: to_u32(first + range.end) };
                builder.event(event, span)?;
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                let wide = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                let span = Span { source, start: to_u32(first + at), end: to_u32(first + at + wide) };
                builder.broken(span, error.kind());
                return None;
            }
        }
    }
    Some(builder.root.unwrap_or(Node::new(whole, Content::Null)))
}

fn to_u32(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The first byte that no pipeline file holds, and its name.
fn forbidden(text: &str) -> Option<(usize, String)> {
    if text.starts_with('\u{feff}') {
        return Some((0, "the file begins with a byte-order mark".into()));
    }
    let is_control = |b: &u8| (*b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || *b == 0x7f;
    let at = text.bytes().position(|b| is_control(&b))?;
    match text.as_bytes().get(at) {
        Some(0) => Some((at, "the file holds a NUL byte".into())),
        Some(byte) => Some((at, format!("the file holds the control character U+{byte:04X}"))),
        None => None,
    }
}
