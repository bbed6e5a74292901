//! The stage as a whole: corpora in, a corpus and a report out.
mod copies;
mod golden;
mod mixes;
mod trust;

use crate::Clean;
use muse_artifacts::corpus::{Corpus, CorpusWriter, Document, Message};
use muse_stage::{ArtifactType, Context, FieldError, Job, JobInput, JobMode, StageError, StageKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A run of the stage in a folder of its own.
struct Run {
    folder: tempfile::TempDir,
    documents: Vec<Document>,
    report: Value,
}

impl Run {
    fn sources(&self) -> Vec<&str> {
        self.documents.iter().map(|document| document.source.as_str()).collect()
    }

    /// How many documents a rule dropped.
    fn dropped(&self, rule: &str) -> u64 {
        self.report["dropped"]["rules"][rule]["documents"].as_u64().unwrap_or_default()
    }

    /// The bytes of all files.
    fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let folder = self.folder.path().join("out/corpus");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        files
            .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
            .collect()
    }
}

fn job(work: &Path, params: Value, entries: Vec<(String, PathBuf)>, threads: u32) -> Job {
    let input = JobInput { path: "in/corpus".into(), list: entries.len() > 1, entries };
    Job {
        job: 1,
        mode: JobMode::Run,
        kind: "clean".into(),
        plugin: None,
        version: 1,
        stage: "cleaned".into(),
        key: "b3:00".into(),
        attempt: 1,
        params,
        work: work.to_owned(),
        inputs: BTreeMap::from([("corpus".into(), input)]),
        outputs: BTreeMap::from([("corpus".into(), ArtifactType::Corpus)]),
        resume: None,
        offer: None,
        story: None,
        threads,
        gpus: vec![],
        pins: BTreeMap::new(),
        secrets: vec![],
    }
}

/// Cleans corpora, which have names where there are several.
fn try_clean(with: &Value, corpora: &[(&str, Vec<Document>)], threads: u32) -> Result<Run, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = Vec::new();
    for (name, documents) in corpora {
        let path = PathBuf::from("in/corpus").join(name);
        let mut writer = CorpusWriter::create(&folder.path().join(&path)).unwrap();
        documents.iter().for_each(|document| writer.push(&document.borrow()).unwrap());
        writer.finish(json!({})).unwrap();
        let name = if corpora.len() > 1 { (*name).to_owned() } else { String::new() };
        entries.push((name, path));
    }
    std::fs::create_dir_all(folder.path().join("out")).unwrap();
    let job = job(folder.path(), with.clone(), entries, threads);
    let mut context = Context::new(job, Arc::new(AtomicBool::new(false)), |_| {});
    Clean.run_json(&mut context, with.clone())?;
    let corpus = Corpus::open(&folder.path().join("out/corpus")).unwrap();
    let batches: Vec<_> = corpus.batches().map(|batch| batch.unwrap()).collect();
    let documents =
        batches.iter().flat_map(|batch| batch.iter().map(|document| document.to_owned())).collect();
    let report = std::fs::read(folder.path().join("out/corpus/report.json")).unwrap();
    Ok(Run { documents, report: serde_json::from_slice(&report).unwrap(), folder })
}

fn clean(with: Value, corpora: &[(&str, Vec<Document>)]) -> Run {
    try_clean(&with, corpora, 2).unwrap_or_else(|error| panic!("{error}"))
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Document> {
    texts.into_iter().map(|text| Document::text(text, "s")).collect()
}

/// Sentences that no two of are near to each other.
fn sentence(number: u64) -> String {
    let syllables: Vec<char> =
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ"
            .chars()
            .collect();
    let letter = |at| syllables[(crate::hash::draw(7, number, at) % syllables.len() as u64) as usize];
    (0..120).map(letter).chain(['。']).collect()
}

fn refused(with: Value) -> FieldError {
    Clean.check_json(&with).unwrap_err()
}

#[test]
fn fields_that_make_no_sense_are_refused_with_their_place() {
    let cases = [
        (json!({ "weights": { "a": -1 } }), "/weights/a"),
        (json!({ "weights": { "a": 0 } }), "/weights"),
        (json!({ "weights": { "a": 1e308, "b": 1e308 } }), "/weights"),
        (json!({ "repeat": 0 }), "/repeat"),
        (json!({ "min_chars": 10, "max_chars": 9 }), "/max_chars"),
        (json!({ "quality": { "max_symbols": 30 } }), "/quality/max_symbols"),
        (json!({ "quality": { "min_mean_line": -1 } }), "/quality/min_mean_line"),
        (json!({ "quality": { "min_mean_line": 3, "max_mean_line": 2 } }), "/quality/max_mean_line"),
        (json!({ "quality": { "forbidden": ["a", ""] } }), "/quality/forbidden/1"),
        (json!({ "japanese": { "min_share": 1.5 } }), "/japanese/min_share"),
        (json!({ "minhash": { "threshold": 0 } }), "/minhash/threshold"),
        (json!({ "minhash": { "permutations": 8 } }), "/minhash/permutations"),
        (json!({ "minhash": { "ngram": 0 } }), "/minhash/ngram"),
    ];
    for (with, pointer) in cases {
        assert_eq!(refused(with.clone()).pointer, pointer, "{with}");
    }
}

#[test]
fn fields_that_change_nothing_are_idle() {
    let idle = |with: Value| Clean.check_json(&with).unwrap().idle;
    assert_eq!(idle(json!({})), ["weigh", "repeat", "seed", "japanese", "minhash"]);
    assert!(idle(json!({ "weights": { "a": 1 }, "language": ["en", "ja"], "dedup": "minhash" })).is_empty());
    assert!(!idle(json!({ "shuffle": true })).contains(&"seed"));
}

#[test]
fn a_stage_that_is_told_to_stop_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = CorpusWriter::create(&folder.path().join("in")).unwrap();
    writer.push(&Document::text("a", "s").borrow()).unwrap();
    writer.finish(json!({})).unwrap();
    for with in [json!({}), json!({ "dedup": "minhash" })] {
        let job = job(folder.path(), with.clone(), vec![(String::new(), "in".into())], 1);
        let mut context = Context::new(job, Arc::new(AtomicBool::new(true)), |_| {});
        assert!(matches!(Clean.run_json(&mut context, with), Err(StageError::Interrupted)));
    }
}

#[test]
fn progress_only_grows_and_ends_at_its_total() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = CorpusWriter::create(&folder.path().join("in")).unwrap();
    (0..1000).for_each(|number| writer.push(&Document::text(sentence(number), "s").borrow()).unwrap());
    writer.finish(json!({})).unwrap();
    let with = json!({ "dedup": "minhash", "shuffle": true });
    let job = job(folder.path(), with.clone(), vec![(String::new(), "in".into())], 1);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let mut context = Context::new(job, Arc::new(AtomicBool::new(false)), move |event| {
        if let muse_stage::StageEvent::Progress { done, total, .. } = event {
            hears.lock().unwrap().push((*done, *total));
        }
    });
    Clean.run_json(&mut context, with).unwrap();
    let told = told.lock().unwrap();
    assert!(told.is_sorted() && told.last().is_some_and(|(done, total)| Some(*done) == *total), "{told:?}");
}

fn chat(turns: &[(&str, &str)]) -> Document {
    Document::chat(turns.iter().map(|(role, content)| Message::new(*role, *content)).collect(), "chat")
}
