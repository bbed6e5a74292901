//! How a stage is tested without muse: a job, a context, a look at what came out.
use crate::WordCount;
use muse_stage::{ArtifactType, Context, Job, JobInput, JobMode, StageEvent, StageKind, run_job};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A job below `folder`, whose `in/text` is there already.
fn job(folder: &Path, params: Value) -> Job {
    fs::create_dir_all(folder.join("out")).unwrap();
    Job {
        job: 1,
        mode: JobMode::Run,
        kind: "word-count".into(),
        plugin: None,
        version: 1,
        stage: "words".into(),
        key: "b3:0".into(),
        attempt: 1,
        params,
        work: folder.to_owned(),
        inputs: [(
            "text".to_owned(),
            JobInput {
                path: "in/text".into(),
                list: false,
                entries: vec![(String::new(), "in/text".into())],
            },
        )]
        .into(),
        outputs: [("counts".to_owned(), ArtifactType::Report)].into(),
        resume: Some(folder.join("resume")),
        offer: None,
        story: None,
        threads: 1,
        gpus: vec![],
        pins: [].into(),
        secrets: vec![],
    }
}

/// A folder with a text of 300 lines in two files.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("in/text");
    fs::create_dir_all(&text).unwrap();
    let line = |n: usize| format!("The line {n}; the END\n");
    fs::write(text.join("a"), (0..200).map(line).collect::<String>()).unwrap();
    fs::write(text.join("b"), (200..300).map(line).collect::<String>()).unwrap();
    folder
}

fn report(folder: &Path) -> String {
    fs::read_to_string(folder.join("out/counts")).unwrap()
}

#[test]
fn the_most_frequent_words_come_first() {
    let folder = folder();
    let mut context =
        Context::new(job(folder.path(), json!({ "top": 2, "lowercase": true })), Arc::default(), |_| ());
    assert_eq!(run_job(&WordCount, &mut context), StageEvent::Done);
    let report: Value = serde_json::from_str(&report(folder.path())).unwrap();
    assert_eq!(report, json!({ "lines": 300, "words": 1500, "top": [["the", 600], ["end", 300]] }));
}

#[test]
fn a_run_that_was_stopped_goes_on_and_ends_in_the_same_bytes() {
    let (whole, stopped) = (folder(), folder());
    let mut context = Context::new(job(whole.path(), json!({})), Arc::default(), |_| ());
    assert_eq!(run_job(&WordCount, &mut context), StageEvent::Done);

    // Asked to stop as soon as it says how far it is, which is at the first line.
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    let tell = move |_: &StageEvent| heard.store(true, Ordering::Relaxed);
    let mut context = Context::new(job(stopped.path(), json!({})), stop, tell);
    assert_eq!(run_job(&WordCount, &mut context), StageEvent::Interrupted);
    assert!(!stopped.path().join("out/counts").exists());
    assert!(
        fs::read_to_string(stopped.path().join("resume/tally.json")).unwrap().starts_with("{\"lines\":1,")
    );
    drop(context);

    let mut context = Context::new(job(stopped.path(), json!({})), Arc::default(), |_| ());
    assert_eq!(run_job(&WordCount, &mut context), StageEvent::Done);
    assert_eq!(report(stopped.path()), report(whole.path()));
}

#[test]
fn what_it_says_of_itself_is_golden() {
    // Another default means another result where nothing is written: then VERSION goes up, and this with it.
    let described = WordCount.describe();
    let fields = &described.params["properties"];
    let default = |name: &str| fields[name]["default"].clone();
    assert_eq!(described.version, 1);
    assert_eq!([default("top"), default("lowercase")], [json!(100), json!(false)]);
    assert_eq!(fields["save_every"]["x-muse"], "execution");
    assert!(WordCount.check_json(&json!({ "top": 0 })).is_err());
}
