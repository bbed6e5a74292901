//! What a stage, a port, a parameter, an axis or a file may be called.
use super::node::Key;
use super::session::Session;

/// Letters, digits, `_`, `-`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Reports a name that is none.
pub(crate) fn check(session: &mut Session, key: &Key, what: &str) -> bool {
    if is_name(&key.name) {
        return true;
    }
    let problem = session.at(key.span, format!("`{}` cannot name {what}", super::node::shorten(&key.name)));
    session.add(key.span, problem.help("use A-Z a-z 0-9 _ -"));
    false
}
