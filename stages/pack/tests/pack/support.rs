//! A corpus, a small tokenizer, and a run of the stage.
use muse_artifacts::corpus::{CorpusWriter, Document, Message};
use muse_artifacts::tokenizer::{CHATML, split::Split as Pattern};
use muse_artifacts::tokens::{Split, Tokens};
use muse_stage::{ArtifactType, Context, Job, JobInput, JobMode, StageEvent, StageKind, run_job};
use muse_stage_pack::Pack;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// End of text, as in all tokenizers of muse.
pub(crate) const END: u32 = 0;
/// The id of a byte in the tokenizer of these tests.
pub(crate) const BYTE: u32 = 4;

/// A tokenizer of bytes behind the four special tokens, and of some words.
pub(crate) fn tokenizer(folder: &Path, specials: &[&str], words: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    let mut vocab = Map::new();
    let mut add = |token: String| {
        let next = vocab.len();
        vocab.entry(token).or_insert(next.into());
    };
    specials.iter().for_each(|special| add((*special).to_owned()));
    let mut hidden = 256;
    for byte in 0..=255_u8 {
        let seen = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let letter = if seen { u32::from(byte) } else { hidden };
        hidden += u32::from(!seen);
        add(char::from_u32(letter).unwrap().to_string());
    }
    let mut merges = Vec::new();
    for word in words {
        for at in 1..word.len() {
            merges.push(json!([word[..at], word[at..=at]]));
            add(word[..=at].to_owned());
        }
    }
    let special = |(id, content): (usize, &&str)| {
        json!({ "id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false })
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": specials.iter().enumerate().map(special).collect::<Vec<_>>(),
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": Pattern::Script.pattern() }, "behavior": "Isolated",
              "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false }] },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                   "vocab": vocab, "merges": merges },
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(folder.join("chat_template.jinja"), CHATML).unwrap();
}

pub(crate) const SPECIALS: [&str; 4] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"];

/// A folder with a tokenizer of bytes at its port.
pub(crate) fn place() -> TempDir {
    place_with(&[])
}

/// A folder with a tokenizer that knows some words.
pub(crate) fn place_with(words: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tokenizer(&folder.path().join("in/tokenizer"), &SPECIALS, words);
    folder
}

pub(crate) fn corpus(folder: &Path, name: &str, documents: &[Document]) {
    let mut writer = CorpusWriter::create(&folder.join("in/corpus").join(name)).unwrap();
    documents.iter().for_each(|document| writer.push(&document.borrow()).unwrap());
    writer.finish(json!({})).unwrap();
}

pub(crate) fn text(text: &str) -> Document {
    Document::text(text, "texts")
}

pub(crate) fn chat(turns: &[(&str, &str)]) -> Document {
    let turns = turns.iter().map(|(role, content)| Message::new(*role, *content));
    Document::chat(turns.collect(), "chats")
}

/// Runs the stage with whatever stands in `in/`.
pub(crate) fn run_with(folder: &Path, params: Value, threads: u32) -> StageEvent {
    run_until(folder, params, threads, false)
}

/// The same, and the stage is told to stop as soon as it says how far it is.
pub(crate) fn run_until(folder: &Path, params: Value, threads: u32, told: bool) -> StageEvent {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    let tell = move |_: &StageEvent| heard.store(told, Ordering::Relaxed);
    run_job(&Pack, &mut Context::new(job(folder, params, threads), stop, tell))
}

fn job(folder: &Path, params: Value, threads: u32) -> Job {
    let said = Pack.check_json(&params);
    assert!(said.is_ok(), "{said:?}");
    let mut inputs =
        vec![("tokenizer".to_owned(), input("in/tokenizer", vec![(String::new(), "in/tokenizer".into())]))];
    if let Ok(entries) = fs::read_dir(folder.join("in/corpus")) {
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let entries = names.into_iter().map(|name| (name.clone(), Path::new("in/corpus").join(name)));
        inputs.push(("corpus".to_owned(), input("in/corpus", entries.collect())));
    }
    let _ = fs::remove_dir_all(folder.join("out"));
    fs::create_dir_all(folder.join("out")).unwrap();
    Job {
        job: 1,
        mode: JobMode::Run,
        kind: "pack".into(),
        plugin: None,
        version: 1,
        stage: "packed".into(),
        key: "b3:0".into(),
        attempt: 1,
        params,
        work: folder.to_owned(),
        inputs: inputs.into_iter().collect(),
        outputs: [("tokens".to_owned(), ArtifactType::Tokens)].into(),
        resume: None,
        offer: None,
        story: None,
        threads,
        gpus: vec![],
        pins: [].into(),
        secrets: vec![],
    }
}

fn input(path: &str, entries: Vec<(String, PathBuf)>) -> JobInput {
    JobInput { path: path.into(), list: entries.len() > 1, entries }
}

/// Runs the stage, which must work, and opens what it made.
pub(crate) fn run(folder: &Path, params: Value) -> Tokens {
    let event = run_with(folder, params, 2);
    assert_eq!(event, StageEvent::Done);
    Tokens::open(&folder.join("out/tokens")).unwrap()
}

/// Runs the stage, which must fail: what it says, and its help.
pub(crate) fn fails(folder: &Path, params: Value) -> (String, String) {
    match run_with(folder, params, 2) {
        StageEvent::Failed { message, help } => (message, help.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn report(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("out/tokens/report.json")).unwrap()).unwrap()
}

pub(crate) fn documents(tokens: &Tokens, split: Split) -> Vec<Vec<u32>> {
    (0..tokens.documents(split)).map(|number| tokens.document(split, number).unwrap().ids).collect()
}

/// All documents of both sides, sorted.
pub(crate) fn all(tokens: &Tokens) -> Vec<Vec<u32>> {
    let mut all = [documents(tokens, Split::Train), documents(tokens, Split::Validation)].concat();
    all.sort();
    all
}

/// The bytes of a text as ids of the tokenizer, with its end.
pub(crate) fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(|byte| BYTE + u32::from(byte)).chain([END]).collect()
}

/// The text of tokens of bytes, without the end.
pub(crate) fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().filter_map(|id| u8::try_from(id.checked_sub(BYTE)?).ok()).collect()
}

/// Every file below a folder, and a digest of it but for what names the tokenizer.
pub(crate) fn digests(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(digests(&path));
        } else {
            let mut bytes = fs::read(&path).unwrap();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = String::from_utf8(bytes).unwrap();
                bytes = text.lines().filter(|line| !line.contains("b3:")).collect::<String>().into_bytes();
            }
            let hash = blake3::hash(&bytes).to_hex();
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), hash[..16].to_owned()));
        }
    }
    found.sort();
    found
}
