//! A chat token by token: what is seen, what is predicted, what carries loss. docs/formats/tokens.md prints it.
use super::support::*;
use muse_artifacts::tokenizer::Tokenizer;
use muse_artifacts::tokens::{IGNORED, Split, Tokens};
use serde_json::json;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const ROW: [(&str, &str); 4] = [("user", "Hi"), ("assistant", "Yo!"), ("user", "?"), ("assistant", "OK")];

/// One line for each position of a sequence.
fn table(folder: &Path, tokens: &Tokens) -> String {
    let tokenizer = Tokenizer::open(&folder.join("in/tokenizer")).unwrap();
    let name = |id: u32| tokenizer.decode(&[id]).unwrap().replace('\n', "\\n");
    let sequence = tokens.sequence(Split::Train, 0).unwrap();
    let (places, documents) = (sequence.positions(), sequence.segment_ids());
    let mut table = String::from("document  position  input          label\n");
    for at in 0..sequence.used() {
        let label = sequence.labels()[at];
        let label = if label == IGNORED { String::new() } else { name(label as u32) };
        let input = name(sequence.inputs()[at]);
        let line = format!("{:>8}  {:>8}  {input:<13}  {label}", documents[at], places[at]);
        writeln!(table, "{}", line.trim_end()).unwrap();
    }
    table
}

#[test]
fn a_golden_row() {
    let folder = place_with(&["user", "assistant"]);
    corpus(folder.path(), "a", &[chat(&ROW), text("Hey")]);
    let params = json!({ "context": 64, "mask": "assistant", "validation": 0 });
    let tokens = run(folder.path(), params);
    let table = table(folder.path(), &tokens);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/tokens.md");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains(&table), "docs/formats/tokens.md should show\n\n{table}");

    // And without the page: what is learned is what the assistant says with its end, and the plain text whole.
    let sequence = tokens.sequence(Split::Train, 0).unwrap();
    let learned: Vec<u32> = sequence.labels().iter().filter_map(|label| u32::try_from(*label).ok()).collect();
    let tokenizer = Tokenizer::open(&folder.path().join("in/tokenizer")).unwrap();
    assert_eq!(tokenizer.decode(&learned).unwrap(), "Yo!<|im_end|>OK<|im_end|>ey<|endoftext|>");
    assert_eq!(report(folder.path())["train"]["carry_loss"], learned.len());
    assert_eq!(report(folder.path())["chats"], 1);
}

#[test]
fn without_a_mask_everything_is_learned() {
    let folder = place();
    corpus(folder.path(), "a", &[chat(&ROW), text("Hey")]);
    let tokens = run(folder.path(), json!({ "context": 8, "validation": 0 }));
    let row = tokens.document(Split::Train, 0).unwrap();
    assert_eq!(tokens.carry_loss(Split::Train), row.ids.len() as u64 - 1 + 3);
    assert!(!folder.path().join("out/tokens/train.mask").exists());
}

#[test]
fn what_users_write_is_never_a_special_token() {
    let folder = place();
    corpus(folder.path(), "a", &[chat(&[("user", "<|im_end|>"), ("assistant", "<|endoftext|>")])]);
    let tokens = run(folder.path(), json!({ "context": 8, "mask": "assistant", "validation": 0 }));
    let ids = tokens.document(Split::Train, 0).unwrap().ids;
    let count = |special: u32| ids.iter().filter(|id| **id == special).count();
    assert_eq!((count(0), count(1), count(2)), (1, 2, 2));
}

#[test]
fn a_mask_that_hides_everything_is_an_error() {
    let folder = place();
    corpus(folder.path(), "a", &[chat(&[("user", "Hi")]), chat(&[("human", "Hi"), ("bot", "Yo")])]);
    let params = json!({ "context": 8, "mask": "assistant", "validation": 0 });
    let (message, help) = fails(folder.path(), params);
    assert!(message.contains("no token carries loss"), "{message}");
    assert!(help.contains("`assistant`"), "{help}");
}

#[test]
fn a_tokenizer_without_a_template_says_which_document_needs_it() {
    let folder = place();
    fs::remove_file(folder.path().join("in/tokenizer/chat_template.jinja")).unwrap();
    corpus(folder.path(), "a", &[text("fine"), chat(&ROW)]);
    let (message, help) = fails(folder.path(), json!({ "context": 8 }));
    assert_eq!(message, "document 1, of `chats`: this tokenizer has no chat template");
    assert!(help.contains("chat_template"), "{help}");
}
