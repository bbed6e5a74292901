//! What the rules of quality measure: signs, lines, repetition. Only what is asked for is looked at.
use crate::hash::HashedSet;
use crate::units::{Grams, units};

/// Units in the runs that `max_repeated_ngrams` looks for.
const RUN: u32 = 10;
const BULLETS: &str = "-*+•‣⁃◦▪▫・●○◎■□◆◇★☆▶►";
const ENDS: &str = "。．.!?！？｡…」』）)”’\"]】";

/// Shares of signs and digits in all characters but white space.
pub(crate) fn signs(text: &str) -> (f64, f64) {
    let (mut all, mut symbols, mut digits) = (0u64, 0u64, 0u64);
    for character in text.chars() {
        if character.is_ascii_alphabetic()
            || matches!(u32::from(character), 0x3041..=0x3096 | 0x4e00..=0x9fff)
        {
            all += 1;
        } else if !character.is_whitespace() {
            all += 1;
            digits += u64::from(character.is_numeric());
            symbols += u64::from(!character.is_alphanumeric());
        }
    }
    (share(symbols, all), share(digits, all))
}

/// What the lines of a text are like.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lines {
    /// Their mean length in characters.
    pub(crate) mean: f64,
    /// The share of characters in lines that came before.
    pub(crate) repeated: f64,
    /// The share of lines that begin with a bullet.
    pub(crate) bullets: f64,
    /// The share of lines that end in an ellipsis.
    pub(crate) ellipses: f64,
    /// The share of lines that end as sentences do.
    pub(crate) ended: f64,
}

/// Looks at the lines that are not empty, without white space at their ends.
pub(crate) fn lines(text: &str) -> Lines {
    let mut seen = HashedSet::default();
    let (mut count, mut characters, mut repeated) = (0u64, 0u64, 0u64);
    let (mut bullets, mut ellipses, mut ended) = (0u64, 0u64, 0u64);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let length = line.chars().count() as u64;
        let hash = blake3::hash(line.as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        count += 1;
        characters += length;
        repeated += if seen.insert(u64::from_le_bytes(*first)) { 0 } else { length };
        bullets += u64::from(line.starts_with(|first| BULLETS.contains(first)));
        ellipses += u64::from(line.ends_with('…') || line.ends_with("..."));
        ended += u64::from(line.ends_with(|last| ENDS.contains(last)));
    }
    Lines {
        mean: share(characters, count),
        repeated: share(repeated, characters),
        bullets: share(bullets, count),
        ellipses: share(ellipses, count),
        ended: share(ended, count),
    }
}

/// The share of characters in runs of ten units that came before. A character counts once however many runs hold
/// it.
pub(crate) fn repeated(text: &str) -> f64 {
    let (mut grams, mut seen) = (Grams::new(RUN), HashedSet::default());
    let mut lengths = [0u32; RUN as usize];
    // Units, of those at the end, that stand in no repeated run yet.
    let mut fresh = 0usize;
    let (mut at, mut all, mut inside) = (0usize, 0u64, 0u64);
    units(text, |unit, length| {
        lengths[at % lengths.len()] = length;
        at += 1;
        fresh = (fresh + 1).min(lengths.len());
        all += u64::from(length);
        if let Some(run) = grams.push(unit)
            && !seen.insert(crate::hash::mix(run))
        {
            inside += (0..fresh).map(|back| u64::from(lengths[(at - 1 - back) % lengths.len()])).sum::<u64>();
            fresh = 0;
        }
    });
    share(inside, all)
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_digits_are_shares_of_what_is_seen() {
        assert_eq!(signs("あいう。 \n"), (0.25, 0.0));
        assert_eq!(signs("ab12"), (0.0, 0.5));
        assert_eq!(signs("ー々ｶﾞ１"), (0.0, 0.2));
        assert_eq!(signs("🙂🙂aé"), (0.5, 0.0));
        assert_eq!(signs(" \u{3000}"), (0.0, 0.0));
    }

    #[test]
    fn lines_are_looked_at() {
        let told = lines("・春\n\n 夏。 \n・春\nもっと読む…\n");
        let expected = Lines { mean: 3.0, repeated: 2.0 / 12.0, bullets: 0.5, ellipses: 0.25, ended: 0.5 };
        assert_eq!(told, expected);
        assert_eq!(lines(""), Lines::default());
        assert_eq!(lines("no end\nThe end.\n\"Really?\"").ended, 2.0 / 3.0);
    }

    #[test]
    fn repetition_counts_each_character_once() {
        assert_eq!(repeated("あいうえおかきくけこさしすせそ"), 0.0);
        assert_eq!(repeated(&"あいうえおかきくけこ".repeat(2)), 0.5);
        // All from the second on are within a run that came before.
        assert_eq!(repeated(&"あ".repeat(40)), 0.975);
        let words = "one two three four five six seven eight nine ten ";
        assert_eq!(repeated(&words.repeat(4)), 0.75);
        assert_eq!(repeated(""), 0.0);
    }
}
