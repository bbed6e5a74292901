//! What is on disk: golden texts, and every byte of it flipped or cut.
use crate::support::{Bench, key, record, tamper};
use muse_store::{Artifact, Digest, Key, Record, Store, StoreError, Tree, TreeEntry, seal};
use proptest::prelude::*;
use std::fs;

#[test]
fn golden_digests() {
    let hello = Digest::of_bytes(b"hello");
    let text = "b3:ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";
    assert_eq!(hello.to_string(), text);
    assert_eq!(text.parse::<Digest>().unwrap(), hello);
    assert_eq!(Digest::from_bytes(*hello.as_bytes()), hello);
    assert_eq!(serde_json::to_string(&Key::new(hello)).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<Key>(&format!("\"{text}\"")).unwrap(), Key::new(hello));
    for wrong in [
        "",
        "b3:",
        &text[3..],
        &text.to_uppercase(),
        &text[..66],
        &format!("{text}0"),
        &text.replace('f', "é"),
    ] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}

#[test]
fn golden_identities() {
    let identity = |tree, executable| {
        Artifact { digest: Digest::of_bytes(b"hello"), bytes: 5, tree, files: 1, executable }
            .identity()
            .to_string()
    };
    assert_eq!(identity(false, false), "b3:47df532eb5892d0ecdc009baf79d556fdd77a72e4239a3ab0e58e61d16045b34");
    assert_eq!(identity(false, true), "b3:b39e596536756e709bf5d6aa994a1b6639a04d2c242dc987c2eeef85053fc2d7");
    assert_eq!(identity(true, false), "b3:e1ab89e506e83540ee9bdda7f49451a3e6cab7103d8da1e28a763ef6e5792554");
}

fn file(path: &str, content: &[u8], executable: bool) -> TreeEntry {
    TreeEntry::File {
        path: path.into(),
        digest: Digest::of_bytes(content),
        bytes: content.len() as u64,
        executable,
    }
}

#[test]
fn golden_manifest() {
    let tree = Tree::new(vec![
        file("b/tool", b"x", true),
        TreeEntry::Empty { path: "c".into() },
        file("a\nf b3:\\", b"", false),
    ]);
    let text = tree.unwrap().encode();
    assert_eq!(
        text,
        "muse-tree 1\n\
         f b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 0 a\\nf b3:\\\\\n\
         x b3:3ae7d805f6789a6402acb70ad4096a85a56bf6804eaf25c0493ac697548d30b5 1 b/tool\n\
         d c\n"
    );
}

#[test]
fn a_manifest_that_leads_astray_is_refused() {
    let line = |path: &str| format!("f {} 1 {path}\n", Digest::of_bytes(b"1"));
    let good = format!("muse-tree 1\n{}{}", line("a"), line("b"));
    assert!(Tree::decode(good.as_bytes()).is_ok());
    let bad = |lines: &[String]| {
        let text = format!("muse-tree 1\n{}", lines.concat());
        assert!(Tree::decode(text.as_bytes()).is_err(), "{text}");
    };
    for path in ["../x", "/etc/passwd", "a/../../x", "./a", "a//b", "a/", "", ".", "..", "a\\x", "a\\", "a\0"]
    {
        bad(&[line(path)]);
    }
    bad(&[line("b"), line("a")]);
    bad(&[line("a"), line("a")]);
    bad(&[line("a"), line("a-"), line("a/b")]);
    bad(&["d a\n".into(), line("a/b")]);
    bad(&[line("a").replace(" 1 ", " 01 ")]);
    bad(&[line("a").replace(" 1 ", " +1 ")]);
    bad(&[line("a").replace(" 1 ", " 18446744073709551615 "), line("b")]);
    bad(&[line("a").replace("f ", "l ")]);
    bad(&["\n".into()]);
    assert!(Tree::decode(good.replace("muse-tree 1", "muse-tree 2").as_bytes()).is_err());
    assert!(Tree::decode(&good.as_bytes()[..good.len() - 1]).is_err());
    assert!(Tree::new(vec![file("a", b"", false), file("a/b", b"", false)]).is_err());
}

#[test]
fn every_byte_of_a_record_matters() {
    let bench = Bench::in_memory();
    let made = bench.publish(key("a"), &[("x", bench.keep(b"1"))]);
    let hex = key("a").hex();
    let path = bench.store.root().join("records-v1").join(&hex[..2]).join(&hex);
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole, made.to_bytes());
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for damaged in [&flipped[..], &whole[..at]] {
            tamper(&path, damaged);
            assert_eq!(bench.store.record(&key("a")).unwrap(), None, "byte {at}");
        }
    }
    assert!(!bench.store.complaints().is_empty());
    // The record of another key, whole as it is, is not this one's.
    tamper(&path, &record(key("b"), &[]).to_bytes());
    assert_eq!(bench.store.record(&key("a")).unwrap(), None);
    // One that a later muse has written says more.
    let body = serde_json::to_string(&made).unwrap().replacen('{', r#"{"later": [1], "#, 1);
    tamper(&path, &seal("record", body.as_bytes()));
    assert_eq!(bench.store.record(&key("a")).unwrap(), Some(made));
}

#[test]
fn every_byte_of_a_manifest_matters() {
    let bench = Bench::in_memory();
    let artifact = bench.keep_tree(&[("a", b"1"), ("b/c", b"22")]);
    let path = bench.store.blob_path(&artifact.digest);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for damaged in [&flipped[..], &whole[..at]] {
            fs::remove_file(&path).ok();
            fs::write(&path, damaged).unwrap();
            assert!(!bench.store.present(&artifact));
            assert!(
                matches!(bench.store.tree(&artifact.digest), Err(StoreError::Damaged { .. })),
                "byte {at}"
            );
            assert!(!bench.store.verified(&artifact).unwrap() && !path.exists());
        }
    }
}

#[test]
fn a_record_without_facts_is_written_and_read_as_before_there_were_any() {
    let plain = record(key("a"), &[]);
    let text = serde_json::to_value(&plain).unwrap();
    let mut fields: Vec<&str> = text.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields.join(" "),
        "adopted attempt family files inputs key kind made outputs params pins pipeline run seconds stage version"
    );
    assert_eq!(Record::from_bytes(&plain.to_bytes()).unwrap(), plain);
}

#[test]
fn small_files_come_back_or_not_at_all() {
    let bench = Bench::in_memory();
    let store = &bench.store;
    assert_eq!(store.get_sealed("last-v1/tiny", "last").unwrap(), None);
    store.put_sealed("last-v1/tiny", "last", b"{}").unwrap();
    assert_eq!(store.get_sealed("last-v1/tiny", "last").unwrap().as_deref(), Some(b"{}".as_slice()));
    assert_eq!(store.get_sealed("last-v1/tiny", "other").unwrap(), None);
    let path = store.root().join("last-v1/tiny");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    store.put_sealed("last-v1/tiny", "last", b"{}").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before, "nothing new, nothing written");
    tamper(&path, b"muse-last");
    assert_eq!(store.get_sealed("last-v1/tiny", "last").unwrap(), None);
    store.put_sealed("last-v1/tiny", "last", b"[]").unwrap();
    assert_eq!(store.get_sealed("last-v1/tiny", "last").unwrap().as_deref(), Some(b"[]".as_slice()));
    for outside in ["../x", "/etc/x", "", "a/../../x", "."] {
        assert!(store.put_sealed(outside, "last", b"").is_err(), "{outside}");
        assert!(store.folder(outside).is_err() && store.append(outside).is_err(), "{outside}");
    }
    assert!(store.remove_work_dir(&bench.path("mine")).is_err());
}

#[test]
fn a_read_only_store_is_read() {
    let bench = Bench::in_memory();
    let artifact = bench.keep(b"1");
    let made = bench.publish(key("a"), &[("x", artifact)]);
    let store = Store::open(bench.store.root());
    assert_eq!(store.record(&key("a")).unwrap(), Some(made));
    assert!(store.present(&artifact) && store.verified(&artifact).unwrap());
    store.index().save();
}

fn entries() -> impl Strategy<Value = Vec<TreeEntry>> {
    let part = "[a-c.\\\\\n \u{e9}-]{1,3}";
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let entry =
        (path, any::<u32>(), any::<bool>(), any::<bool>()).prop_map(|(path, bytes, executable, empty)| {
            let digest = Digest::of_bytes(&bytes.to_le_bytes());
            if empty {
                TreeEntry::Empty { path }
            } else {
                TreeEntry::File { path, digest, bytes: bytes.into(), executable }
            }
        });
    prop::collection::vec(entry, 0..8)
}

proptest! {
    #[test]
    fn manifests_have_one_spelling(entries in entries()) {
        if let Ok(tree) = Tree::new(entries) {
            let text = tree.encode();
            prop_assert_eq!(Tree::decode(text.as_bytes()).unwrap(), tree);
        }
    }

    #[test]
    fn no_other_spelling_is_read(entries in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        if let Ok(tree) = Tree::new(entries) {
            let mut text = tree.encode().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(other) = Tree::decode(&text) {
                prop_assert_eq!(other.encode().into_bytes(), text);
            }
        }
    }

    #[test]
    fn readers_survive_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Tree::decode(&bytes).ok();
        Record::from_bytes(&bytes).ok();
        Record::from_bytes(&seal("record", &bytes)).ok();
    }

    #[test]
    fn numbers_in_records_come_back_as_they_were(rate in any::<f64>().prop_filter("JSON", |rate| rate.is_finite())) {
        let mut before = record(key("a"), &[]);
        before.params = serde_json::json!({ "rate": rate });
        before.facts.insert("loss".into(), rate.into());
        let after = Record::from_bytes(&before.to_bytes()).unwrap();
        prop_assert_eq!(after, before);
    }
}
