//! Defaults and results that stand still: who changes one of these raises `VERSION`.
use super::Bench;
use crate::Download;
use muse_stage::{Stage, StageKind};
use serde_json::{Value, json};

fn digest(documents: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    for document in documents {
        hasher.update(&(document.len() as u64).to_le_bytes()).update(document.as_bytes());
    }
    hasher.finalize().to_hex().as_str()[..16].to_owned()
}

#[test]
fn defaults() {
    assert_eq!(Download::VERSION, 1);
    let schema = Download.describe().params;
    let defaults: Vec<String> = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, field)| format!("{name}={}", field.get("default").unwrap_or(&Value::Null)))
        .collect();
    assert_eq!(
        defaults.join(" "),
        "as=\"corpus\" config=null count=null dialogues=0.25 documents=\"file\" files=[] format=\"auto\" \
         kind=\"dataset\" languages=[\"ja\",\"en\"] limit=null messages=null name=null paths=[] repo=null \
         revision=\"main\" seed=0 sha256=[] size=null source=\"file\" split=null text=null urls=[]"
    );
}

#[test]
fn the_generator() {
    let bench = Bench::new();
    let small = bench.documents(json!({ "source": "synthetic", "count": 600 })).unwrap();
    assert_eq!(bench.facts(), json!({ "source": "synthetic", "licence": "MIT OR Apache-2.0" }));
    assert_eq!((small.len(), digest(&small).as_str()), (600, "31d9bbe07d822b1b"));
    let report = bench.report();
    assert_eq!(report["total"]["documents"], 600);
    assert_eq!(report["download"]["seed"], 0);
    // By bytes, and with a limit: the same documents, fewer of them.
    let sized = bench.documents(json!({ "source": "synthetic", "size": "20kB" })).unwrap();
    let bytes = |documents: &[String]| documents.len();
    assert!(bytes(&sized) < 600 && small.starts_with(&sized[..]), "{}", sized.len());
    let total = bench.report()["total"]["bytes"].as_u64().unwrap();
    assert!((20_000..25_000).contains(&total), "{total}");
    let limited = bench.documents(json!({ "source": "synthetic", "limit": 7 })).unwrap();
    assert_eq!(limited[..], small[..7]);
}

#[test]
fn threads_change_no_byte() {
    let made = [1, 7].map(|threads| {
        let bench = Bench { threads, ..Bench::new() };
        bench.run(json!({ "source": "synthetic", "count": 3000, "seed": 5 })).unwrap();
        ["00000.parquet", "report.json"].map(|name| std::fs::read(bench.out("corpus").join(name)).unwrap())
    });
    assert!(made[0] == made[1]);
}

#[test]
fn a_file() {
    let bench = Bench::new();
    let path = bench.folder.path().join("in");
    std::fs::create_dir_all(&path).unwrap();
    let rows = [
        json!({ "conversations": [{ "from": "human", "value": "問い" }, { "from": "gpt", "value": "answer", "b": 1, "a": [2] }] }),
        json!({ "conversations": [{ "from": "system", "value": "s" }] }),
    ];
    std::fs::write(path.join("c.jsonl"), rows.map(|row| row.to_string()).join("\n")).unwrap();
    let documents = bench.documents(json!({ "paths": [path] })).unwrap();
    assert_eq!(documents, ["c|user: 問い -\nassistant: answer {\"a\":[2],\"b\":1}", "c|system: s -"]);
    let report = bench.report();
    assert_eq!(
        report["download"],
        json!({ "source": "file", "files": 1, "bytes": 149, "files_read": 1, "first_files": ["c.jsonl"], "read_as": "chat from conversations" })
    );
}
