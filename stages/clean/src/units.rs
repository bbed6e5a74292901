//! Text in units: a word, in scripts without spaces a character; and runs of units as hashes.
use crate::hash::mix;

/// What a character is to its neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Parts words and is nothing.
    Space,
    /// Part of a word.
    Word,
    /// A unit by itself: a letter of a script without spaces, a sign.
    Alone,
}

const ASCII: [Class; 128] = {
    let mut table = [Class::Alone; 128];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() {
            table[at] = Class::Word;
        } else if byte.is_ascii_whitespace() || byte == 0x0b {
            table[at] = Class::Space;
        }
        at += 1;
    }
    table
};

/// Whether words of the character's script stand without spaces: kana, kanji with their signs, Thai, Lao, Tibetan,
/// Burmese, Khmer.
#[inline]
fn spaceless(character: char) -> bool {
    matches!(u32::from(character),
        0x3001..=0x30ff | 0x3400..=0x9fff | 0x0e00..=0x0fff | 0x1000..=0x109f | 0x1780..=0x17ff
        | 0x31f0..=0x31ff | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x1_b000..=0x1_b16f | 0x2_0000..=0x3_ffff)
}

#[inline]
fn class(character: char) -> Class {
    if let Some(class) = ASCII.get(character as usize) {
        *class
    } else if spaceless(character) {
        Class::Alone
    } else if character.is_alphanumeric() {
        Class::Word
    } else if character.is_whitespace() {
        Class::Space
    } else {
        Class::Alone
    }
}

/// Hands hash and length in characters of each unit of `text` to `unit`.
#[inline]
pub(crate) fn units(text: &str, mut unit: impl FnMut(u64, u32)) {
    let (mut word, mut length) = (0u64, 0u32);
    for character in text.chars() {
        let code = u64::from(u32::from(character));
        match class(character) {
            Class::Word => {
                word = (word ^ code).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                word ^= word >> 29;
                length = length.saturating_add(1);
            }
            class => {
                if length > 0 {
                    // So that a word of one character is not that character alone.
                    unit(mix(word ^ 1 << 63), length);
                    (word, length) = (0, 0);
                }
                if class == Class::Alone {
                    unit(mix(code), 1);
                }
            }
        }
    }
    if length > 0 {
        unit(mix(word ^ 1 << 63), length);
    }
}

/// Rolls over units: after each it knows the hash of the last `n`.
pub(crate) struct Grams {
    last: Vec<u64>,
    at: usize,
    seen: usize,
    rolled: u64,
    /// What a unit has been multiplied by when it leaves.
    leaves: u64,
}

const BASE: u64 = 0xd6e8_feb8_6659_fd93;

impl Grams {
    pub(crate) fn new(n: u32) -> Self {
        let n = n.max(1);
        Self { last: vec![0; n as usize], at: 0, seen: 0, rolled: 0, leaves: BASE.wrapping_pow(n) }
    }

    /// Takes a unit; answers the run that it ends, not yet spread by [`mix`], once there are `n`.
    #[inline]
    pub(crate) fn push(&mut self, unit: u64) -> Option<u64> {
        let place = &mut self.last[self.at];
        let gone = std::mem::replace(place, unit);
        self.rolled =
            self.rolled.wrapping_mul(BASE).wrapping_add(unit).wrapping_sub(gone.wrapping_mul(self.leaves));
        self.at += 1;
        if self.at == self.last.len() {
            self.at = 0;
        }
        self.seen += 1;
        (self.seen >= self.last.len()).then_some(self.rolled)
    }

    /// What there is where fewer than `n` units came: one run of all.
    pub(crate) fn short(&self) -> Option<u64> {
        (self.seen < self.last.len()).then_some(self.rolled)
    }

    pub(crate) fn clear(&mut self) {
        self.last.fill(0);
        (self.at, self.seen, self.rolled) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<u32> {
        let mut all = Vec::new();
        units(text, |_, length| all.push(length));
        all
    }

    #[test]
    fn words_are_units_and_so_are_kana_and_kanji() {
        assert_eq!(lengths("Hello, big world"), [5, 1, 3, 5]);
        assert_eq!(lengths("東京はTOKYO2020です。"), [1, 1, 1, 9, 1, 1, 1]);
        assert_eq!(lengths(" \n\t\u{3000} "), [0u32; 0]);
        assert_eq!(lengths("ｶﾞ\0👨‍👩‍👧é"), [1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(lengths("한국어 서울"), [3, 2]);
    }

    #[test]
    fn a_run_is_known_wherever_it_stands() {
        let runs = |text: &str| {
            let (mut grams, mut all) = (Grams::new(3), Vec::new());
            units(text, |unit, _| all.extend(grams.push(unit)));
            all.extend(grams.short());
            all
        };
        assert_eq!(runs("日本語")[0], runs("これは日本語")[3]);
        assert_eq!(runs("日本 語"), runs("日\n本語"));
        assert_eq!((runs("日本語です").len(), runs("日本").len(), runs("").len()), (3, 1, 1));
        assert_ne!(runs("日本語"), runs("語本日"));
        assert_ne!(runs("ab c d"), runs("a bc d"));
    }
}
