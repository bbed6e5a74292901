//! Tokens that users have: flat files, MUSE's pairs, and what is wrong with them.
use super::support::*;
use muse_artifacts::tokens::{Split, Tokens};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn flat(path: &Path, ids: &[u32], width: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, ids.iter().flat_map(|id| id.to_le_bytes()[..width].to_vec()).collect::<Vec<_>>())
        .unwrap();
}

fn unshared(tokens: &str) -> Value {
    json!({ "context": 8, "tokens": tokens, "validation": 0 })
}

#[test]
fn a_flat_file_has_documents_where_texts_end() {
    let folder = place();
    let path = folder.path().join("in/tokens");
    // Two ends in a row, and none at the end of the file.
    flat(&path, &[&[END], &*ids("one"), &[END], &ids("two"), &ids("three")[..5]].concat(), 2);
    let tokens = run(folder.path(), unshared("in/tokens"));
    assert_eq!(documents(&tokens, Split::Train), [ids("one"), ids("two"), ids("three")]);
    assert_eq!(report(folder.path())["empty"], 2);

    // A text without an end is one document.
    flat(&path, &ids("nothing but text")[..16], 2);
    let (message, _) = fails(folder.path(), json!({ "context": 8, "tokens": "in/tokens" }));
    assert!(message.contains("one document"), "{message}");
    let tail = json!({ "context": 8, "tokens": "in/tokens", "validation": { "tail": 0.25 } });
    let tokens = run(folder.path(), tail);
    assert_eq!(documents(&tokens, Split::Train), [ids("nothing but ")[..12].to_vec()]);
    assert_eq!(documents(&tokens, Split::Validation), [ids("text")]);
}

#[test]
fn a_text_larger_than_what_is_read_at_once() {
    let folder = place();
    let long = ids(&"0123456789".repeat(20_000));
    flat(&folder.path().join("in/tokens"), &[long.clone(), ids("short"), long.clone()].concat(), 2);
    let tokens = run(folder.path(), unshared("in/tokens"));
    assert!(documents(&tokens, Split::Train) == [long.clone(), ids("short"), long]);
}

#[test]
fn what_muse_wrote_comes_back_as_it_was() {
    let folder = place();
    let texts = ["a cat", "two cats", "", "three cats and a dog", "x"];
    corpus(folder.path(), "a", &texts.map(text));
    let made = run(folder.path(), json!({ "context": 8, "also": ["muse"], "seed": 3 }));
    let expected = Split::ALL.map(|split| documents(&made, split));

    let again = place();
    fs::rename(folder.path().join("out/tokens/muse"), again.path().join("in/tokens")).unwrap();
    let mut params = unshared("in/tokens");
    params["dtype"] = "u32".into();
    let tokens = run(again.path(), params);
    // By name: `train.bin`, then `validation.bin`.
    assert_eq!(documents(&tokens, Split::Train), expected.concat());
    assert_eq!(report(again.path())["sources"]["tokens"]["documents"], 4);
}

#[test]
fn an_index_says_where_documents_end() {
    let folder = place();
    let bin = folder.path().join("in/tokens/data/train.bin");
    // As MUSE writes them: no end of text between documents; one is empty, one is an end alone.
    flat(&bin, &[ids("one")[..3].to_vec(), ids("two"), vec![END]].concat(), 4);
    let pairs = [[0, 3], [3, 0], [3, 4], [7, 1]].concat();
    let index = pairs.iter().flat_map(|word: &u64| word.to_le_bytes());
    fs::write(bin.with_extension("idx"), b"MUSE\x01\0\0\0".iter().copied().chain(index).collect::<Vec<_>>())
        .unwrap();
    let mut params = unshared("in/tokens");
    params["dtype"] = "u32".into();
    let tokens = run(folder.path(), params.clone());
    assert_eq!(documents(&tokens, Split::Train), [ids("one"), ids("two")]);
    assert_eq!(report(folder.path())["empty"], 2);

    fs::write(bin.with_extension("idx"), "MUSE and more").unwrap();
    let (message, _) = fails(folder.path(), params);
    assert!(message.contains("train.idx"), "{message}");
}

#[test]
fn tokens_that_are_no_tokens_say_where() {
    let folder = place();
    flat(&folder.path().join("in/tokens"), &[5, 6, 999, 7, END], 2);
    let (message, help) = fails(folder.path(), unshared("in/tokens"));
    assert!(message.contains("token 2 is 999"), "{message}");
    assert!(help.contains("dtype"), "{help}");
    fs::write(folder.path().join("in/tokens"), [1, 2, 3]).unwrap();
    assert!(fails(folder.path(), unshared("in/tokens")).0.contains("3 bytes are no whole number"));
    fs::write(folder.path().join("in/tokens"), []).unwrap();
    assert_eq!(fails(folder.path(), unshared("in/tokens")).0, "nothing to pack: there are no documents");

    fs::remove_file(folder.path().join("in/tokens")).unwrap();
    fs::create_dir(folder.path().join("in/tokens")).unwrap();
    assert!(fails(folder.path(), unshared("in/tokens")).0.contains("without a file `*.bin`"));
    corpus(folder.path(), "a", &[text("a")]);
    assert!(fails(folder.path(), unshared("in/tokens")).0.contains("there is a corpus, and `tokens` names"));
}

#[test]
fn flat_files_come_back_whoever_packed_them() {
    let folder = place();
    corpus(folder.path(), "a", &["first", "second", "third"].map(text));
    let made = run(folder.path(), json!({ "context": 4, "strategy": "balanced", "validation": 0 }));
    let again = place();
    fs::copy(folder.path().join("out/tokens/train.bin"), again.path().join("in/tokens")).unwrap();
    let tokens: Tokens = run(again.path(), unshared("in/tokens"));
    assert_eq!(documents(&tokens, Split::Train), documents(&made, Split::Train));
}
