//! What users rely on: determinism, parameters that do what they say, errors that tell.
use super::{LINES, documents, params, text, train, try_train};
use crate::Tokenize;
use muse_artifacts::corpus::{Document, Message, MessageRef};
use muse_stage::StageKind;
use serde_json::{Value, json};

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    for with in [json!({}), json!({ "algorithm": "unigram" }), json!({ "algorithm": "char" })] {
        let one = try_train(&params(with.clone()), &documents(), None, 1).unwrap();
        let seven = try_train(&params(with.clone()), &documents(), None, 7).unwrap();
        assert_eq!(one.bytes(), seven.bytes(), "{with}");
    }
}

#[test]
fn special_tokens_come_first_and_have_roles() {
    let run = train(&params(json!({})), &documents());
    let tokenizer = run.open();
    for (id, token) in (0..).zip(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]) {
        assert_eq!(tokenizer.token_id(token), Some(id));
    }
    assert_eq!(tokenizer.end_of_text(), Some(0));
    assert_eq!(run.json("special_tokens_map.json")["pad_token"], "<|pad|>");
    let config = run.json("tokenizer_config.json");
    assert_eq!(
        (&config["eos_token"], &config["tokenizer_class"], &config["clean_up_tokenization_spaces"]),
        (&"<|endoftext|>".into(), &"PreTrainedTokenizerFast".into(), &false.into())
    );
    let chat = |role, content| MessageRef { role, content, extra: None };
    let encoded = tokenizer.encode_chat(&[chat("user", "東京"), chat("assistant", "はい")]).unwrap();
    let learned: Vec<u32> = encoded
        .ids
        .iter()
        .zip(&encoded.learned)
        .filter(|(_, learned)| **learned)
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(tokenizer.decode(&learned).unwrap(), "はい<|im_end|>");
    assert_eq!(
        tokenizer.decode(&encoded.ids).unwrap(),
        "<|im_start|>user\n東京<|im_end|>\n<|im_start|>assistant\nはい<|im_end|>\n"
    );

    let own = train(&params(json!({ "special_tokens": ["</s>", "<PAD>", "<x>"] })), &documents());
    let config = own.json("tokenizer_config.json");
    assert_eq!((&config["eos_token"], &config["pad_token"]), (&"</s>".into(), &"<PAD>".into()));
    assert_eq!(own.open().end_of_text(), Some(0));
}

#[test]
fn a_mode_reads_less_and_asks_for_more() {
    // 24 times, 12 times, 6 times, 3 times.
    let words = [("zebra", 24), ("mango", 12), ("cello", 6), ("pixie", 3)];
    let lines = words.iter().flat_map(|(word, count)| std::iter::repeat_n(*word, *count));
    let documents: Vec<Document> = lines.map(text).collect();
    let known = |mode: &str| {
        let tokenizer = train(&params(json!({ "mode": mode })), &documents).open();
        words.iter().filter(|(word, _)| tokenizer.encode(word).unwrap().len() == 1).count()
    };
    assert_eq!(["default", "fast", "turbo", "ultrafast"].map(known), [4, 3, 2, 1]);
    let tokenizer = train(&params(json!({ "mode": "ultrafast", "min_frequency": 2 })), &documents).open();
    assert_eq!(tokenizer.encode("pixie").unwrap().len(), 1);
}

#[test]
fn a_sample_reads_a_part() {
    let documents: Vec<_> = (0..2000).map(|at| text(&format!("line {at} {}", "word ".repeat(100)))).collect();
    let run = train(&params(json!({ "sample": "100kB" })), &documents);
    let bytes = run.report["read"]["bytes"].as_u64().unwrap();
    assert!((90_000..120_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_corpus_too_small_is_a_warning_and_an_empty_one_too() {
    let run = train(&params(json!({})), &[text("abab")]);
    assert_eq!(run.report["vocabulary"]["tokens"], 261);
    let warnings = run.report["warnings"].to_string();
    assert!(warnings.contains("the vocabulary has 261 tokens, not 700"), "{warnings}");
    for algorithm in ["bpe", "unigram", "char", "byte"] {
        let run = train(&params(json!({ "algorithm": algorithm })), &[]);
        assert!(run.report["warnings"].to_string().contains("no text"), "{algorithm}");
        assert_eq!(run.report["vocabulary"]["tokens"], 260, "{algorithm}");
        let tokenizer = run.open();
        assert_eq!(tokenizer.decode(&tokenizer.encode("東京").unwrap()).unwrap(), "東京", "{algorithm}");
    }
}

#[test]
fn chats_count_by_what_was_said() {
    let turns = |content: &str| {
        let extra = Some(r#"{"note":"zzzz zzzz zzzz"}"#.into());
        vec![Message { role: "assistant".into(), content: content.into(), extra }]
    };
    let chat: Vec<_> = (0..5).map(|_| Document::chat(turns("bonjour bonjour"), "chat")).collect();
    let run = train(&params(json!({})), &chat);
    assert_eq!(run.report["read"]["words"], 10);
    let tokenizer = run.open();
    assert_eq!(tokenizer.encode("bonjour").unwrap().len(), 1);
    assert!(tokenizer.encode("assistant").unwrap().len() > 1 && tokenizer.encode("zzzz").unwrap().len() > 1);
}

#[test]
fn normalising_and_a_space_only_where_asked_for() {
    let with = json!({ "normalize": "nfkc", "add_prefix_space": true });
    for with in [with.clone(), {
        let mut with = with;
        with["algorithm"] = "char".into();
        with
    }] {
        let tokenizer = train(&params(with), &documents()).open();
        assert_eq!(tokenizer.decode(&tokenizer.encode("ﾗｰﾒﾝ か\u{3099}").unwrap()).unwrap(), " ラーメン が");
    }
    // What is counted is what will be seen: full-width words teach the plain ones.
    let wide: Vec<_> = (0..5).map(|_| text("ｈａｒｂｏｕｒ")).collect();
    let tokenizer = train(&params(json!({ "normalize": "nfkc" })), &wide).open();
    assert_eq!(tokenizer.encode("harbour").unwrap().len(), 1);
}

#[test]
fn a_chat_template_of_ones_own() {
    let run = |template: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.jinja");
        std::fs::write(&path, template).unwrap();
        try_train(&params(json!({ "chat_template": path })), &documents(), None, 1)
    };
    let good =
        run("{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}").unwrap();
    let message = MessageRef { role: "user", content: "hi", extra: None };
    let tokenizer = good.open();
    let ids = tokenizer.encode_chat(&[message]).unwrap().ids;
    assert_eq!(tokenizer.decode(&ids).unwrap(), "[user] hi\n");
    let error = run("{% for message in messages %}").err().unwrap().to_string();
    assert!(error.contains("chat template"), "{error}");
}

#[test]
fn parameters_that_make_no_sense_say_so() {
    let wrong = |with: Value| Tokenize.check_json(&with).unwrap_err();
    let error = wrong(json!({ "vocab_size": 100 }));
    assert_eq!((error.pointer.as_str(), error.message.as_str()), ("/vocab_size", "100 tokens are too few"));
    assert!(error.help.unwrap().contains("at least 260"));
    assert_eq!(wrong(json!({ "special_tokens": ["<a>", "<a>"] })).pointer, "/special_tokens/1");
    assert_eq!(wrong(json!({ "special_tokens": [""] })).pointer, "/special_tokens/0");
    assert_eq!(wrong(json!({ "special_tokens": ["x"] })).pointer, "/special_tokens/0");
    assert_eq!(wrong(json!({ "max_token_length": 2 })).pointer, "/max_token_length");
    assert_eq!(wrong(json!({ "sample": 0 })).pointer, "/sample");
    assert_eq!(wrong(json!({ "min_frequency": 0 })).pointer, "/min_frequency");
    assert_eq!(wrong(json!({ "vocab_size": "5B" })).pointer, "/vocab_size");
    Tokenize.check_json(&json!({ "vocab_size": 1, "algorithm": "byte" })).unwrap();
}

#[test]
fn fields_that_change_nothing_are_idle() {
    let idle = |with: Value| Tokenize.check_json(&with).unwrap().idle;
    assert_eq!(idle(json!({})), [""; 0]);
    assert_eq!(idle(json!({ "sample": "1MB", "min_frequency": 3, "mode": "turbo" })), ["mode"]);
    assert_eq!(idle(json!({ "algorithm": "char" })), ["max_token_length"]);
    assert!(idle(json!({ "algorithm": "byte" })).contains(&"vocab_size"));
}

#[test]
fn tokenizers_are_compared_and_a_broken_one_is_named() {
    let (pairs, bytes) =
        (train(&params(json!({})), &documents()), train(&json!({ "algorithm": "byte" }), &[]));
    let empty = tempfile::tempdir().unwrap();
    let texts: Vec<String> = LINES.iter().map(|line| (*line).to_owned()).collect();
    let compared = crate::compare(&[pairs.path(), bytes.path(), empty.path().to_owned()], &texts);
    let rows = compared["tokenizers"].as_array().unwrap();
    let per_token = |row: &Value| row["languages"]["ja"]["characters_per_token"].as_f64().unwrap();
    assert!(per_token(&rows[0]) > 1.5 * per_token(&rows[1]), "{compared:#}");
    assert_eq!(
        (&rows[1]["total"]["bytes_per_token"], &rows[1]["total"]["changed"]),
        (&1.0.into(), &0.into())
    );
    assert_eq!(rows[0]["samples"].as_array().unwrap().len(), 5);
    assert!(rows[2]["error"].as_str().unwrap().contains("tokenizer.json"));
}
