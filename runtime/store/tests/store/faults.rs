//! A fault at every single file operation of publishing, gc, repair and the index: no hit is ever wrong.
use crate::faulty::{Among, FAULTS, Fault, FaultyFs};
use crate::support::{Bench, files_in, key, lease, record, tamper, who};
use muse_store::{
    Acquired, Artifact, Digest, GcPolicy, Key, Published, Record, Result, Rule, Store, StoreError,
    SystemClock,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// One try: a fault, the store that has it, and a number that no other try has.
struct Try<'a> {
    bench: &'a Bench,
    faulty: Arc<FaultyFs>,
    store: Store,
    number: u64,
    fault: Fault,
}

/// Runs `work` with every fault at operation 1, 2, … until it runs through without meeting it, each time followed
/// by `check` on a store that is opened anew. Of the operations every `stride`th is taken.
fn at_every_operation(
    bench: &Bench,
    root: impl Fn(u64) -> std::path::PathBuf,
    (among, stride): (Among, usize),
    before: impl Fn(&Store, u64),
    work: impl Fn(&Try<'_>) -> Result<()> + Sync,
    check: impl Fn(&Store, &Try<'_>, bool),
) {
    // One thread, so that the operations come in the same order each time.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut number = 0;
    let faults = match among {
        // One that fails to read has changed nothing, so that all faults look alike.
        Among::All => &[Fault::Error, Fault::Kill],
        Among::Changes => FAULTS.as_slice(),
    };
    for &fault in faults {
        for at in (1..).step_by(stride) {
            number += 1;
            let root = root(number);
            before(&Store::open(&root), number);
            let faulty = Arc::new(FaultyFs::new(at, among, fault, &bench.path("")));
            let fs = Arc::clone(&faulty);
            let store = Store::with_parts(&root, fs, Arc::new(SystemClock));
            let one = Try { bench, faulty, store, number, fault };
            let done = pool.install(|| work(&one));
            one.faulty.crash();
            // The dead do not hold leases; this process, which played the dead, lives on.
            fs::remove_dir_all(root.join("leases-v1")).ok();
            check(&Store::open(&root), &one, done.is_ok());
            if !one.faulty.fired() {
                assert!(done.is_ok(), "without a fault: {done:?}");
                assert!(at > 1, "no operation was met");
                break;
            }
            if fault == Fault::Full
                && matches!(&done, Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull)
            {
                assert!(done.is_err_and(|error| error.is_full()));
            }
        }
    }
}

/// What a stage would leave: a file, and a folder with a file that has two names and one that is like another.
fn outputs(bench: &Bench, number: u64) -> [std::path::PathBuf; 2] {
    let folder = bench.path(&format!("out{number}"));
    fs::remove_dir_all(&folder).ok();
    let one = bench.file(&format!("out{number}/one"), format!("file {number}").as_bytes());
    let tree = folder.join("tree");
    bench.file(&format!("out{number}/tree/a"), format!("a {number}").as_bytes());
    bench.file(&format!("out{number}/tree/sub/b"), b"the same each time");
    bench.file(&format!("out{number}/tree/sub/c"), format!("file {number}").as_bytes());
    fs::hard_link(tree.join("a"), tree.join("again")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    [one, tree]
}

/// The way from a stage's end to its result.
fn publish(store: &Store, bench: &Bench, number: u64, force: bool) -> Result<Record> {
    let key = key(&number.to_string());
    let Acquired::Lease(lease) = store.lease(&key, &who())? else { panic!("nobody else is here") };
    if force {
        store.retire(&key, &lease)?;
    }
    let [one, tree] = outputs(bench, number);
    let one = store.ingest(&one)?;
    let tree = store.ingest(&tree)?;
    let record = record(key, &[("one", one), ("tree", tree)]);
    let published = store.publish(&record, &lease)?;
    store.put_sealed("last-v1/tiny", "last", number.to_string().as_bytes())?;
    lease.release();
    match published {
        Published::New => Ok(record),
        Published::Lost(first) => Ok(*first),
    }
}

/// A record is there and right in all that it names, or it is not there.
fn hit_is_right(store: &Store, bench: &Bench, key: Key, number: u64) -> bool {
    let Some(record) = store.record(&key).unwrap() else { return false };
    let family = store.family(&record.family.unwrap()).unwrap();
    assert!(family.contains(&key), "a hit whose family does not know it");
    let [one, tree] = outputs(bench, number);
    let expected = [("one", files_at(&one)), ("tree", files_at(&tree))];
    for (name, files) in expected {
        let artifact = record.outputs[name];
        assert!(store.present(&artifact), "{name} of a hit is not there");
        assert!(store.verified(&artifact).unwrap(), "{name} of a hit is damaged");
        let out = bench.path(&format!("taken{number}-{name}"));
        fs::remove_dir_all(&out).or_else(|_| fs::remove_file(&out)).ok();
        store.take_out(&artifact, &out).unwrap();
        assert_eq!(files_at(&out), files, "{name} of a hit is something else");
    }
    true
}

fn files_at(path: &Path) -> BTreeMap<String, Vec<u8>> {
    if path.is_dir() { files_in(path) } else { BTreeMap::from([(String::new(), fs::read(path).unwrap())]) }
}

fn check_publish(store: &Store, one: &Try<'_>, done: bool) {
    let key = key(&one.number.to_string());
    let hit = hit_is_right(store, one.bench, key, one.number);
    assert!(hit || !done, "{:?}: what was said to be published is lost", one.fault);
    if let Some(last) = store.get_sealed("last-v1/tiny", "last").unwrap() {
        let last: u64 = String::from_utf8(last).unwrap().parse().unwrap();
        assert!(last <= one.number && (last == one.number || !done));
    }
    publish(store, one.bench, one.number, false).unwrap();
    assert!(hit_is_right(store, one.bench, key, one.number), "a second try must do");
}

#[test]
fn publishing() {
    faults_in_publishing(Among::Changes);
    faults_in_publishing(Among::All);
}

fn faults_in_publishing(among: Among) {
    let bench = Bench::in_memory();
    bench.keep(b"the folders are there");
    let root = bench.store.root().to_owned();
    at_every_operation(
        &bench,
        |_| root.clone(),
        (among, 1),
        |_, _| (),
        |one| publish(&one.store, one.bench, one.number, false).map(drop),
        check_publish,
    );
}

#[test]
fn publishing_into_a_folder_that_is_new() {
    let bench = Bench::in_memory();
    at_every_operation(
        &bench,
        |number| bench.path(&format!("cache{number}")),
        (Among::Changes, 29),
        |_, _| (),
        |one| publish(&one.store, one.bench, one.number, false).map(drop),
        check_publish,
    );
}

#[test]
fn publishing_over_what_was_moved_aside() {
    let bench = Bench::in_memory();
    let root = bench.store.root().to_owned();
    at_every_operation(
        &bench,
        |_| root.clone(),
        (Among::Changes, 1),
        |store, number| drop(publish(store, &bench, number, false).unwrap()),
        |one| publish(&one.store, one.bench, one.number, true).map(drop),
        check_publish,
    );
}

/// Publishes small results for gc and repair: two that share content, and one of its own.
fn three_results(store: &Store, bench: &Bench, number: u64) -> Vec<(Key, Artifact)> {
    let make = |name: &str, files: &[&str]| {
        let key = key(&format!("{name} {number}"));
        let folder = bench.path(&format!("made{number}"));
        for file in files {
            bench.file(&format!("made{number}/{file}"), format!("{file} {number}").as_bytes());
        }
        let artifact = store.ingest(&folder).unwrap();
        store.publish(&record(key, &[("x", artifact)]), &lease(store, &key)).unwrap();
        (key, artifact)
    };
    vec![make("kept", &["shared", "mine"]), make("dropped", &["shared", "yours"]), make("gone", &["alone"])]
}

fn results(number: u64) -> [Key; 3] {
    ["kept", "dropped", "gone"].map(|name| key(&format!("{name} {number}")))
}

/// Whatever is a hit is right.
fn hits_are_right(store: &Store, number: u64) {
    for key in results(number) {
        let Some(record) = store.record(&key).unwrap() else { continue };
        for artifact in record.outputs.values() {
            assert!(!store.present(artifact) || store.verified(artifact).unwrap(), "a hit is wrong");
        }
    }
}

#[test]
fn gc() {
    faults_in_gc(Among::Changes, 1);
    faults_in_gc(Among::All, 199);
}

fn faults_in_gc(among: Among, stride: usize) {
    let bench = Bench::in_memory();
    let root = |number: u64| bench.path(&format!("cache{}", number % 2));
    let policy = |number: u64| {
        let [kept, dropped, _] = results(number);
        GcPolicy { keep: [(kept, Rule::Named), (dropped, Rule::Temp)].into(), ..GcPolicy::default() }
    };
    at_every_operation(
        &bench,
        root,
        (among, stride),
        |store, number| {
            three_results(store, &bench, number);
            fs::create_dir_all(store.root().join(format!("work-v1/dead{number}/out"))).unwrap();
            fs::create_dir_all(store.root().join("leases-v1").join(key("nobody").hex())).unwrap();
        },
        |one| {
            let plan = one.store.gc_plan(&policy(one.number))?;
            let freed = one.store.gc_apply(&plan)?;
            assert_eq!(freed, plan.frees);
            Ok(())
        },
        |store, one, done| {
            hits_are_right(store, one.number);
            let present = |key: &Key| {
                let record = store.record(key).unwrap().expect("records stay");
                record.outputs.values().all(|artifact| store.present(artifact))
            };
            let [kept, dropped, gone] = results(one.number);
            assert!(present(&kept), "what is wanted stays");
            // A removal may come back with the power: then it goes the next time.
            if done && one.fault == Fault::Kill {
                assert!(!present(&dropped) && !present(&gone));
            }
            let plan = store.gc_plan(&policy(one.number)).unwrap();
            assert_eq!(store.gc_apply(&plan).unwrap(), plan.frees);
            assert!(present(&kept) && !present(&dropped) && !present(&gone));
        },
    );
}

#[test]
fn repair() {
    faults_in_repair(Among::Changes, 1);
    faults_in_repair(Among::All, 199);
}

fn faults_in_repair(among: Among, stride: usize) {
    let bench = Bench::in_memory();
    let root = |number: u64| bench.path(&format!("cache{}", number % 2));
    at_every_operation(
        &bench,
        root,
        (among, stride),
        |store, number| {
            three_results(store, &bench, number);
            let shared = Digest::of_bytes(format!("shared {number}").as_bytes());
            tamper(&store.blob_path(&shared), b"SHARED");
            let [.., gone] = results(number).map(|key| key.hex());
            tamper(&store.root().join("records-v1").join(&gone[..2]).join(&gone), b"{}");
        },
        |one| one.store.verify(Some(&who()), &mut |_, _| {}).map(drop),
        |store, one, _| {
            hits_are_right(store, one.number);
            store.verify(Some(&who()), &mut |_, _| {}).unwrap();
            assert!(store.verify(None, &mut |_, _| {}).unwrap().damaged.is_empty());
            // The next run makes it all again.
            for (key, artifact) in three_results_again(store, one) {
                assert_eq!(store.record(&key).unwrap().unwrap().outputs["x"], artifact);
                assert!(store.verified(&artifact).unwrap());
            }
            let policy = GcPolicy::default();
            store.gc_apply(&store.gc_plan(&policy).unwrap()).unwrap();
        },
    );
}

/// What a run does where results are missing: the old record goes aside, and the same content comes in again.
fn three_results_again(store: &Store, one: &Try<'_>) -> Vec<(Key, Artifact)> {
    for key in results(one.number) {
        store.retire(&key, &lease(store, &key)).unwrap();
    }
    three_results(store, one.bench, one.number)
}

#[test]
fn the_index() {
    let bench = Bench::in_memory();
    bench.keep(b"the folders are there");
    let root = bench.store.root().to_owned();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    let path = |number: u64| bench.path(&format!("input{number}"));
    at_every_operation(
        &bench,
        |_| root.clone(),
        (Among::All, 1),
        |_, number| {
            bench.file(&format!("input{number}"), format!("input {number}").as_bytes());
            fs::File::open(path(number)).unwrap().set_modified(old).unwrap();
        },
        |one| {
            let hashed = one.store.index().digest(&path(one.number));
            one.store.index().save();
            hashed.map(drop)
        },
        |store, one, _| {
            for number in 1..=one.number {
                let hashed = store.index().digest(&path(number)).unwrap();
                assert_eq!(hashed.digest, Digest::of_bytes(format!("input {number}").as_bytes()));
            }
        },
    );
}

#[test]
fn the_power_goes_when_all_is_done() {
    let bench = Bench::in_memory();
    let faulty = Arc::new(FaultyFs::new(u64::MAX, Among::All, Fault::PowerCut, &bench.path("")));
    let root = bench.path("cache");
    let store = Store::with_parts(&root, Arc::clone(&faulty) as Arc<_>, Arc::new(SystemClock));
    publish(&store, &bench, 1, false).unwrap();
    faulty.crash();
    let store = Store::open(&root);
    assert!(hit_is_right(&store, &bench, key("1"), 1), "a result that was announced survives");
    assert_eq!(store.get_sealed("last-v1/tiny", "last").unwrap().as_deref(), Some(b"1".as_slice()));
}
