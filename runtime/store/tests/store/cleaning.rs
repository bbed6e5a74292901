//! gc and verify: what goes, what stays, and that the numbers are exact.
use crate::support::{Bench, key, lease, record, tamper, who};
use muse_store::{Digest, GcPolicy, Rule, Store, Why};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

fn policy(rules: &[(&str, Rule)]) -> GcPolicy {
    GcPolicy { keep: rules.iter().map(|(name, rule)| (key(name), *rule)).collect(), ..GcPolicy::default() }
}

/// The bytes of all blobs on disk.
fn weight(bench: &Bench) -> u64 {
    crate::support::files_in(&bench.store.root().join("blobs-v1"))
        .values()
        .map(|file| file.len() as u64)
        .sum()
}

/// Plans and applies, and holds the plan to its word.
fn sweep(bench: &Bench, policy: &GcPolicy) -> Vec<(Option<muse_store::Key>, Why, u64)> {
    let before = weight(bench);
    let plan = bench.store.gc_plan(policy).unwrap();
    assert_eq!(weight(bench), before, "a plan removes nothing");
    assert_eq!(plan.drop.iter().map(|drop| drop.bytes).sum::<u64>(), plan.frees);
    assert_eq!(plan.stays, before - plan.frees);
    assert_eq!(bench.store.gc_apply(&plan).unwrap(), plan.frees);
    assert_eq!(weight(bench), before - plan.frees);
    for litter in &plan.litter {
        assert!(!litter.path.exists(), "{litter:?}");
    }
    let again = bench.store.gc_plan(policy).unwrap();
    assert!(again.drop.is_empty() && again.litter.is_empty() && again.frees == 0, "{again:?}");
    plan.drop.iter().map(|drop| (drop.key, drop.why, drop.bytes)).collect()
}

#[test]
fn each_rule_keeps_what_it_says() {
    let bench = Bench::new();
    let hour = Duration::from_secs(3600);
    let rules = [
        ("forever", Rule::Forever),
        ("named", Rule::Named),
        ("temp", Rule::Temp),
        ("later", Rule::Until(SystemTime::now() + hour)),
        ("over", Rule::Until(SystemTime::now() - hour)),
    ];
    let mut kept = HashMap::new();
    for name in ["forever", "named", "temp", "later", "over", "unnamed", "held"] {
        let artifact = bench.keep(name.as_bytes());
        bench.publish(key(name), &[("x", artifact)]);
        kept.insert(name, artifact);
    }
    bench.keep(b"belongs to nothing");
    let policy = GcPolicy { held: HashSet::from([key("held")]), ..policy(&rules) };
    let mut gone = sweep(&bench, &policy);
    gone.sort_by_key(|(_, why, _)| *why);
    assert_eq!(
        gone,
        [
            (Some(key("temp")), Why::Temp, 4),
            (Some(key("over")), Why::Expired, 4),
            (Some(key("unnamed")), Why::Unnamed, 7),
            (None, Why::Orphan, 18)
        ]
    );
    for name in ["forever", "named", "later", "held"] {
        assert!(bench.store.verified(&kept[name]).unwrap(), "{name}");
    }
    for name in ["temp", "over", "unnamed"] {
        assert!(!bench.store.present(&kept[name]), "{name}");
        assert!(bench.store.record(&key(name)).unwrap().is_some(), "the record of {name} stays");
    }
}

#[test]
fn what_another_result_needs_stays() {
    let bench = Bench::new();
    let tree = bench.keep_tree(&[("a", b"shared"), ("b", b"own")]);
    bench.publish(key("tree"), &[("x", tree)]);
    let file = bench.keep(b"shared");
    bench.publish(key("file"), &[("x", file)]);

    let manifest = bench.store.blob_path(&tree.digest).metadata().unwrap().len();
    let gone = sweep(&bench, &policy(&[("file", Rule::Named)]));
    assert_eq!(gone, [(Some(key("tree")), Why::Unnamed, 3 + manifest)]);
    assert!(bench.store.verified(&file).unwrap());

    let gone = sweep(&bench, &policy(&[]));
    assert_eq!(gone, [(Some(key("file")), Why::Unnamed, 6)]);
    assert_eq!(weight(&bench), 0);
}

#[test]
fn a_size_is_reached_by_last_use() {
    let bench = Bench::new();
    let mut last_use = HashMap::new();
    for (age, name) in ["oldest", "middle", "newest", "always"].iter().enumerate() {
        let artifact = bench.keep(format!("{name} {}", "x".repeat(93)).as_bytes());
        bench.publish(key(name), &[("x", artifact)]);
        last_use.insert(key(name), SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64));
    }
    last_use.insert(key("always"), SystemTime::UNIX_EPOCH);
    let rules = [
        ("oldest", Rule::Named),
        ("middle", Rule::Named),
        ("newest", Rule::Named),
        ("always", Rule::Forever),
    ];
    let limited = |limit| GcPolicy { max_size: Some(limit), last_use: last_use.clone(), ..policy(&rules) };
    assert_eq!(sweep(&bench, &limited(400)), []);
    assert_eq!(sweep(&bench, &limited(399)), [(Some(key("oldest")), Why::Size, 100)]);
    let gone = sweep(&bench, &limited(0));
    assert_eq!(gone, [(Some(key("middle")), Why::Size, 100), (Some(key("newest")), Why::Size, 100)]);
}

#[test]
fn who_works_is_left_alone() {
    let bench = Bench::new();
    let artifact = bench.keep(b"made but not yet published");
    bench.publish(key("a"), &[("x", bench.keep(b"1"))]);
    let (working, other) = (lease(&bench.store, &key("b")), lease(&bench.store, &key("a")));
    let work = bench.store.work_dir(&working).unwrap();
    fs::create_dir_all(bench.store.root().join("work-v1/dead-dead/out")).unwrap();
    fs::create_dir_all(bench.store.resume_dir(&key("a"))).unwrap();
    fs::create_dir_all(bench.store.resume_dir(&key("b"))).unwrap();

    let another = Store::open(bench.store.root());
    let plan = another.gc_plan(&policy(&[])).unwrap();
    assert_eq!((plan.drop.len(), plan.frees), (0, 0), "{plan:?}");
    assert_eq!(plan.litter.len(), 1, "{plan:?}");
    another.gc_apply(&plan).unwrap();
    assert!(work.exists() && bench.store.present(&artifact));

    // A plan that is carried out late does not take what has been published since.
    working.release();
    other.release();
    let plan = another.gc_plan(&policy(&[])).unwrap();
    bench.publish(key("b"), &[("x", artifact)]);
    another.gc_apply(&plan).unwrap();
    assert!(bench.store.verified(&artifact).unwrap());
    assert!(!work.exists());
    assert!(!bench.store.root().join("resume-v1").join(key("a").hex()).exists(), "a has its result");
    assert!(bench.store.root().join("resume-v1").join(key("b").hex()).exists(), "b had none");
}

#[test]
fn verify_finds_each_damage_and_says_whose() {
    let bench = Bench::new();
    let tree = bench.keep_tree(&[("a", b"one"), ("b", b"two")]);
    bench.publish(key("tree"), &[("x", tree)]);
    bench.publish(key("file"), &[("x", bench.keep(b"three"))]);
    bench.publish(key("broken"), &[("x", bench.keep(b"four"))]);
    let clean = bench.store.verify(None, &mut |_, _| {}).unwrap();
    assert_eq!((clean.blobs, clean.records, clean.damaged.len()), (5, 3, 0));

    let blob = bench.store.blob_path(&Digest::of_bytes(b"two"));
    tamper(&blob, b"TWO");
    let broken = key("broken").hex();
    let file = bench.store.root().join("records-v1").join(&broken[..2]).join(&broken);
    tamper(&file, b"muse-record 1 nonsense");

    let mut reports = Vec::new();
    let found = bench.store.verify(None, &mut |done, total| reports.push((done, total))).unwrap();
    assert_eq!(reports.last().map(|(done, total)| done == total), Some(true));
    assert_eq!(found.damaged.len(), 2);
    assert!(found.damaged.iter().all(|damage| !damage.dropped));
    assert_eq!(found.damaged[0].path, file);
    assert_eq!(found.damaged[1].path, blob);
    assert_eq!(found.damaged[1].results, [(key("tree"), "count".to_owned(), "tiny".to_owned())]);

    let repaired = Store::open(bench.store.root()).verify(Some(&who()), &mut |_, _| {}).unwrap();
    assert!(repaired.damaged.iter().all(|damage| damage.dropped) && repaired.damaged.len() == 2);
    assert!(!blob.exists() && !file.exists());
    assert!(bench.store.verify(None, &mut |_, _| {}).unwrap().damaged.is_empty());
}

#[test]
fn content_that_runs_link_while_it_is_read_is_not_damaged() {
    let bench = Bench::in_memory();
    let large = bench.keep(&vec![7; 64 << 20]);
    let (blob, link) = (bench.store.blob_path(&large.digest), bench.path("link"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                fs::hard_link(&blob, &link).unwrap();
                fs::remove_file(&link).unwrap();
            }
        });
        let report = bench.store.verify(Some(&who()), &mut |_, _| {});
        over.store(true, Ordering::Relaxed);
        assert_eq!(report.unwrap().damaged, []);
    });
    assert!(blob.exists());
}

#[test]
fn a_damaged_record_in_work_is_not_repaired_away() {
    let bench = Bench::new();
    let artifact = bench.keep(b"1");
    bench.publish(key("a"), &[("x", artifact)]);
    let hex = key("a").hex();
    tamper(&bench.store.root().join("records-v1").join(&hex[..2]).join(&hex), b"x");
    let lease = lease(&bench.store, &key("a"));
    let report = bench.store.verify(Some(&who()), &mut |_, _| {}).unwrap();
    assert!(!report.damaged[0].dropped, "its holder will replace it");
    bench.store.publish(&record(key("a"), &[("x", artifact)]), &lease).unwrap();
    assert!(bench.store.record(&key("a")).unwrap().is_some());
}
