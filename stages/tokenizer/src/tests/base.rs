//! Going on from a tokenizer that there is.
use super::{LINES, documents, params, text, train, try_train};
use muse_artifacts::corpus::Document;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokenizers::Model;

/// Words that the base has never seen.
fn more() -> Vec<Document> {
    let texts = [
        "量子コンピューターの研究",
        "quantum entanglement theory",
        "素粒子物理学を学ぶ",
        "das Straßenbahngleis",
    ];
    (0..8).flat_map(|_| texts.map(text)).collect()
}

fn vocabulary(json: &Value) -> Vec<(String, u64)> {
    let tokens = json["model"]["vocab"].as_object().unwrap();
    tokens.iter().map(|(token, id)| (token.clone(), id.as_u64().unwrap())).collect()
}

#[test]
fn ids_and_merges_stay_and_every_new_token_is_reached() {
    let base = train(&params(json!({ "vocab_size": 400 })), &documents());
    let run = try_train(&json!({ "vocab_size": 460 }), &more(), Some(&base.path()), 2).unwrap();
    let (old, new) = (base.json("tokenizer.json"), run.json("tokenizer.json"));
    let (old_tokens, new_tokens) = (vocabulary(&old), vocabulary(&new));
    assert!(old_tokens.iter().all(|token| new_tokens.contains(token)));
    let merges = |json: &Value| json["model"]["merges"].as_array().unwrap().clone();
    assert!(merges(&new).starts_with(&merges(&old)) && merges(&new).len() > merges(&old).len());
    assert_eq!(new["added_tokens"], old["added_tokens"]);
    assert_eq!(run.open().vocab_size(), 460);
    // Each new token is what its own letters, or a text of the corpus, become.
    let model = tokenizers::Tokenizer::from_file(run.path().join("tokenizer.json")).unwrap();
    let tokenizer = run.open();
    let mut reached = BTreeSet::new();
    for document in more() {
        for text in document.borrow().texts() {
            reached.extend(tokenizer.encode(text).unwrap());
        }
    }
    for id in 400..460 {
        if !reached.contains(&id) {
            let letters = tokenizer.token(id).unwrap();
            let ids: Vec<u32> =
                model.get_model().tokenize(&letters).unwrap().iter().map(|token| token.id).collect();
            assert_eq!(ids, [id], "{letters}");
        }
    }
    assert!(tokenizer.encode("quantum").unwrap().len() < base.open().encode("quantum").unwrap().len());
    for line in LINES {
        assert_eq!(tokenizer.decode(&tokenizer.encode(line).unwrap()).unwrap(), line);
        assert_eq!(tokenizer.encode(line).unwrap(), tokenizer.encode_slowly(line).unwrap());
    }
}

#[test]
fn going_on_with_the_same_text_is_training_in_one_go() {
    let whole = train(&params(json!({ "vocab_size": 500 })), &documents());
    let half = train(&params(json!({ "vocab_size": 400 })), &documents());
    let rest = try_train(&json!({ "vocab_size": 500 }), &documents(), Some(&half.path()), 2).unwrap();
    assert_eq!(whole.json("tokenizer.json"), rest.json("tokenizer.json"));
}

#[test]
fn a_base_with_added_tokens_behind_its_model_and_another_cut_keeps_its_ids() {
    // As Llama 3 has them: special tokens that the model does not hold, and a pattern that muse does not know.
    let folder = tempfile::tempdir().unwrap();
    let base = train(&params(json!({ "vocab_size": 300, "special_tokens": [] })), &documents());
    let mut json = base.json("tokenizer.json");
    json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}+|\s+|[^\s\p{L}]+".into();
    json["added_tokens"] = json!([{ "id": 300, "content": "<|begin|>", "single_word": false, "lstrip": false,
                                    "rstrip": false, "normalized": false, "special": true }]);
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::write(
        folder.path().join("tokenizer_config.json"),
        r#"{"bos_token":"<|begin|>","model_max_length":77}"#,
    )
    .unwrap();
    let with = json!({ "vocab_size": 370, "special_tokens": ["<|im_start|>", "<|im_end|>"] });
    let run = try_train(&with, &more(), Some(folder.path()), 1).unwrap();
    let tokenizer = run.open();
    let ids = ["<|begin|>", "<|im_start|>", "<|im_end|>"].map(|token| tokenizer.token_id(token).unwrap());
    assert_eq!((ids, tokenizer.vocab_size()), ([300, 301, 302], 370));
    let tokens =
        |tokenizer: &muse_artifacts::tokenizer::Tokenizer| tokenizer.encode("quantum").unwrap().len();
    assert!(tokens(&tokenizer) < tokens(&base.open()));
    let config = run.json("tokenizer_config.json");
    assert_eq!((&config["bos_token"], &config["model_max_length"]), (&"<|begin|>".into(), &77.into()));
    assert!(tokenizer.has_chat_template(), "ChatML, for which there are tokens now");
}

#[test]
fn a_base_of_sentencepiece_is_gone_on_from() {
    // As Llama 2: no words, spaces as ▁, bytes as tokens of their own.
    let letters = "abcdefghijklmnopqrstuvwxyz▁";
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let tokens = ["<unk>".to_owned()]
        .into_iter()
        .chain(bytes)
        .chain(letters.chars().map(String::from))
        .chain(["▁q".into()]);
    let vocab: serde_json::Map<_, _> = tokens.zip(0..).map(|(token, id)| (token, Value::from(id))).collect();
    let size = vocab.len();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" }, { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }] },
        "pre_tokenizer": null, "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" },
            { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] },
        "model": { "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                   "vocab": vocab, "merges": ["▁ q"] },
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    let run = try_train(&json!({ "vocab_size": size + 300 }), &more(), Some(folder.path()), 1).unwrap();
    let tokenizer = run.open();
    assert_eq!(tokenizer.encode("quantum quantum").unwrap().len(), 2);
    assert_eq!(
        tokenizer.decode(&tokenizer.encode("quantum 量子 theory").unwrap()).unwrap(),
        "quantum 量子 theory"
    );
    // No token is made of the tokens of bytes, or reaches across a space.
    let new: Vec<_> =
        vocabulary(&run.json("tokenizer.json")).into_iter().filter(|(_, id)| *id >= size as u64).collect();
    assert!(
        new.iter().all(|(token, _)| !token.contains('<') && token.rfind('▁').is_none_or(|at| at == 0)),
        "{new:?}"
    );
}

#[test]
fn what_cannot_be_gone_on_from_says_why() {
    let base = train(&params(json!({ "vocab_size": 400 })), &documents());
    let unigram = train(&params(json!({ "algorithm": "unigram" })), &documents());
    let wrong = |with: Value, base: &std::path::Path| {
        try_train(&with, &more(), Some(base), 1).err().unwrap().to_string()
    };
    assert!(
        wrong(json!({ "vocab_size": 400 }), &base.path())
            .contains("it has 400 tokens already, and 400 are asked for")
    );
    let three = json!({ "vocab_size": 402, "special_tokens": ["<a>", "<b>", "<c>"] });
    assert!(wrong(three, &base.path()).contains("already and 3 more are special, and 402 are asked for"));
    assert!(wrong(json!({}), &unigram.path()).contains("only byte-pair tokenizers"));
    assert!(wrong(json!({ "algorithm": "char" }), &base.path()).contains("are its own"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert!(wrong(json!({}), folder.path()).contains("not a tokenizer"));
    let mut far = base.json("tokenizer.json");
    far["model"]["vocab"]["far"] = 4_000_000_000_u32.into();
    std::fs::write(folder.path().join("tokenizer.json"), far.to_string()).unwrap();
    assert!(wrong(json!({}), folder.path()).contains("it has 4000000001 tokens already"));
}

#[test]
fn what_is_asked_for_as_special_is_special_though_the_base_has_it_as_a_word() {
    let base = train(&params(json!({ "vocab_size": 400 })), &documents());
    let word = base.open().token(399).unwrap();
    let with = json!({ "vocab_size": 460, "special_tokens": [word, "<|im_end|>"] });
    let run = try_train(&with, &more(), Some(&base.path()), 1).unwrap();
    let specials = run.open().specials().to_vec();
    assert!(specials.contains(&(word.clone(), 399)), "{specials:?}");
    assert_eq!(specials.len(), 5);
    assert_eq!(run.report["vocabulary"]["special"][&word], 399);
}
