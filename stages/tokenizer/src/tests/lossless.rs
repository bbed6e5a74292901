//! decode(encode(x)) = x for every text, whatever the algorithm.
use super::{LINES, documents, params, train};
use crate::tests::Run;
use muse_artifacts::tokenizer::Tokenizer;
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;

static TRAINED: LazyLock<Vec<(Run, Tokenizer)>> = LazyLock::new(|| {
    let with = [
        json!({}),
        json!({ "split": "gpt4" }),
        json!({ "split": "gpt2" }),
        json!({ "algorithm": "unigram" }),
        json!({ "algorithm": "char" }),
        json!({ "algorithm": "byte" }),
        json!({ "special_tokens": ["harbour", "<0x41>", "の図書館", "[PAD]"] }),
        json!({ "algorithm": "unigram", "special_tokens": ["harbour", "</s>"] }),
    ];
    let runs = with.into_iter().map(|with| train(&params(with), &documents()));
    runs.map(|run| (run.open(), run)).map(|(tokenizer, run)| (run, tokenizer)).collect()
});

fn comes_back(text: &str) {
    for (_, tokenizer) in TRAINED.iter() {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        // The quick way is the library's way.
        assert_eq!(tokenizer.encode_slowly(text).unwrap(), ids, "{text:?}");
        // Special tokens that stand in a text are text.
        for (special, id) in tokenizer.specials() {
            assert!(!ids.contains(id), "{special} in the ids of {text:?}");
        }
    }
}

#[test]
fn lines_come_back() {
    LINES.iter().for_each(|line| comes_back(line));
    comes_back("");
    comes_back(&LINES.concat());
    comes_back("harbour の図書館 [PAD]</s><|pad|>");
}

#[test]
fn every_character_comes_back() {
    for first in (0..0x11_0000_u32).step_by(0x2000) {
        comes_back(&(first..first + 0x2000).step_by(31).filter_map(char::from_u32).collect::<String>());
    }
}

#[test]
fn a_long_line_comes_back() {
    for unit in ["あ", "ab", "=", " ", "漢字かな "] {
        comes_back(&unit.repeat(3000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..Default::default() })]

    #[test]
    fn any_text_comes_back(text in any::<String>()) {
        comes_back(&text);
    }

    #[test]
    fn mixed_text_comes_back(
        text in "([ -~]|[ぁ-ゟァ-ヿ一-龥ｦ-ﾟ]|\\s|<\\|endoftext\\|>|<\\|pad\\|>|harbour|<0x41>|[😀-😂]|[\u{300}-\u{305}]|\u{0}){0,30}"
    ) {
        comes_back(&text);
    }
}
