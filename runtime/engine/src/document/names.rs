//! What a stage, a port, a parameter, an axis or a file may be called.
use super::node::Key;
use super::session::Session;

/// Names become names of folders, which have to end somewhere.
const LONGEST: usize = 128;

/// Letters, digits, `_`, `-`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Reports a name that is none.
pub(crate) fn check(session: &mut Session, key: &Key, what: &str) -> bool {
    if is_name(&key.name) && key.name.len() <= LONGEST {
        return true;
    }
    if key.name.len() > LONGEST {
        session.report(key.span, format!("the name of {what} is longer than {LONGEST} characters"));
        return false;
    }
    let problem = session.at(key.span, format!("`{}` cannot name {what}", super::node::shorten(&key.name)));
    session.add(key.span, problem.help("use A-Z a-z 0-9 _ -"));
    false
}
