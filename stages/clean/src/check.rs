//! What the schema cannot say of the parameters, and which of them do not count.
use crate::language::Language;
use crate::params::{Dedup, Params};
use muse_stage::FieldError;

/// Signatures have at least so many values: with fewer they tell nothing.
const FEWEST_PERMUTATIONS: u32 = 16;
/// And no more than this.
const MOST_PERMUTATIONS: u32 = 1024;
/// An n-gram has no more units than this.
const LONGEST_NGRAM: u32 = 100;

pub(crate) fn check(params: &Params) -> Result<(), FieldError> {
    weights(params)?;
    if let Some(most) = params.max_chars.filter(|most| *most < params.min_chars) {
        let message =
            format!("no document has {} characters at least and {} at most", params.min_chars.0, most.0);
        return Err(FieldError::new("/max_chars", message).help("`max_chars` must not be below `min_chars`"));
    }
    let quality = &params.quality;
    let shares = [
        ("/japanese/min_share", Some(params.japanese.min_share)),
        ("/japanese/min_kana", Some(params.japanese.min_kana)),
        ("/quality/max_symbols", quality.max_symbols),
        ("/quality/max_digits", quality.max_digits),
        ("/quality/max_repeated_lines", quality.max_repeated_lines),
        ("/quality/max_repeated_ngrams", quality.max_repeated_ngrams),
        ("/quality/max_bullet_lines", quality.max_bullet_lines),
        ("/quality/max_ellipsis_lines", quality.max_ellipsis_lines),
        ("/quality/min_ended_lines", quality.min_ended_lines),
        ("/minhash/threshold", Some(params.minhash.threshold)),
    ];
    for (pointer, value) in shares {
        if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
            let message = format!("{value} is no share");
            return Err(FieldError::new(pointer, message).help("a share is between 0 and 1, such as 0.2"));
        }
    }
    let (least, most) = (quality.min_mean_line, quality.max_mean_line);
    for (pointer, value) in [("/quality/min_mean_line", least), ("/quality/max_mean_line", most)] {
        if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
            return Err(FieldError::new(pointer, format!("{value} is no length of a line")));
        }
    }
    if least.zip(most).is_some_and(|(least, most)| most < least) {
        return Err(FieldError::new(
            "/quality/max_mean_line",
            "it is below `min_mean_line`, so nothing passes",
        ));
    }
    if let Some(at) = quality.forbidden.iter().position(String::is_empty) {
        let message = "the empty text is in every document";
        return Err(FieldError::new(format!("/quality/forbidden/{at}"), message));
    }
    minhash(params)
}

fn weights(params: &Params) -> Result<(), FieldError> {
    for (name, weight) in &params.weights {
        if !(weight.is_finite() && *weight >= 0.0) {
            let message = format!("{weight} is no weight");
            return Err(FieldError::new(format!("/weights/{name}"), message).help("a weight is 0 or more"));
        }
    }
    let sum: f64 = params.weights.values().sum();
    if !(params.weights.is_empty() || sum > 0.0 && sum.is_finite()) {
        let message = if sum > 0.0 {
            "the weights are too large"
        } else {
            "all weights are 0, so nothing would be left"
        };
        return Err(FieldError::new("/weights", message));
    }
    if params.repeat == 0 {
        let help = "1 uses each document once at most";
        return Err(FieldError::new("/repeat", "a mix cannot use its documents 0 times").help(help));
    }
    Ok(())
}

fn minhash(params: &Params) -> Result<(), FieldError> {
    let minhash = &params.minhash;
    if minhash.threshold < 0.1 {
        let message = format!("with a threshold of {} nearly all is a copy of something", minhash.threshold);
        return Err(
            FieldError::new("/minhash/threshold", message).help("0.7 to 0.9 is usual; the least is 0.1")
        );
    }
    if !(FEWEST_PERMUTATIONS..=MOST_PERMUTATIONS).contains(&minhash.permutations) {
        let message = format!("a signature of {} values", minhash.permutations);
        let help = format!("{FEWEST_PERMUTATIONS} to {MOST_PERMUTATIONS}; 128 is usual");
        return Err(FieldError::new("/minhash/permutations", message).help(help));
    }
    if !(1..=LONGEST_NGRAM).contains(&minhash.ngram) {
        let message = format!("an n-gram of {} units", minhash.ngram);
        return Err(
            FieldError::new("/minhash/ngram", message).help(format!("1 to {LONGEST_NGRAM}; 5 is usual"))
        );
    }
    Ok(())
}

/// What changes nothing, the other fields being as they are.
pub(crate) fn idle(params: &Params) -> Vec<&'static str> {
    let mixed = !params.weights.is_empty();
    let japanese = params.language.0.contains(&Language::Ja) || params.language.0.contains(&Language::Zh);
    let cases = [
        ("weigh", !mixed),
        ("repeat", !mixed),
        ("seed", !mixed && !params.shuffle),
        ("japanese", !japanese),
        ("minhash", params.dedup != Dedup::Minhash),
    ];
    cases.into_iter().filter(|(_, idle)| *idle).map(|(field, _)| field).collect()
}
