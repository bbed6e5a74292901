//! From the names under `inputs:` to stages and their outputs.

/// Parts `stage.output`; `known` says what is a stage. A combination may hold dots of its own: `base[lr=0.1].out`.
pub(crate) fn split<'t>(text: &'t str, known: impl Fn(&str) -> bool) -> Option<(&'t str, Option<&'t str>)> {
    if known(text) {
        return Some((text, None));
    }
    let from = text.find('[').unwrap_or(0);
    text.match_indices('.')
        .filter(|(at, _)| *at > from && (from == 0 || text[..*at].ends_with(']')))
        .map(|(at, _)| (&text[..at], Some(&text[at + 1..])))
        .find(|(name, _)| known(name))
}
