//! What goes into a corpus comes out of it, and what is none is an error that says so.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use muse_artifacts::corpus::{Corpus, CorpusWriter, Document, Message};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn write(folder: &Path, documents: &[Document]) {
    let mut writer = CorpusWriter::create(folder).unwrap();
    documents.iter().for_each(|document| writer.push(&document.borrow()).unwrap());
    writer.finish(json!({ "note": "more" })).unwrap();
}

fn read(path: &Path) -> Vec<Document> {
    let corpus = Corpus::open(path).unwrap();
    corpus
        .batches()
        .flat_map(|batch| batch.unwrap().iter().map(|one| one.to_owned()).collect::<Vec<_>>())
        .collect()
}

fn document() -> impl Strategy<Value = Document> {
    let message = (any::<String>(), any::<String>(), proptest::option::of(any::<String>()))
        .prop_map(|(role, content, extra)| Message { role, content, extra });
    prop_oneof![
        (any::<String>(), "[a-c]").prop_map(|(text, source)| Document::text(text, source)),
        (prop::collection::vec(message, 0..4), "[a-c]")
            .prop_map(|(messages, source)| Document::chat(messages, source)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_goes_in_comes_out(documents in prop::collection::vec(document(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &documents);
        prop_assert_eq!(read(folder.path()), documents);
    }
}

#[test]
fn row_groups_are_small_and_the_same_documents_give_the_same_bytes() {
    let documents: Vec<_> =
        (0..3000).map(|at| Document::text(format!("{at} ").repeat(2000), format!("s{}", at % 2))).collect();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(a.path(), &documents);
    write(b.path(), &documents);
    let corpus = Corpus::open(a.path()).unwrap();
    assert!(corpus.pieces().len() >= 3, "{} pieces", corpus.pieces().len());
    assert_eq!(corpus.documents(), 3000);
    for name in ["00000.parquet", "report.json"] {
        assert!(fs::read(a.path().join(name)).unwrap() == fs::read(b.path().join(name)).unwrap(), "{name}");
    }
    assert_eq!(read(a.path()), documents);
    let report: Value = serde_json::from_slice(&fs::read(a.path().join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["sources"]["s1"]["documents"], &report["note"]), (&json!(1500), &json!("more")));
    assert_eq!(report["total"]["characters"], report["total"]["bytes"]);
}

#[test]
fn what_is_no_corpus_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: &Path| Corpus::open(path).err().unwrap().to_string();
    assert!(said(folder.path()).contains("no parquet file"), "{}", said(folder.path()));
    let odd = folder.path().join("odd.parquet");
    fs::write(&odd, "PAR1 but no more").unwrap();
    assert!(said(&odd).contains("odd.parquet: not a corpus that can be read"), "{}", said(&odd));
    // Every cut of a good file is an error at the latest when it is read.
    let good = tempfile::tempdir().unwrap();
    write(good.path(), &[Document::text("abc", "s"), Document::chat(vec![Message::new("user", "hi")], "s")]);
    let bytes = fs::read(good.path().join("00000.parquet")).unwrap();
    for cut in 0..bytes.len() {
        fs::write(&odd, &bytes[..cut]).unwrap();
        let whole =
            Corpus::open(&odd).and_then(|corpus| corpus.batches().try_for_each(|batch| batch.map(drop)));
        assert!(whole.is_err(), "{cut} of {} bytes", bytes.len());
    }
}
