//! The stage as a whole: corpora in, a tokenizer's folder out.
mod base;
mod golden;
mod lossless;
mod trust;

use crate::Tokenize;
use muse_artifacts::corpus::{CorpusWriter, Document, Message};
use muse_artifacts::tokenizer::Tokenizer;
use muse_stage::{ArtifactType, Context, Job, JobInput, JobMode, StageError, StageKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A run of the stage in a folder of its own.
pub(crate) struct Run {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) report: Value,
}

impl Run {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("out/tokenizer")
    }

    pub(crate) fn open(&self) -> Tokenizer {
        Tokenizer::open(&self.path()).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path().join(name)).unwrap()).unwrap()
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap());
        files
            .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
            .collect()
    }
}

/// Writes a corpus of texts and their sources.
pub(crate) fn corpus(folder: &Path, texts: impl IntoIterator<Item = (String, String)>) {
    let mut writer = CorpusWriter::create(folder).unwrap();
    for (text, source) in texts {
        writer.push(&Document::text(text, source).borrow()).unwrap();
    }
    writer.finish(Value::Null).unwrap();
}

/// A context for a stage that works in a folder.
pub(crate) fn context(work: &Path, threads: u32) -> Context {
    let one =
        |path: &str| JobInput { path: path.into(), list: false, entries: vec![(String::new(), path.into())] };
    let mut inputs = BTreeMap::from([("corpus".to_owned(), one("in/corpus"))]);
    if work.join("in/base").exists() {
        inputs.insert("base".into(), one("in/base"));
    }
    let job = Job {
        job: 1,
        mode: JobMode::Run,
        kind: "tokenizer".into(),
        plugin: None,
        version: 1,
        stage: "tokenizer".into(),
        key: "b3:00".into(),
        attempt: 1,
        params: Value::Null,
        work: work.to_owned(),
        inputs,
        outputs: BTreeMap::from([("tokenizer".into(), ArtifactType::Tokenizer)]),
        resume: None,
        offer: None,
        story: None,
        threads,
        gpus: vec![],
        pins: BTreeMap::new(),
        secrets: vec![],
    };
    Context::new(job, Arc::new(AtomicBool::new(false)), |_| {})
}

/// Trains on documents with these parameters, from a base where there is one.
pub(crate) fn try_train(
    with: &Value,
    documents: &[Document],
    base: Option<&Path>,
    threads: u32,
) -> Result<Run, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = CorpusWriter::create(&folder.path().join("in/corpus")).unwrap();
    documents.iter().for_each(|document| writer.push(&document.borrow()).unwrap());
    writer.finish(Value::Null).unwrap();
    if let Some(base) = base {
        std::fs::create_dir_all(folder.path().join("in/base")).unwrap();
        for file in std::fs::read_dir(base).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join("in/base").join(file.file_name())).unwrap();
        }
    }
    let mut context = context(folder.path(), threads);
    Tokenize.check_json(with).map_err(|error| StageError::new(error.to_string()))?;
    Tokenize.run_json(&mut context, with.clone())?;
    let report = std::fs::read(folder.path().join("out/tokenizer/report.json")).unwrap();
    Ok(Run { folder, report: serde_json::from_slice(&report).unwrap() })
}

pub(crate) fn train(with: &Value, documents: &[Document]) -> Run {
    try_train(with, documents, None, 2).unwrap()
}

/// A little text of both languages, and a chat: the same always.
pub(crate) fn documents() -> Vec<Document> {
    let places = ["東京", "大阪", "北海道", "スカイツリー", "図書館", "海辺の町"];
    let verbs = ["へ行きました", "で本を読みました", "から帰ってきました", "に住んでいます", "を見ています"];
    let nouns = ["the harbour", "a lighthouse", "the old library", "her garden", "seven boats"];
    let acts = ["walked to", "looked at", "wrote about", "remembered", "is drawing"];
    let mut documents = Vec::new();
    for at in 0..120_usize {
        let (place, verb) = (places[at % places.len()], verbs[at * 7 % verbs.len()]);
        documents.push(Document::text(
            format!("{}月{}日、彼女は{place}{verb}。らーめんを食べた。", at % 12 + 1, at % 28 + 1),
            "ja",
        ));
        let (noun, act) = (nouns[at * 3 % nouns.len()], acts[at % acts.len()]);
        documents.push(Document::text(
            format!("In {} she {act} {noun}, and nobody's dog barked.\n", 1900 + at),
            "en",
        ));
    }
    let turns =
        vec![Message::new("user", "どこへ行きましたか？"), Message::new("assistant", "図書館へ行きました。")];
    documents.push(Document::chat(turns, "chat"));
    documents
}

/// Lines that everything is tried on.
pub(crate) const LINES: [&str; 9] = [
    "彼女は東京へ行きました。",
    "In 1984 she walked to the old library.",
    "ﾊﾝｶｸｶﾅ と　全角スペース",
    "👨‍👩‍👧 emoji 🇯🇵!",
    "が か\u{3099} e\u{301} \u{301}",
    "\0\u{1}\t \r\n\r\n  end  ",
    "<|endoftext|><|im_start|>user\nhi<|im_end|>",
    "Здравствуйте, 北京欢迎你",
    "<0x41> ĠaĊ ▁",
];

fn text(text: &str) -> Document {
    Document::text(text, "test")
}

fn params(value: Value) -> Value {
    let mut params = json!({ "vocab_size": 700 });
    if let (Some(params), Value::Object(more)) = (params.as_object_mut(), value) {
        params.extend(more);
    }
    params
}
