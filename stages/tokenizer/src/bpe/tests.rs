//! Merges and vocabularies are those of the tokenizers crate.
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::Trainer;
use tokenizers::models::bpe::{BPE, BpeTrainer};

type Made = (BTreeMap<String, u32>, Vec<[String; 2]>);

fn mine(words: &[(String, u64)], size: usize, min_frequency: u64, max_length: usize) -> Made {
    let mut vocabulary = Vocabulary::default();
    vocabulary.push("<s>".into());
    let letters: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
    letters.iter().for_each(|letter| _ = vocabulary.push(letter.to_string()));
    let mut counted = Words::default();
    let mut together: BTreeMap<&str, u64> = BTreeMap::new();
    words.iter().for_each(|(word, count)| *together.entry(word).or_default() += count);
    for (word, count) in together {
        counted.push(word.chars().map(|letter| vocabulary.id(&letter.to_string()).unwrap()), count);
    }
    let limits = Limits { size, min_frequency, max_length, closed: FxHashSet::default() };
    let merges = learn(counted, &mut vocabulary, &limits, |_| Ok::<_, ()>(())).unwrap();
    let text = |id| vocabulary.text(id).to_owned();
    let merges = merges.iter().map(|merge| [text(merge.left), text(merge.right)]).collect();
    (vocabulary.iter().map(|(text, id)| (text.to_owned(), id as u32)).collect(), merges)
}

fn theirs(words: &[(String, u64)], size: usize, min_frequency: u64, max_length: usize) -> Made {
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(size)
        .min_frequency(min_frequency)
        .max_token_length(Some(max_length + 1))
        .special_tokens(vec![tokenizers::AddedToken::from("<s>", true)])
        .build();
    let texts = words.iter().flat_map(|(word, count)| std::iter::repeat_n(word, *count as usize));
    trainer.feed(texts, |word| Ok(vec![word.to_owned()])).unwrap();
    let mut model = BPE::default();
    trainer.train(&mut model).unwrap();
    let merges = serde_json::to_value(&model).unwrap()["merges"].clone();
    (model.get_vocab().into_iter().collect(), serde_json::from_value(merges).unwrap())
}

fn agree(words: &[(String, u64)], size: usize, min_frequency: u64, max_length: usize) {
    let (mine, theirs) =
        (mine(words, size, min_frequency, max_length), theirs(words, size, min_frequency, max_length));
    assert_eq!(mine.1, theirs.1, "merges");
    assert_eq!(mine.0, theirs.0, "vocabulary");
}

#[test]
fn ties_runs_and_tokens_made_in_two_ways() {
    let words =
        |list: &[(&str, u64)]| list.iter().map(|(word, count)| ((*word).into(), *count)).collect::<Vec<_>>();
    agree(&words(&[("ab", 1), ("cd", 1), ("ba", 1), ("dc", 1)]), 100, 1, 64);
    agree(&words(&[("aaaa", 3), ("aaaaa", 2), ("aaab", 5), ("baaa", 1)]), 100, 1, 64);
    agree(&words(&[("abc", 5), ("ab", 3), ("bc", 4), ("abcabc", 2), ("xbc", 3)]), 100, 1, 64);
    agree(&words(&[("aaaaaaaaaaaaaaaa", 9)]), 100, 1, 5);
    agree(&[], 100, 1, 64);
}

#[test]
fn counts_beyond_32_bits_do_not_overflow() {
    let most = 3 << 31;
    let (vocabulary, merges) = mine(&[("ab".into(), most), ("cd".into(), 5)], 100, 2, 64);
    assert_eq!(merges, [["a", "b"], ["c", "d"]].map(|pair| pair.map(str::to_owned)));
    assert_eq!(vocabulary["ab"], 5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn merges_are_those_of_the_library(
        words in prop::collection::vec(("[a-c]{1,8}|[a-f]{1,12}|[あ-お]{1,6}", 1_u64..20), 1..40),
        size in 5_usize..80,
        min_frequency in 1_u64..6,
        max_length in prop::sample::select(vec![3_usize, 4, 6, 64]),
    ) {
        agree(&words, size, min_frequency, max_length);
    }
}
