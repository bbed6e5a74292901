//! What kind of character it is, as the regex engine sees it: one byte of flags for each, in a table of two levels.
use regex_syntax::hir::{Class, HirKind};

/// `\p{L}`.
pub(super) const LETTER: u8 = 1;
/// `\p{N}`.
pub(super) const NUMBER: u8 = 2;
/// `\s`.
pub(super) const SPACE: u8 = 4;
/// `[\r\n]`.
pub(super) const NEWLINE: u8 = 8;
/// Letters and marks of all scripts but the two below.
pub(super) const WORD: u8 = 16;
/// Kanji and katakana.
pub(super) const KANJI: u8 = 32;
/// Hiragana.
pub(super) const KANA: u8 = 64;
/// Not a character: the end of the text.
pub(super) const END: u8 = 128;

const PAGE: usize = 256;

/// The flags of every character.
pub(super) struct Table {
    /// Where the page of a character starts, by its number without the last eight bits.
    index: Vec<usize>,
    /// Pages, each different one once.
    pages: Vec<u8>,
}

impl Table {
    /// Asks the tables of the regex engine itself, so that the two agree by construction.
    pub(super) fn new(word: &str, kanji: &str, kana: &str) -> Self {
        let mut flags = vec![0_u8; 0x11_0000];
        let classes =
            [(LETTER, r"\p{L}"), (NUMBER, r"\p{N}"), (SPACE, r"\s"), (NEWLINE, r"[\r\n]"), (WORD, word)];
        for (flag, class) in classes.into_iter().chain([(KANJI, kanji), (KANA, kana)]) {
            for (first, last) in ranges(class) {
                if let Some(range) = flags.get_mut(first as usize..=last as usize) {
                    range.iter_mut().for_each(|flags| *flags |= flag);
                }
            }
        }
        let (mut index, mut pages) = (Vec::new(), Vec::<u8>::new());
        for page in flags.chunks(PAGE) {
            let there = pages.chunks(PAGE).position(|old| old == page);
            index.push(there.map_or(pages.len(), |at| at * PAGE));
            if there.is_none() {
                pages.extend(page);
            }
        }
        Self { index, pages }
    }

    /// The flags of the character that begins at a byte of UTF-8, and how many bytes it has.
    #[inline]
    pub(super) fn at(&self, text: &[u8], at: usize) -> (u8, usize) {
        let byte = |ahead: usize| text.get(at + ahead).map_or(0, |byte| u32::from(byte & 0x3f));
        match text.get(at) {
            None => (END, 0),
            Some(first @ ..0x80) => (self.pages[usize::from(*first)], 1),
            Some(first @ ..0xe0) => (self.flags(u32::from(first & 0x1f) << 6 | byte(1)), 2),
            Some(first @ ..0xf0) => (self.flags(u32::from(first & 0xf) << 12 | byte(1) << 6 | byte(2)), 3),
            Some(first) => {
                let number = u32::from(first & 7) << 18 | byte(1) << 12 | byte(2) << 6 | byte(3);
                (self.flags(number), 4)
            }
        }
    }

    #[inline]
    fn flags(&self, character: u32) -> u8 {
        let page = self.index.get((character >> 8) as usize).copied().unwrap_or_default();
        self.pages[page + (character & 0xff) as usize]
    }
}

fn ranges(class: &str) -> Vec<(u32, u32)> {
    let Ok(parsed) = regex_syntax::parse(class) else { return Vec::new() };
    match parsed.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_engine() {
        let table = Table::new(r"[\p{L}\p{M}]", "[一-鿿]", "[ぁ-ゟ]");
        let of = |text: &str| table.at(text.as_bytes(), 0);
        assert_eq!(of("a"), (LETTER | WORD, 1));
        assert_eq!(of("\u{301}"), (WORD, 2));
        assert_eq!(of("漢"), (LETTER | WORD | KANJI, 3));
        assert_eq!(of("あ"), (LETTER | WORD | KANA, 3));
        assert_eq!(of("𝟘"), (NUMBER, 4));
        assert_eq!(of("\n"), (SPACE | NEWLINE, 1));
        assert_eq!(of("\u{3000}"), (SPACE, 3));
        assert_eq!((of("!"), of("😀"), of("")), ((0, 1), (0, 4), (END, 0)));
    }
}
