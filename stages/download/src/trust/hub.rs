//! The hub: what is right arrives, what is wrong never does, and every error says what to do.
use super::Bench;
use super::server::{What, sha256};
use crate::hub::Hub;
use crate::inspect::{inspect_by, inspect_file};
use crate::net::SEGMENT;
use crate::params::RepoKind;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const REPO: &str = "datasets/o/r";

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|at| format!("{{\"text\": \"line {at}\"}}\n").into_bytes()).collect()
}

fn pinned(bench: &mut Bench) {
    bench.pins = json!({ "hub:datasets/o/r@main": "c".repeat(40) });
}

fn hub(more: Value) -> Value {
    let mut params = json!({ "source": "hub", "repo": "o/r" });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

#[test]
fn a_data_set_becomes_a_corpus_and_the_token_stays_at_home() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.token = Some("hf_secret");
    bench.hub.put(REPO, "README.md", "---\n", false);
    bench.hub.put(REPO, "data/train-00000-of-00002.jsonl", lines(3), true);
    bench.hub.put(REPO, "data/train-00001-of-00002.jsonl", lines(2), false);
    bench.hub.put(REPO, "data/test ü#1.jsonl", lines(1), true);
    {
        let mut state = bench.hub.state();
        let repo = state.repos.get_mut(REPO).unwrap();
        (repo.card, repo.token) = (json!({ "license": "cc-by-4.0" }), Some("hf_secret".into()));
    }
    let documents = bench.documents(hub(json!({}))).unwrap();
    assert_eq!(documents, ["r|line 0", "r|line 1", "r|line 2", "r|line 0", "r|line 1"]);
    let report = bench.report();
    let about = &report["download"];
    assert_eq!(about["licence"], "cc-by-4.0");
    assert_eq!(about["commit"], "c".repeat(40));
    let source = json!({ "hub": "o/r", "commit": "c".repeat(40) });
    assert_eq!(bench.facts(), json!({ "source": source, "licence": "cc-by-4.0" }));
    assert_eq!(about["read_as"], "text from text");
    assert_eq!(
        about["first_files"],
        json!(["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"])
    );
    let asked = bench.hub.state().asked.clone();
    let (home, away): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| asked.host.starts_with("127."));
    assert!(!home.is_empty() && home.iter().all(|asked| asked.token.as_deref() == Some("hf_secret")));
    assert!(!away.is_empty() && away.iter().all(|asked| asked.token.is_none()), "{away:?}");
    // A name that must be written otherwise in an address, and another split.
    assert_eq!(bench.documents(hub(json!({ "split": "test" }))).unwrap(), ["r|line 0"]);
    // As they are.
    bench.run(hub(json!({ "as": "files", "files": ["data/*"] }))).unwrap();
    assert_eq!(std::fs::read(bench.out("files").join("data/test ü#1.jsonl")).unwrap(), lines(1));
}

#[test]
fn what_a_cut_left_is_not_fetched_again() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    let bytes = lines(100);
    bench.hub.put(REPO, "a.jsonl", bytes.clone(), true);
    bench.hub.fault("/cdn/", What::Cut(700), 1);
    bench.hub.fault("/cdn/", What::Status(503, ""), u32::MAX);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("; given up after 6 tries; the server has trouble: run again later"), "{error}");
    assert!(!bench.out("corpus").join("report.json").exists());
    assert_eq!(*bench.waits.lock().unwrap(), [2, 4, 8, 16]);
    bench.hub.state().faults.clear();
    assert_eq!(bench.documents(hub(json!({}))).unwrap().len(), 100);
    assert_eq!(bench.hub.sent("/cdn/"), bytes.len());
    // And not a byte more for a third run.
    assert_eq!(bench.documents(hub(json!({}))).unwrap().len(), 100);
    assert_eq!(bench.hub.sent("/cdn/"), bytes.len());
}

#[test]
fn a_stage_that_is_stopped_keeps_what_came() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    let bytes = vec![b'x'; 600_000];
    bench.hub.put(REPO, "a.bin", bytes.clone(), true);
    bench.hub.fault("/cdn/", What::Cut(250_000), 1);
    bench.hub.fault("/cdn/", What::Status(503, ""), 1);
    bench.stops = true;
    let params = hub(json!({ "as": "files" }));
    assert_eq!(bench.run(params.clone()).unwrap_err(), "interrupted");
    assert!(!bench.out("files").exists());
    bench.run(params).unwrap();
    assert_eq!(bench.hub.sent("/cdn/"), bytes.len());
    assert_eq!(std::fs::read(bench.out("files").join("a.bin")).unwrap(), bytes);
}

#[test]
fn a_large_file_comes_in_parts_at_once() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    let bytes: Vec<u8> = (0..SEGMENT * 2 + 5_000_000).map(|at| (at >> 12) as u8).collect();
    bench.hub.put(REPO, "a.bin", bytes.clone(), true);
    bench.hub.fault("/cdn/", What::Cut(1_000_000), 2);
    bench.run(hub(json!({ "as": "files" }))).unwrap();
    assert!(std::fs::read(bench.out("files").join("a.bin")).unwrap() == bytes);
    assert_eq!(bench.hub.sent("/cdn/"), bytes.len());
    let state = bench.hub.state();
    let parts: BTreeSet<&String> = state.asked.iter().filter_map(|asked| asked.range.as_ref()).collect();
    assert_eq!(parts.len(), 5, "{parts:?}");
}

#[test]
fn wrong_bytes_never_become_a_result() {
    for beside in [true, false] {
        let mut bench = Bench::new();
        pinned(&mut bench);
        bench.hub.put(REPO, "a.jsonl", lines(10), beside);
        let on = if beside { "/cdn/" } else { "/resolve/" };
        bench.hub.fault(on, What::Flip, u32::MAX);
        let error = bench.run(hub(json!({}))).unwrap_err();
        assert!(
            error.starts_with("what came as a.jsonl is not what it should be: its digest is "),
            "{error}"
        );
        bench.hub.state().faults.clear();
        assert_eq!(bench.documents(hub(json!({}))).unwrap().len(), 10);
        // Wrong bytes that an earlier attempt left are fetched again.
        let bench = Bench { pins: bench.pins.clone(), ..Bench::new() };
        bench.hub.put(REPO, "a.jsonl", lines(10), beside);
        bench.hub.fault(on, What::Flip, 1);
        bench.hub.fault(on, What::Status(400, ""), u32::MAX);
        bench.hub.state().faults[0].what = What::Cut(30);
        bench.run(hub(json!({}))).unwrap_err();
        let part = std::fs::read_dir(bench.resume()).unwrap().flatten().map(|entry| entry.path());
        let part = part.into_iter().find(|path| path.extension().is_some_and(|end| end == "part")).unwrap();
        let mut left = std::fs::read(&part).unwrap();
        left[3] ^= 1;
        std::fs::write(&part, left).unwrap();
        bench.hub.state().faults.clear();
        assert_eq!(bench.documents(hub(json!({}))).unwrap()[0], "r|line 0");
    }
}

#[test]
fn a_mirror_that_says_nothing_of_its_files_is_held_to_the_commit() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.hub.put(REPO, "a.jsonl", lines(10), true);
    bench.hub.state().repos.get_mut(REPO).unwrap().silent = true;
    bench.hub.fault("/cdn/", What::Flip, 1);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.starts_with("what came as a.jsonl is not what it should be: its digest is "), "{error}");
    assert_eq!(bench.documents(hub(json!({}))).unwrap().len(), 10);
}

#[test]
fn a_file_that_changed_under_its_commit_is_refused() {
    for (beside, more, said) in [
        (true, "", "which is not what its commit points to"),
        (false, "", "the hub says it is "),
        (true, "{}\n", "bytes and its commit says 190, which `o/r` must not do under the commit "),
        (false, "{}\n", "bytes and its commit says 190, which `o/r` must not do under the commit "),
    ] {
        let mut bench = Bench::new();
        pinned(&mut bench);
        bench.hub.put(REPO, "a.jsonl", lines(10), beside);
        let mut other = lines(10);
        other[10] = b'L';
        other.extend(more.as_bytes());
        bench.hub.state().repos.get_mut(REPO).unwrap().swapped.insert("a.jsonl".into(), other);
        let error = bench.run(hub(json!({}))).unwrap_err();
        assert!(error.starts_with("a.jsonl changed: ") && error.contains(said), "{error}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.hub.put(REPO, "a.jsonl", lines(10), true);
    bench.hub.state().repos.get_mut(REPO).unwrap().token = Some("hf_good".into());
    let page = format!("{}/datasets/o/r", bench.hub.url());
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(
        error.contains("answered 401 for `o/r`")
            && error.contains("(Access is restricted)")
            && error.contains(&format!(
                "accept its licence at {page}, and give the stage a token by `secrets: [HF_TOKEN]`"
            )),
        "{error}"
    );
    bench.token = Some("hf_bad");
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("the token in HF_TOKEN may not read it") && !error.contains("hf_bad"), "{error}");
    bench.token = Some("hf_good");
    bench.run(hub(json!({}))).unwrap();

    bench.hub.fault("/resolve/", What::Status(403, ""), 1);
    std::fs::remove_dir_all(bench.resume()).unwrap();
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("answered 403") && error.contains("may not read it"), "{error}");
    let error =
        bench.run(json!({ "source": "hub", "repo": "o/nothing", "revision": "c".repeat(40) })).unwrap_err();
    assert!(
        error.contains("answered 404 for `o/nothing`") && error.contains("check `repo` and `revision`"),
        "{error}"
    );
    let error = bench.run(hub(json!({ "revision": "d".repeat(40) }))).unwrap_err();
    assert!(error.contains(&format!("there is no revision `{}`", "d".repeat(40))), "{error}");
    bench.hub.fault("/resolve/", What::Status(404, "X-Error-Code: EntryNotFound\r\n"), 1);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("the file is not in `main`"), "{error}");
    let error = bench.run(hub(json!({ "files": ["*.parquet"] }))).unwrap_err();
    assert!(error.starts_with("`o/r` has no file that matches `*.parquet`; it has: a.jsonl;"), "{error}");
    bench.pins = json!({ "hub:datasets/o/r@main": "what?" });
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("the lock file has `what?`") && error.contains("muse update"), "{error}");
}

#[test]
fn a_server_that_is_busy_is_waited_for() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.hub.put(REPO, "a.jsonl", lines(10), true);
    bench.hub.fault("/api/", What::Status(429, "Retry-After: 7\r\n"), 1);
    bench.hub.fault("/resolve/", What::Status(429, "Retry-After: 9\r\n"), 1);
    bench.hub.fault("/cdn/", What::Status(500, ""), 2);
    assert_eq!(bench.documents(hub(json!({}))).unwrap().len(), 10);
    assert_eq!(*bench.waits.lock().unwrap(), [7, 9, 2, 4]);
    std::fs::remove_dir_all(bench.resume()).unwrap();
    bench.hub.fault("/resolve/", What::Status(429, "Retry-After: 86400\r\n"), 1);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(
        error.contains("answered 429") && error.contains("it asks to wait for 86400 s; too many requests"),
        "{error}"
    );
    bench.hub.fault("/api/", What::Status(429, ""), u32::MAX);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("answered 429") && error.contains("given up after 6 tries"), "{error}");
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.hub.put(REPO, "a.jsonl", lines(10), true);
    // The name of the part, by a run that is refused.
    bench.hub.fault("/resolve/", What::Status(400, ""), 1);
    bench.run(hub(json!({}))).unwrap_err();
    let entries: Vec<_> =
        std::fs::read_dir(bench.resume()).unwrap().flatten().map(|entry| entry.path()).collect();
    let part = entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "part")).unwrap();
    std::fs::remove_file(&part).unwrap();
    std::os::unix::fs::symlink(Path::new("/dev/full"), &part).unwrap();
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains(".part: No space left on device"), "{error}");
    assert!(!part.with_extension("").exists());
}

#[test]
fn nothing_is_fetched_where_the_network_is_forbidden() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.offline = true;
    bench.hub.put(REPO, "a.jsonl", lines(10), true);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert!(error.contains("the network may not be used; run without `--offline`"), "{error}");
    assert!(bench.hub.state().asked.is_empty());
}

#[test]
fn an_empty_data_set_is_no_corpus() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    bench.hub.put(REPO, "a.jsonl", "", false);
    bench.hub.put(REPO, "b.jsonl", "\n\n", false);
    let error = bench.run(hub(json!({}))).unwrap_err();
    assert_eq!(error, "there is no document in a.jsonl, b.jsonl; the files are empty");
}

/// `groups` row groups of 50 rows, of some 200 bytes of text each that do not compress, and a column that nobody wants.
fn many_groups(groups: usize) -> Vec<u8> {
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    for group in 0..groups {
        let texts: Vec<String> =
            (0..50).map(|row| format!("{group}.{row} {}", sha256(&[group as u8, row]).repeat(3))).collect();
        let waste: Vec<String> = texts.iter().map(|text| sha256(text.as_bytes()).repeat(9)).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringArray::from(texts))),
            ("n", Arc::new(Int64Array::from_iter_values(0..50))),
            ("waste", Arc::new(StringArray::from(waste))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let writer =
            writer.get_or_insert_with(|| ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap());
        writer.write(&batch).unwrap();
        writer.flush().unwrap();
    }
    writer.unwrap().into_inner().unwrap()
}

#[test]
fn ten_rows_cost_a_tenth_at_most() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    let bytes = many_groups(60);
    bench.hub.put(REPO, "train-0.parquet", bytes.clone(), true);
    bench.hub.put(REPO, "train-1.parquet", bytes.clone(), true);
    let documents = bench.documents(hub(json!({ "limit": 10 }))).unwrap();
    assert_eq!(documents.len(), 10);
    assert!(documents[9].starts_with("r|0.9 "), "{}", documents[9]);
    let sent = bench.hub.sent("/cdn/");
    assert!(sent * 10 < bytes.len(), "{sent} of {}", bytes.len());
    assert_eq!(bench.metric("bytes_fetched"), Some(sent as f64));
    assert_eq!(bench.report()["download"]["files_read"], 1);
    // A cut, and a second attempt at the same: what came is there.
    let documents = bench.documents(hub(json!({ "limit": 10 }))).unwrap();
    assert_eq!((documents.len(), bench.hub.sent("/cdn/")), (10, sent));
    // Across row groups and files, as if it were read whole.
    let some = bench.documents(hub(json!({ "limit": 3030 }))).unwrap();
    std::fs::remove_dir_all(bench.resume()).unwrap();
    let all = bench.documents(hub(json!({}))).unwrap();
    assert_eq!(some, all[..3030]);
    // The hint of an error on the way is not lost below the reader.
    std::fs::remove_dir_all(bench.resume()).unwrap();
    bench.hub.fault("/cdn/", What::Status(404, ""), u32::MAX);
    let error = bench.run(hub(json!({ "limit": 10 }))).unwrap_err();
    assert!(error.contains("answered 404") && !error.contains("Lasting"), "{error}");
}

#[test]
fn text_is_read_as_far_as_the_limit_needs() {
    let mut bench = Bench::new();
    pinned(&mut bench);
    let bytes = lines(200_000);
    bench.hub.put(REPO, "a.jsonl", bytes.clone(), true);
    assert_eq!(bench.documents(hub(json!({ "limit": 5 }))).unwrap().len(), 5);
    let sent = bench.hub.sent("/cdn/");
    assert!(sent * 10 < bytes.len(), "{sent} of {}", bytes.len());
}

#[test]
fn a_model_is_files_too() {
    let mut bench = Bench::new();
    bench.hub.put("o/m", "config.json", "{}", false);
    bench.hub.put("o/m", "w/model.safetensors", vec![7; 5000], true);
    bench.pins = json!({ "hub:models/o/m@v1": "c".repeat(40) });
    bench
        .run(json!({ "source": "hub", "repo": "o/m", "kind": "model", "revision": "v1", "as": "files" }))
        .unwrap();
    assert_eq!(std::fs::read(bench.out("files").join("config.json")).unwrap(), b"{}");
    assert_eq!(std::fs::read(bench.out("files").join("w/model.safetensors")).unwrap(), vec![7; 5000]);
}

#[test]
fn a_look_says_what_there_is() {
    let bench = Bench::new();
    bench.hub.put(REPO, "README.md", "", false);
    bench.hub.put(REPO, "en/train.parquet", many_groups(60), true);
    bench.hub.put(REPO, "ja/a.jsonl", lines(4), false);
    bench.hub.state().repos.get_mut(REPO).unwrap().card = json!({
        "license": "mit",
        "configs": [{ "config_name": "en", "data_files": "en/*" }, { "config_name": "ja", "default": true, "data_files": "ja/*" }],
    });
    let hub =
        Hub::new("o/r", RepoKind::Dataset, "main", &bench.hub.url(), None, bench.patience(), false).unwrap();
    let seen = inspect_by(&hub, "o/r", "main").unwrap();
    assert_eq!(
        (&seen["licence"], &seen["files"], &seen["commit"]),
        (&json!("mit"), &json!(3), &json!("c".repeat(40)))
    );
    assert_eq!(
        seen["configurations"]["ja"],
        json!({ "default": true, "splits": { "train": { "files": 1, "bytes": 76 } } })
    );
    let first = &seen["first"];
    assert_eq!((&first["rows"], &first["read_as"]), (&json!(3000), &json!("text from text")));
    assert_eq!(first["columns"][1], json!({ "name": "n", "type": "Int64" }));
    assert!(first["sample"][2]["text"].as_str().unwrap().starts_with("0.2 "), "{first}");
    assert!(seen["bytes_fetched"].as_u64().unwrap() * 5 < seen["bytes"].as_u64().unwrap(), "{seen}");

    let path = bench.folder.path().join("a.jsonl");
    std::fs::write(&path, lines(500)).unwrap();
    let seen = inspect_file(&path).unwrap().unwrap();
    assert_eq!(
        seen,
        json!({ "file": "a.jsonl", "format": "jsonl", "bytes": 10390, "columns": ["text"], "read_as": "text from text",
                "sample": [{ "text": "line 0" }, { "text": "line 1" }, { "text": "line 2" }] })
    );
    std::fs::write(&path, [0, 1, 2, 255]).unwrap();
    let other = bench.folder.path().join("data");
    std::fs::write(&other, [0, 1, 2, 255]).unwrap();
    assert_eq!(inspect_file(&other).unwrap(), None);
}
