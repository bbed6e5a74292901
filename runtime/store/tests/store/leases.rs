//! One worker for a key: who is alive keeps it, who is gone is taken over, who comes late is refused.
use crate::support::{Ahead, Bench, key, lease, record, tamper, who};
use muse_store::{Acquired, Holder, Lease, RealFs, Store, StoreError, seal};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn lease_file(store: &Store, attempt: u32) -> PathBuf {
    store.root().join("leases-v1").join(key("a").hex()).join(attempt.to_string())
}

fn write_lease(store: &Store, holder: &Holder) {
    let path = lease_file(store, holder.attempt);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, seal("lease", &serde_json::to_vec(holder).unwrap())).unwrap();
}

/// Makes the holder look like one whose process has ended.
fn kill(store: &Store, lease: &Lease) {
    let holder = Holder { started: 1, ..lease.holder().clone() };
    write_lease(store, &holder);
}

fn busy(store: &Store) -> Holder {
    match store.lease(&key("a"), &who()).unwrap() {
        Acquired::Busy(holder) => *holder,
        Acquired::Lease(lease) => panic!("given as attempt {}", lease.attempt()),
    }
}

#[test]
fn a_lease_is_given_once() {
    let bench = Bench::new();
    let first = lease(&bench.store, &key("a"));
    assert_eq!(first.attempt(), 1);
    let other = Store::open(bench.store.root());
    let holder = busy(&other);
    assert_eq!(&holder, first.holder());
    assert_eq!(other.holder_of(&key("a")).unwrap(), Some(holder.clone()));
    let words = holder.to_string();
    assert!(words.starts_with(&format!("pid {} on host ", std::process::id())), "{words}");
    assert!(words.contains("(user ada), since "), "{words}");
    lease(&other, &key("b")).release();
    drop(first);
    assert_eq!(other.holder_of(&key("a")).unwrap(), None);
    assert_eq!(lease(&other, &key("a")).attempt(), 1);
}

#[test]
fn a_dead_holder_is_taken_over_and_its_late_publish_refused() {
    let bench = Bench::new();
    let artifact = bench.keep(b"1");
    let late = lease(&bench.store, &key("a"));
    late.heartbeat().unwrap();
    kill(&bench.store, &late);
    let next = lease(&Store::open(bench.store.root()), &key("a"));
    assert_eq!(next.attempt(), 2);
    assert!(!lease_file(&bench.store, 1).exists());

    let result = record(key("a"), &[("x", artifact)]);
    match bench.store.publish(&result, &late) {
        Err(StoreError::Fenced { holder: Some(holder), .. }) => assert_eq!(&*holder, next.holder()),
        other => panic!("{other:?}"),
    }
    assert!(matches!(late.heartbeat(), Err(StoreError::Fenced { .. })));
    assert!(matches!(bench.store.retire(&key("a"), &late), Err(StoreError::Fenced { .. })));
    assert_eq!(bench.store.record(&key("a")).unwrap(), None);
    late.release();
    assert!(lease_file(&bench.store, 2).exists(), "the late one leaves the other's lease alone");
    bench.store.publish(&result, &next).unwrap();
}

#[test]
fn a_lease_for_another_key_is_no_lease() {
    let bench = Bench::new();
    let artifact = bench.keep(b"1");
    let lease = lease(&bench.store, &key("a"));
    let refused = bench.store.publish(&record(key("b"), &[("x", artifact)]), &lease);
    assert!(matches!(refused, Err(StoreError::Fenced { .. })));
}

#[test]
fn a_holder_on_another_host_lives_as_long_as_its_heart_beats() {
    let bench = Bench::new();
    let clock = Arc::new(Ahead::default());
    let store = Store::with_parts(bench.store.root(), Arc::new(RealFs), Arc::clone(&clock) as Arc<_>);
    let ours = lease(&store, &key("a"));
    let foreign =
        Holder { boot: "elsewhere".into(), host: "far".into(), attempt: 3, ..ours.holder().clone() };
    ours.release();
    write_lease(&store, &foreign);
    assert_eq!(busy(&store), foreign);
    clock.set(59);
    assert_eq!(busy(&store), foreign);
    let file = fs::File::options().write(true).open(lease_file(&store, 3)).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    clock.set(118);
    assert_eq!(busy(&store), foreign, "its heart beat, whatever its clock says");
    clock.set(177);
    assert_eq!(busy(&store), foreign);
    clock.set(179);
    assert_eq!(lease(&store, &key("a")).attempt(), 4);
}

#[test]
fn a_damaged_lease_is_believed_for_a_minute() {
    let bench = Bench::new();
    let clock = Arc::new(Ahead::default());
    let store = Store::with_parts(bench.store.root(), Arc::new(RealFs), Arc::clone(&clock) as Arc<_>);
    let ours = lease(&store, &key("a"));
    let path = lease_file(&store, 1);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        tamper(&path, &flipped);
        assert_eq!(busy(&store).to_string(), "a holder whose lease cannot be read");
        tamper(&path, &whole[..at]);
        assert_eq!(busy(&store).to_string(), "a holder whose lease cannot be read");
    }
    clock.set(100);
    assert_eq!(lease(&store, &key("a")).attempt(), 2);
    drop(ours);
}

#[test]
fn many_at_once_never_share() {
    let bench = Bench::in_memory();
    let (inside, given) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(bench.store.root());
                while given.load(Ordering::SeqCst) < 200 {
                    let Acquired::Lease(lease) = store.lease(&key("a"), &who()).unwrap() else { continue };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                    given.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    lease.release();
                }
            });
        }
    });
}
