//! Inputs that are odd, empty, huge or broken.
use super::*;

const ODD: [&str; 9] = [
    "👨‍👩‍👧‍👦🏳️‍🌈👍🏽 emoji",
    "ﾊﾝｶｸ ｶﾀｶﾅ ﾀﾞｿﾞ",
    "漢字かなカナABCабвعربיהودไทย한국",
    "before\0after",
    "\u{feff}\u{202e}\u{200b}mark",
    "a\r\nb\u{2028}c\u{85}d",
    "𠮷野家𩸽\u{e0100}",
    "\u{10ffff}\u{fffd}\u{e000}",
    "e\u{301}\u{301}\u{301}",
];

fn everything() -> Value {
    json!({ "normalize": "none", "min_chars": 1, "dedup": "minhash", "shuffle": true, "language": "any",
        "quality": { "max_symbols": 1, "max_digits": 1, "min_mean_line": 0, "max_mean_line": 1e9,
            "max_repeated_lines": 1, "max_repeated_ngrams": 1, "max_bullet_lines": 1, "max_ellipsis_lines": 1,
            "min_ended_lines": 0, "forbidden": ["\u{1}"] } })
}

#[test]
fn odd_text_passes_unchanged() {
    for (with, sort) in [(json!({ "normalize": "none" }), false), (everything(), true)] {
        let mut expected = texts(ODD);
        let mut found = clean(with, &[("a", expected.clone())]).documents;
        if sort {
            expected.sort();
            found.sort();
        }
        assert_eq!(found, expected);
    }
    for language in ["ja", "en", "zh", "ko"] {
        let with = json!({ "normalize": "nfkc", "language": [language] });
        let mut documents = texts(ODD);
        documents.push(Document::text(
            ["これは日本語です", "plain", "我是", "한국"]
                [["ja", "en", "zh", "ko"].iter().position(|one| *one == language).unwrap()],
            "s",
        ));
        assert!(!clean(with, &[("a", documents)]).documents.is_empty());
    }
}

#[test]
fn a_huge_document_passes_and_its_copy_goes() {
    let huge = (0..2000).map(sentence).collect::<String>().repeat(15);
    assert!(huge.len() > 10_000_000);
    let other = huge.replacen('あ', "い", 300);
    let documents = vec![Document::text(&huge, "s"), Document::text("短い", "s"), Document::text(other, "s")];
    let mut run = clean(everything(), &[("a", documents)]);
    run.documents.sort();
    let mut expected = [Document::text("短い", "s"), Document::text(huge, "s")];
    expected.sort();
    assert!(run.documents == expected);
    let same = "ああああ\n".repeat(100_000);
    assert!(
        clean(everything(), &[("a", vec![Document::text(&same, "s")])]).documents
            == [Document::text(same, "s")]
    );
}

#[test]
fn empty_documents_go_unless_they_are_asked_for() {
    let empty = || {
        vec![Document::text("", "s"), Document::chat(vec![], "s"), chat(&[("user", ""), ("assistant", " ")])]
    };
    let mut documents = empty();
    documents.push(Document::text("a", "s"));
    let run = clean(json!({}), &[("a", documents)]);
    assert_eq!((run.documents.len(), run.dropped("min_chars")), (1, 3));
    assert_eq!(run.report["dropped"]["rules"]["min_chars"]["samples"][0]["value"], 0);
    for dedup in ["none", "exact", "minhash"] {
        assert!(!clean(json!({ "min_chars": 0, "dedup": dedup }), &[("a", empty())]).documents.is_empty());
    }
}

#[test]
fn nothing_left_is_an_error_that_says_what_dropped_it() {
    let documents = texts(["短い", "1234567890", "これは日本語の文章です。"]);
    for dedup in ["none", "minhash"] {
        let with = json!({ "min_chars": 5, "language": "en", "dedup": dedup });
        let Err(StageError::Failed { message, help }) = try_clean(&with, &[("a", documents.clone())], 2)
        else {
            panic!("no error");
        };
        assert_eq!(
            message,
            "nothing is left of 3 documents: min_chars dropped 1, language dropped 2, for one (2): \"短い\""
        );
        assert_eq!(help.as_deref(), Some("loosen these rules under `with`"));
    }
    let error = try_clean(&json!({}), &[("a", vec![])], 2).err().unwrap().to_string();
    assert_eq!(error, "there is nothing to clean: the corpora have no documents");
    // One that is empty beside another is no error.
    assert_eq!(clean(json!({}), &[("a", vec![]), ("b", texts(["a"]))]).documents.len(), 1);
}

#[test]
fn a_chat_keeps_all_that_it_has() {
    let tool =
        Message { extra: Some(r#"{"tool_calls":[{"name":"f"}]}"#.into()), ..Message::new("assistant", "") };
    let one =
        Document::chat(vec![Message::new("system", ""), Message::new("user", "か\u{3099}"), tool], "chat");
    let mut expected = one.clone();
    if let muse_artifacts::corpus::Body::Chat(messages) = &mut expected.body {
        messages[1].content = "が".into();
    }
    for with in [json!({}), json!({ "shuffle": true, "dedup": "minhash" })] {
        let run = clean(with, &[("a", vec![one.clone()])]);
        assert_eq!(run.documents, [expected.clone()]);
        assert_eq!((&run.report["normalized"], &run.report["read"]["documents"]), (&json!(1), &json!(1)));
    }
}

#[test]
fn a_file_that_was_cut_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = CorpusWriter::create(&folder.path().join("in")).unwrap();
    (0..1000).for_each(|number| writer.push(&Document::text(sentence(number), "s").borrow()).unwrap());
    writer.finish(json!({})).unwrap();
    let path = folder.path().join("in/00000.parquet");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 3..whole.len() / 2].fill(0xff);
    for bytes in [&whole[..whole.len() / 2], &[], &flipped] {
        std::fs::write(&path, bytes).unwrap();
        let with = json!({ "dedup": "minhash" });
        let job = job(folder.path(), with.clone(), vec![(String::new(), "in".into())], 2);
        let mut context = Context::new(job, Arc::new(AtomicBool::new(false)), |_| {});
        let error = Clean.run_json(&mut context, with).unwrap_err().to_string();
        assert!(error.contains("00000.parquet"), "{error}");
        _ = std::fs::remove_dir_all(folder.path().join("similar"));
    }
}
