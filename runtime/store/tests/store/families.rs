//! Which results belong together: known as soon as a result is, on every handle of the store, and tidy after gc.
use crate::support::{Bench, key, lease, record};
use muse_store::{Digest, GcPolicy, Key, Store};
use std::fs;
use std::path::PathBuf;

fn family() -> Digest {
    record(key("a"), &[]).family.unwrap()
}

fn note(bench: &Bench, key: &Key) -> PathBuf {
    bench.store.root().join("families-v1").join(family().hex()).join(key.hex())
}

#[test]
fn a_published_result_is_found_by_its_family() {
    let bench = Bench::new();
    assert_eq!(bench.store.family(&family()).unwrap(), []);
    let artifact = bench.keep(b"1");
    let mut keys = vec![key("a"), key("b")];
    keys.sort();
    keys.iter().for_each(|key| drop(bench.publish(*key, &[("x", artifact)])));
    // Another family, and none at all.
    for (name, family) in [("c", Some(Digest::of_bytes(b"another"))), ("d", None)] {
        let other = muse_store::Record { family, ..record(key(name), &[("x", artifact)]) };
        bench.store.publish(&other, &lease(&bench.store, &key(name))).unwrap();
    }
    // Somebody else with the same store, who never heard of them.
    let other = Store::open(bench.store.root());
    assert_eq!(other.family(&family()).unwrap(), keys);
    assert_eq!(other.family(&Digest::of_bytes(b"another")).unwrap(), [key("c")]);
    assert_eq!(other.record(&key("a")).unwrap().unwrap().family, Some(family()));
    // What is no key does not count.
    fs::write(note(&bench, &key("a")).with_file_name("README"), "x").unwrap();
    assert_eq!(other.family(&family()).unwrap(), keys);
}

#[test]
fn gc_takes_names_of_results_that_never_came_to_be() {
    let bench = Bench::new();
    let artifact = bench.keep(b"1");
    bench.publish(key("made"), &[("x", artifact)]);
    for name in ["never", "now"] {
        fs::write(note(&bench, &key(name)), "").unwrap();
    }
    let lost = bench.store.root().join("families-v1").join(Digest::of_bytes(b"lost").hex());
    fs::create_dir(&lost).unwrap();
    fs::write(lost.join(key("never").hex()), "").unwrap();
    // Somebody is about to publish `now`.
    let working = lease(&bench.store, &key("now"));
    let plan = bench.store.gc_plan(&GcPolicy::default()).unwrap();
    assert!(note(&bench, &key("never")).exists(), "a plan removes nothing");
    bench.store.gc_apply(&plan).unwrap();
    let mut left = [key("made"), key("now")];
    left.sort();
    // The content of `made` is gone, its record is not.
    assert!(!bench.store.present(&artifact));
    assert_eq!(bench.store.family(&family()).unwrap(), left);
    assert!(!lost.exists(), "an empty family is none");
    working.release();
    bench.store.gc_apply(&bench.store.gc_plan(&GcPolicy::default()).unwrap()).unwrap();
    assert_eq!(bench.store.family(&family()).unwrap(), [key("made")]);
}
