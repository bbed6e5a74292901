//! How a tokenizer does on texts: characters and bytes per token, by language and by source, what it does not know, and
//! what comes back.
use crate::letters::{letters, readable};
use muse_artifacts::tokenizer::Tokenizer;
use serde::Serialize;
use std::collections::BTreeMap;

/// Samples of each source and of each language in a report.
const SAMPLES: usize = 3;
/// Characters of a sample.
const SAMPLE: usize = 60;

/// Figures of some texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) texts: u64,
    pub(crate) characters: u64,
    pub(crate) bytes: u64,
    pub(crate) tokens: u64,
    pub(crate) characters_per_token: f64,
    pub(crate) bytes_per_token: f64,
    /// Tokens that stand for what the vocabulary does not have: unknown ones, or bytes of a character.
    pub(crate) unknown: u64,
    /// Texts that do not come back from their tokens as they were.
    pub(crate) changed: u64,
}

/// A text and its tokens.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) tokens: Vec<String>,
}

/// What was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) total: Figures,
    pub(crate) languages: BTreeMap<&'static str, Figures>,
    pub(crate) sources: BTreeMap<String, Figures>,
    pub(crate) samples: Vec<Shown>,
}

/// Measures texts, each with its source.
pub(crate) fn measure<'a>(
    tokenizer: &Tokenizer,
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> muse_artifacts::Result<Measured> {
    let mut measured = Measured::default();
    let mut shown: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let unknown = tokenizer.role("unk_token").and_then(|token| tokenizer.token_id(token));
    let bytes: Vec<u32> =
        (0..256).filter_map(|byte| tokenizer.token_id(&format!("<0x{byte:02X}>"))).collect();
    for (source, text) in texts {
        let ids = tokenizer.encode(text)?;
        let missing = ids.iter().filter(|id| Some(**id) == unknown || bytes.contains(id)).count();
        let figures = Figures {
            texts: 1,
            characters: text.chars().count() as u64,
            bytes: text.len() as u64,
            tokens: ids.len() as u64,
            unknown: missing as u64,
            changed: u64::from(tokenizer.decode(&ids)? != text),
            ..Figures::default()
        };
        let language = language(text);
        measured.total.add(&figures);
        measured.languages.entry(language).or_default().add(&figures);
        if !measured.sources.contains_key(source) {
            measured.sources.insert(source.to_owned(), Figures::default());
        }
        if let Some(sum) = measured.sources.get_mut(source) {
            sum.add(&figures);
        }
        let count = shown.entry((source, language)).or_default();
        let line = text.lines().find(|line| !line.trim().is_empty());
        if let Some(line) = line.filter(|_| *count < SAMPLES) {
            *count += 1;
            measured.samples.push(show(tokenizer, &line.chars().take(SAMPLE).collect::<String>())?);
        }
    }
    measured.total.finish();
    measured.languages.values_mut().chain(measured.sources.values_mut()).for_each(Figures::finish);
    Ok(measured)
}

/// A text and its tokens as people read them.
pub(crate) fn show(tokenizer: &Tokenizer, text: &str) -> muse_artifacts::Result<Shown> {
    let letters = letters();
    let tokens = tokenizer.encode(text)?.into_iter().filter_map(|id| tokenizer.token(id));
    Ok(Shown { text: text.to_owned(), tokens: tokens.map(|token| readable(&letters, &token)).collect() })
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.texts += other.texts;
        self.characters += other.characters;
        self.bytes += other.bytes;
        self.tokens += other.tokens;
        self.unknown += other.unknown;
        self.changed += other.changed;
    }

    fn finish(&mut self) {
        let per = |count: u64| (count as f64 / self.tokens.max(1) as f64 * 1e4).round() / 1e4;
        (self.characters_per_token, self.bytes_per_token) = (per(self.characters), per(self.bytes));
    }
}

/// The language of a text, by its letters: kana make it Japanese, nothing but ASCII English; roughly, for figures.
fn language(text: &str) -> &'static str {
    let (mut kana, mut kanji, mut ascii, mut other) = (0_u64, 0, 0, 0);
    for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
        match letter {
            'ぁ'..='ヿ' | 'ｦ'..='ﾟ' => kana += 1,
            '々'..='〇' | '㐀'..='鿿' | '豈'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => kanji += 1,
            _ if letter.is_ascii() => ascii += 1,
            _ => other += 1,
        }
    }
    let all = kana + kanji + ascii + other;
    match () {
        () if kana > 0 && (kana + kanji) * 3 >= all => "ja",
        () if ascii > 0 && ascii * 10 >= all * 9 => "en",
        () => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_letters() {
        assert_eq!(language("東京タワーへ行くTOKYO"), "ja");
        assert_eq!(language("To be, or not to be: café"), "en");
        assert_eq!(language("Здравствуйте"), "other");
        assert_eq!(language("北京的天安门"), "other");
        assert_eq!(language("123 !?"), "other");
    }
}
