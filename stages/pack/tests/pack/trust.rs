//! Odd documents, odd sizes, and every way in which there is nothing to pack.
use super::support::*;
use muse_artifacts::tokens::{Dtype, Split};
use muse_stage::{StageEvent, StageKind};
use muse_stage_pack::Pack;
use serde_json::json;
use std::fs;

#[test]
fn odd_texts_come_back_byte_by_byte() {
    let odd = [
        "emoji 👩‍👩‍👧‍👦 🇯🇵",
        "half-width ｶﾀｶﾅ",
        "NUL \0 and \u{7f}",
        "<|endoftext|> as a text<|im_end|>",
        "\n",
        " ",
        "e\u{301} \u{fffe} \u{10ffff}",
        "\u{feff}BOM",
        "ﾊﾟﾋﾟ mixed 混ぜた 文字 ١٢٣",
    ];
    let folder = place();
    corpus(folder.path(), "a", &odd.map(text));
    let tokens = run(folder.path(), json!({ "context": 16 }));
    let mut expected = odd.map(ids).to_vec();
    expected.sort();
    assert_eq!(all(&tokens), expected);
}

#[test]
fn a_document_of_ten_megabytes() {
    let folder = place();
    let long = "ながい文章 and more, ".repeat(10_000_000 / 26);
    assert!(long.len() > 9_900_000);
    corpus(folder.path(), "a", &[text("short"), text(&long), text("short too")]);
    let tokens = run(folder.path(), json!({ "context": 2048, "strategy": "best-fit" }));
    let longest = all(&tokens).into_iter().max_by_key(Vec::len).unwrap();
    assert!(bytes(&longest) == long.as_bytes());
}

#[test]
fn empty_documents_are_left_out_and_counted() {
    let folder = place();
    corpus(folder.path(), "a", &[text(""), text("a"), chat(&[]), text("b"), text("")]);
    let tokens = run(folder.path(), json!({ "context": 8 }));
    assert_eq!(all(&tokens), [ids("a"), ids("b")]);
    assert_eq!(report(folder.path())["empty"], 3);
    assert_eq!(report(folder.path())["total"]["documents"], 2);
}

#[test]
fn nothing_to_pack_is_an_error() {
    let folder = place();
    corpus(folder.path(), "a", &[]);
    let (message, help) = fails(folder.path(), json!({ "context": 8 }));
    assert_eq!(message, "nothing to pack: there are no documents");
    assert!(help.contains("muse inspect"), "{help}");

    let folder = place();
    corpus(folder.path(), "a", &[text(""), text("")]);
    let (message, _) = fails(folder.path(), json!({ "context": 8 }));
    assert_eq!(message, "nothing to pack: 2 documents, and all of them are empty");

    let (message, help) = fails(place().path(), json!({ "context": 8 }));
    assert_eq!(message, "there is nothing to pack");
    assert!(help.contains("`corpus`") && help.contains("`tokens`"), "{help}");
}

#[test]
fn one_document_is_shared_by_its_tail_alone() {
    let folder = place();
    corpus(folder.path(), "a", &[text("0123456789"), text("")]);
    let (message, help) = fails(folder.path(), json!({ "context": 4 }));
    assert_eq!(message, "one document cannot be shared between training and validation");
    assert!(help.contains("tail"), "{help}");

    let tokens = run(folder.path(), json!({ "context": 4, "validation": { "tail": 0.3 } }));
    // The first 70% of the text, and the rest with its end.
    assert_eq!(documents(&tokens, Split::Train), [ids("0123456")[..7].to_vec()]);
    assert_eq!(documents(&tokens, Split::Validation), [ids("789")]);
    assert_eq!(tokens.carry_loss(Split::Train), 6);

    let tokens = run(folder.path(), json!({ "context": 4, "validation": 0 }));
    assert_eq!(documents(&tokens, Split::Train), [ids("0123456789")]);
    assert_eq!((tokens.documents(Split::Validation), tokens.sequences(Split::Validation)), (0, 0));
}

#[test]
fn a_tail_is_the_end_of_all_texts() {
    let folder = place();
    corpus(folder.path(), "a", &[text("aaa"), text("bbb"), text("ccc")]);
    let parts = |tail| {
        let tokens = run(folder.path(), json!({ "context": 4, "validation": { "tail": tail } }));
        (documents(&tokens, Split::Train), documents(&tokens, Split::Validation))
    };
    assert_eq!(parts(0.3), (vec![ids("aaa"), ids("bbb")[..3].to_vec()], vec![vec![END], ids("ccc")]));
    assert_eq!(parts(0.28), (vec![ids("aaa"), ids("bbb")[..3].to_vec()], vec![vec![END], ids("ccc")]));
    assert_eq!(parts(0.27), (vec![ids("aaa"), ids("bbb")], vec![ids("ccc")]));
    assert_eq!(parts(1e-9), (vec![ids("aaa"), ids("bbb"), ids("cc")[..2].to_vec()], vec![ids("c")]));
    assert_eq!(parts(0.8), (vec![ids("aaa")[..2].to_vec()], vec![ids("a"), ids("bbb"), ids("ccc")]));
    let params = json!({ "context": 4, "validation": { "tail": 0.999_999 } });
    assert_eq!(fails(folder.path(), params).0, "no token carries loss: there is nothing to predict");
}

#[test]
fn contexts_from_one_on() {
    let folder = place();
    let texts: Vec<String> = (0..40).map(|at| "abcdefgh"[..at % 9].repeat(1 + at / 20)).collect();
    corpus(folder.path(), "a", &texts.iter().map(|one| text(one)).collect::<Vec<_>>());
    let mut expected: Vec<_> = texts.iter().filter(|one| !one.is_empty()).map(|one| ids(one)).collect();
    expected.sort();
    for strategy in ["concat", "best-fit", "balanced"] {
        for context in 1..=20 {
            let tokens = run(folder.path(), json!({ "context": context, "strategy": strategy }));
            assert_eq!(all(&tokens), expected, "{strategy} {context}");
            for split in Split::ALL {
                let held: usize = (0..tokens.sequences(split))
                    .map(|number| tokens.sequence(split, number).unwrap().used())
                    .sum();
                assert_eq!(held, documents(&tokens, split).concat().len(), "{strategy} {context}");
            }
        }
    }
}

#[test]
fn a_document_longer_than_everything() {
    let folder = place();
    corpus(folder.path(), "a", &[text("x"), text(&"abc".repeat(1000)), text("y")]);
    for strategy in ["best-fit", "balanced"] {
        let params = json!({ "context": 64, "strategy": strategy, "validation": 0 });
        let tokens = run(folder.path(), params);
        // 3001 tokens are 46 full sequences and a rest of 57, where both others have room.
        assert_eq!(tokens.sequences(Split::Train), 47);
        let report = report(folder.path());
        assert_eq!(
            (&report["train"]["cut"], &report["train"]["cut_though_they_fit"]),
            (&json!(1), &json!(0))
        );
    }
}

#[test]
fn two_bytes_a_token_up_to_65536() {
    for (extra, dtype) in [(65_536 - 260, Dtype::U16), (65_537 - 260, Dtype::U32)] {
        let folder = tempfile::tempdir().unwrap();
        let more: Vec<String> = (0..extra).map(|at| format!("<|extra {at}|>")).collect();
        let specials: Vec<&str> = SPECIALS.iter().copied().chain(more.iter().map(String::as_str)).collect();
        tokenizer(&folder.path().join("in/tokenizer"), &specials, &[]);
        corpus(folder.path(), "a", &[text("zoo"), text("ant")]);
        let tokens = run(folder.path(), json!({ "context": 8 }));
        assert_eq!((tokens.meta().dtype, tokens.meta().vocab_size), (dtype, 260 + extra));
        let mut found = all(&tokens);
        found.sort();
        let shifted =
            |word: &str| word.bytes().map(|byte| BYTE + extra + u32::from(byte)).chain([END]).collect();
        assert_eq!(found, [shifted("ant"), shifted("zoo")] as [Vec<u32>; 2]);
    }
}

#[test]
fn a_tokenizer_must_be_able_to_end_a_text() {
    let folder = tempfile::tempdir().unwrap();
    tokenizer(&folder.path().join("in/tokenizer"), &["<|pad|>"], &[]);
    corpus(folder.path(), "a", &[text("a"), text("b")]);
    let (message, help) = fails(folder.path(), json!({ "context": 8 }));
    assert!(message.contains("no token that ends a text"), "{message}");
    assert!(help.contains("special_tokens") && help.contains("eos_token"), "{help}");
}

#[test]
fn another_tokenizer_is_refused() {
    let folder = place();
    corpus(folder.path(), "a", &[text("a"), text("b")]);
    let tokens = run(folder.path(), json!({ "context": 8 }));
    let open = |folder: &std::path::Path| muse_artifacts::tokenizer::Tokenizer::open(folder).unwrap();
    tokens.check_tokenizer(open(&folder.path().join("in/tokenizer")).digest()).unwrap();
    let other = tempfile::tempdir().unwrap();
    tokenizer(other.path(), &SPECIALS, &["user"]);
    let said = tokens.check_tokenizer(open(other.path()).digest()).unwrap_err().to_string();
    assert!(said.contains("their ids mean other texts"), "{said}");
}

#[test]
fn a_broken_corpus_is_an_error_and_leaves_nothing_that_opens() {
    let folder = place();
    corpus(folder.path(), "a", &[text("a"), text("b")]);
    let path = folder.path().join("in/corpus/a/00000.parquet");
    let mut bytes = fs::read(&path).unwrap();
    // Behind the magic, where the pages are.
    bytes[8..60].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let (message, _) = fails(folder.path(), json!({ "context": 8 }));
    assert!(message.contains("00000.parquet"), "{message}");
    assert!(muse_artifacts::tokens::Tokens::open(&folder.path().join("out/tokens")).is_err());
}

#[test]
fn whoever_is_told_to_stop_stops() {
    let folder = place();
    corpus(folder.path(), "a", &[text("a"), text("b")]);
    corpus(folder.path(), "b", &[text("c"), text("d")]);
    for params in [json!({ "context": 8 }), json!({ "context": 8, "strategy": "balanced" })] {
        assert_eq!(run_until(folder.path(), params, 2, true), StageEvent::Interrupted);
    }
}

#[test]
fn parameters_that_make_no_sense() {
    let wrong = |params: serde_json::Value| Pack.check_json(&params).unwrap_err();
    assert_eq!(wrong(json!({ "context": 0 })).pointer, "/context");
    assert_eq!(wrong(json!({ "context": "1T" })).pointer, "/context");
    assert_eq!(wrong(json!({ "context": 8, "tokens": "a.bin", "mask": "assistant" })).pointer, "/mask");
    assert_eq!(wrong(json!({ "context": 8, "also": ["muse", "muse"] })).pointer, "/also/1");
    for validation in
        [json!(1), json!(-0.1), json!({ "tail": 0 }), json!({ "tail": 0.1, "head": 1 }), json!("x")]
    {
        let said = wrong(json!({ "context": 8, "validation": validation })).message;
        assert!(said.contains("no share of the documents"), "{said}");
    }
    let idle = Pack.check_json(&json!({ "context": 8, "dtype": "u32" })).unwrap().idle;
    assert_eq!(idle, ["dtype"]);
    assert_eq!(
        run_with(place().path(), json!({ "context": 8 }), 1),
        StageEvent::Failed {
            message: "there is nothing to pack".into(),
            help: Some(
                "connect a stage that makes a corpus to the port `corpus`, or name flat files in `tokens`"
                    .into()
            ),
        }
    );
}
