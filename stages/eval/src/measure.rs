//! Texts that are measured: what is asked of a text, what of it counts, and what its likelihood is divided by.
use crate::record::Measured;
use crate::task::Metric;
use muse_artifacts::tokenizer::Tokenizer;
use muse_stage::StageError;

/// Which tokens of a chat count: what the assistant says, but for special tokens, which are no text.
pub(crate) fn counts(ids: &[u32], said: &[bool], tokenizer: &Tokenizer) -> Vec<bool> {
    let special = |id: &u32| tokenizer.specials().iter().any(|(_, special)| special == id);
    ids.iter().zip(said).map(|(id, said)| *said && !special(id)).collect()
}

/// The size of what counts: of each part that stands together its text.
pub(crate) fn size_of(ids: &[u32], counts: &[bool], tokenizer: &Tokenizer) -> Result<Measured, StageError> {
    let (mut texts, mut tokens, mut at) = (Vec::new(), 0, 0);
    for part in counts.chunk_by(|a, b| a == b) {
        if part[0] {
            texts.push(tokenizer.decode(&ids[at..at + part.len()])?);
            tokens += part.len();
        }
        at += part.len();
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(size(tokens, &texts))
}

/// The size of a text that counts as a whole.
pub(crate) fn size_of_text(tokens: usize, text: &str) -> Measured {
    size(tokens, &[text])
}

fn size(tokens: usize, texts: &[&str]) -> Measured {
    let sum = |count: fn(&str) -> u64| texts.iter().map(|text| count(text)).sum();
    Measured {
        likelihood: 0.0,
        tokens: tokens as u64,
        bytes: sum(|text| text.len() as u64),
        unspaced: sum(unspaced),
        words: sum(words),
    }
}

/// How many words a text has: what stands between white space, as Python's `re.split` counts it.
pub(crate) fn words(text: &str) -> u64 {
    let space = |letter: char| letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter);
    let (mut words, mut before) = (1, false);
    for letter in text.chars() {
        words += u64::from(space(letter) && !before);
        before = space(letter);
    }
    words
}

/// How many letters a text has of scripts whose words stand side by side: Han, kana, Thai, Lao, Myanmar, Khmer.
pub(crate) fn unspaced(text: &str) -> u64 {
    let is = |letter: &char| {
        matches!(letter, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
    };
    text.chars().filter(is).count() as u64
}

/// What texts come to, counted together. A number that is too large is none.
pub(crate) fn measure(metric: Metric, all: &Measured) -> Option<f64> {
    let each = |count: u64| -all.likelihood / count.max(1) as f64;
    let figure = match metric {
        Metric::WordPerplexity => each(all.words).exp(),
        Metric::BytePerplexity => each(all.bytes).exp(),
        Metric::TokenPerplexity => each(all.tokens).exp(),
        _ => each(all.bytes) / 2.0_f64.ln(),
    };
    figure.is_finite().then_some(figure)
}

/// Whether white space parts the words of texts: in Japanese, Chinese and Thai it does not, and what stands between is a sentence.
pub(crate) fn has_words(all: &Measured) -> bool {
    all.unspaced < all.words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_chat_what_the_assistant_says_counts() {
        let folder = tempfile::tempdir().unwrap();
        crate::tests::tokenizer(folder.path());
        let tokenizer = Tokenizer::open(folder.path()).unwrap();
        let end = tokenizer.end_of_text().unwrap();
        let [asked, first, more, second] =
            ["why?", "空は 青い", "and?", "one two three"].map(|text| tokenizer.encode(text).unwrap());
        let parts = [(&asked, false), (&first, true), (&more, false), (&second, true)];
        let (mut ids, mut said, mut right) = (Vec::new(), Vec::new(), Vec::new());
        for (part, is_said) in parts {
            ids.extend(part.iter().chain([&end]));
            said.resize(ids.len(), is_said);
            right.resize(ids.len() - 1, is_said);
            // What ends a turn is no text.
            right.push(false);
        }
        let counts = counts(&ids, &said, &tokenizer);
        assert_eq!(counts, right);
        let tokens = (first.len() + second.len()) as u64;
        let right = Measured { likelihood: 0.0, tokens, bytes: 13 + 13, unspaced: 4, words: 2 + 3 };
        assert_eq!(size_of(&ids, &counts, &tokenizer).unwrap(), right);
        let nothing = size_of(&ids, &vec![false; ids.len()], &tokenizer).unwrap();
        assert_eq!(nothing, Measured::default());
    }

    #[test]
    fn figures_of_texts_are_worked_out_by_hand() {
        assert_eq!([words("a  b\nc"), words(""), words(" a "), words("日本\u{3000}語")], [3, 1, 3, 2]);
        let all = Measured { likelihood: -8.0 * 2.0_f64.ln(), tokens: 2, bytes: 4, unspaced: 0, words: 1 };
        let of = |metric| measure(metric, &all).unwrap();
        assert!((of(Metric::BitsPerByte) - 2.0).abs() < 1e-12);
        assert!((of(Metric::BytePerplexity) - 4.0).abs() < 1e-12);
        assert!((of(Metric::TokenPerplexity) - 16.0).abs() < 1e-9);
        assert!((of(Metric::WordPerplexity) - 256.0).abs() < 1e-9);
        assert_eq!(measure(Metric::WordPerplexity, &Measured { likelihood: -800.0, ..all }), None);
    }

    #[test]
    fn texts_have_words_where_white_space_parts_them() {
        let of = |text: &str| {
            has_words(&Measured { unspaced: unspaced(text), words: words(text), ..Measured::default() })
        };
        assert!(of("Donaudampfschifffahrt ist ein langes Wort.") && of("слова, слова, слова") && of(""));
        assert!(of("Mount Fuji (富士山) is a volcano.") && of("한국어는 낱말을 띄어 쓴다."));
        assert!(!of("そうですね。") && !of("好") && !of("สวัสดี") && !of("はい。 どうぞ。"));
        assert!(!of(
            "元気な豚です。紅葉が山を染めていました。名物は茄子です。\n絵は藤沢学校に住む正直な猿です。車を持っていることで知られています。"
        ));
    }
}
