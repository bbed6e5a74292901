//! What becomes of a document: a byte for each, in memory, in the order of the input.

/// What can drop a document, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    MinChars,
    MaxChars,
    Language,
    MaxSymbols,
    MaxDigits,
    MinMeanLine,
    MaxMeanLine,
    MaxRepeatedLines,
    MaxBulletLines,
    MaxEllipsisLines,
    MinEndedLines,
    MaxRepeatedNgrams,
    Forbidden,
    Exact,
    Near,
    Mix,
}

/// Rules with the names that reports and messages use: where they stand under `with`.
pub(crate) const RULES: [(Rule, &str); 16] = [
    (Rule::MinChars, "min_chars"),
    (Rule::MaxChars, "max_chars"),
    (Rule::Language, "language"),
    (Rule::MaxSymbols, "quality.max_symbols"),
    (Rule::MaxDigits, "quality.max_digits"),
    (Rule::MinMeanLine, "quality.min_mean_line"),
    (Rule::MaxMeanLine, "quality.max_mean_line"),
    (Rule::MaxRepeatedLines, "quality.max_repeated_lines"),
    (Rule::MaxBulletLines, "quality.max_bullet_lines"),
    (Rule::MaxEllipsisLines, "quality.max_ellipsis_lines"),
    (Rule::MinEndedLines, "quality.min_ended_lines"),
    (Rule::MaxRepeatedNgrams, "quality.max_repeated_ngrams"),
    (Rule::Forbidden, "quality.forbidden"),
    (Rule::Exact, "dedup: exact"),
    (Rule::Near, "dedup: minhash"),
    (Rule::Mix, "weights"),
];

/// One document's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, as often as all of its source do.
    Kept,
    /// It stays, and once more than others of its source.
    Extra,
    /// It goes.
    Dropped(Rule),
}
