//! How good answers are, by the formulas of lm-evaluation-harness.
use crate::task::{Filter, Ignore, Metric};
use fancy_regex::Regex;
use muse_inference::Score;
use muse_stage::StageError;
use unicode_normalization::UnicodeNormalization;

/// What a filter gives that finds nothing.
const NOTHING: &str = "[invalid]";

/// A figure of one item of multiple choice.
pub(crate) fn choice(metric: Metric, scores: &[Score], choices: &[String], right: &[usize]) -> f64 {
    let best = |by: &dyn Fn(usize) -> f64| {
        let of = |at: usize| scores[at].sum() / by(at);
        // Of equals the first.
        (1..scores.len()).fold(0, |best, at| if of(at) > of(best) { at } else { best })
    };
    let chosen = match metric {
        Metric::Mc2 => return mass(scores, right),
        Metric::AccNorm => best(&|at| choices[at].chars().count() as f64),
        Metric::AccBytes => best(&|at| choices[at].len() as f64),
        _ => best(&|_| 1.0),
    };
    f64::from(u8::from(right.contains(&chosen)))
}

/// The share of the right choices' probability.
fn mass(scores: &[Score], right: &[usize]) -> f64 {
    let most = scores.iter().map(|score| score.sum()).fold(f64::NEG_INFINITY, f64::max);
    let likely = |at: &usize| (scores[*at].sum() - most).exp();
    let all: f64 = (0..scores.len()).map(|at| likely(&at)).sum();
    right.iter().map(likely).sum::<f64>() / all
}

/// What a filter takes out of a text.
pub(crate) fn filtered(filter: &Filter, text: &str) -> Result<String, StageError> {
    let text = if filter.strip { text.trim() } else { text };
    let Some(pattern) = &filter.regex else { return Ok(text.to_owned()) };
    let regex = regex(pattern)?;
    let mut found = Vec::new();
    for captures in regex.captures_iter(text) {
        let captures = captures.map_err(|error| failed(pattern, &error))?;
        let groups = (1..captures.len()).map(|at| captures.get(at).map_or("", |group| group.as_str()));
        found.push(match captures.len() {
            1 => captures.get(0).map_or("", |all| all.as_str()).to_owned(),
            2 => captures.get(1).map_or("", |group| group.as_str()).to_owned(),
            _ => groups.into_iter().find(|group| !group.is_empty()).unwrap_or(NOTHING).to_owned(),
        });
    }
    let count = found.len() as i64;
    let at = i64::from(filter.pick) + if filter.pick < 0 { count } else { 0 };
    let taken = usize::try_from(at).ok().and_then(|at| found.get(at));
    Ok(taken.map_or(NOTHING, |taken| taken.trim()).to_owned())
}

/// Whether a text is one of those that are right.
pub(crate) fn matches(ignore: &Ignore, text: &str, answers: &[String]) -> Result<bool, StageError> {
    let text = bare(ignore, text)?;
    for answer in answers {
        if bare(ignore, answer)? == text {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A text without what does not count.
fn bare(ignore: &Ignore, text: &str) -> Result<String, StageError> {
    let mut text = if ignore.forms { text.nfkc().collect() } else { text.to_owned() };
    for pattern in &ignore.patterns {
        let replaced = regex(pattern)?.try_replacen(&text, 0, "").map_err(|error| failed(pattern, &error))?;
        text = replaced.into_owned();
    }
    if ignore.case {
        text = text.to_lowercase();
    }
    let dropped = |letter: &char| {
        ignore.punctuation && letter.is_ascii_punctuation() || ignore.numbers && letter.is_ascii_digit()
    };
    text.retain(|letter| !dropped(&letter));
    Ok(text)
}

fn regex(pattern: &str) -> Result<Regex, StageError> {
    Regex::new(pattern).map_err(|error| failed(pattern, &error))
}

fn failed(pattern: &str, error: &fancy_regex::Error) -> StageError {
    StageError::new(format!("the pattern `{pattern}`: {error}"))
}

/// The mean of some numbers, and its standard error: by the deviation of a sample, over the root of their number.
pub(crate) fn mean(numbers: &[f64]) -> (f64, Option<f64>) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count.max(1.0);
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    (mean, (numbers.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(sums: &[f64]) -> Vec<Score> {
        sums.iter().map(|sum| Score { tokens: vec![*sum], greedy: false }).collect()
    }

    #[test]
    fn choices_are_judged_by_likelihood_characters_or_bytes() {
        // Two letters of six bytes, three of three, one of four.
        let choices = ["田園", "abc", "𝄞"].map(str::to_owned);
        let scores = scores(&[-4.0, -5.0, -3.0]);
        // -4, -5, -3: the third. By letter -2, -1.67, -3: the second. By byte -0.67, -1.67, -0.75: the first.
        for (metric, best) in [(Metric::Acc, 2), (Metric::AccNorm, 1), (Metric::AccBytes, 0)] {
            for right in 0..3 {
                assert_eq!(choice(metric, &scores, &choices, &[right]), f64::from(u8::from(right == best)));
            }
            assert_eq!(choice(metric, &scores, &choices, &[0, 1, 2]), 1.0);
        }
        let (a, b, c) = ((-4.0_f64).exp(), (-5.0_f64).exp(), (-3.0_f64).exp());
        assert!((choice(Metric::Mc2, &scores, &choices, &[0, 2]) - (a + c) / (a + b + c)).abs() < 1e-12);
        // Of equals the first is chosen, and very unlikely ones have a share too.
        let equal = self::scores(&[-2000.0, -2000.0]);
        assert_eq!(choice(Metric::Acc, &equal, &choices, &[0]), 1.0);
        assert_eq!(choice(Metric::Mc2, &equal, &choices, &[0]), 0.5);
    }

    #[test]
    fn filters_take_what_gsm8k_asks_for() {
        let filter = |regex: Option<&str>, pick, strip| Filter {
            name: "f".into(),
            regex: regex.map(str::to_owned),
            pick,
            strip,
        };
        let strict = filter(Some(r"#### (\-?[0-9\.\,]+)"), 0, false);
        let flexible = filter(Some(r"(-?[$0-9.,]{2,})|(-?[0-9]+)"), -1, false);
        let text = "She has 3 eggs, so 16 - 3 = 13.\n#### 1,300\nThat is $1,300.";
        assert_eq!(filtered(&strict, text).unwrap(), "1,300");
        assert_eq!(filtered(&flexible, text).unwrap(), "$1,300.");
        assert_eq!(filtered(&flexible, "only 7 left").unwrap(), "7");
        assert_eq!(filtered(&strict, "no number").unwrap(), "[invalid]");
        assert_eq!(filtered(&filter(None, 0, true), " \u{3000}東京\n").unwrap(), "東京");
        assert_eq!(filtered(&filter(None, 0, false), " x ").unwrap(), " x ");
    }

    #[test]
    fn what_is_ignored_does_not_count() {
        let gsm8k = Ignore {
            patterns: [",", r"\$", "(?s).*#### ", r"\.$"].map(str::to_owned).to_vec(),
            case: true,
            ..Ignore::default()
        };
        let answers = ["He earns 13 * 100 = 1300.\nSo that is it.\n#### 1300".to_owned()];
        assert!(matches(&gsm8k, "$1,300.", &answers).unwrap());
        assert!(!matches(&gsm8k, "1301", &answers).unwrap());
        let all = Ignore { punctuation: true, numbers: true, forms: true, ..Ignore::default() };
        assert!(matches(&all, "ＡＢＣ１!", &["ABC".into()]).unwrap());
        assert!(!matches(&all, "abc", &["ABC".into()]).unwrap());
        assert!(matches(&Ignore::default(), "b", &["a".into(), "b".into()]).unwrap());
        assert!(!matches(&Ignore::default(), "b ", &["b".into()]).unwrap());
    }

    #[test]
    fn means_and_perplexities_are_those_of_the_formulas() {
        // Of 1, 0, 1, 1: the mean 3/4, the deviation of a sample 1/2, over the root of 4.
        assert_eq!(mean(&[1.0, 0.0, 1.0, 1.0]), (0.75, Some(0.25)));
        assert_eq!(mean(&[0.5]), (0.5, None));
    }
}
