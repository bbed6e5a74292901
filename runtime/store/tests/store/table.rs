//! The index: a file is hashed again exactly where it may have changed.
use crate::support::{Ahead, Bench, tamper};
use muse_store::{Digest, RealFs, Store};
use std::fs;
use std::os::unix::fs::{DirEntryExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// A store whose clock says that all files are ten seconds old.
fn settled(bench: &Bench) -> (Store, Arc<Ahead>) {
    let clock = Arc::new(Ahead::default());
    clock.set(10);
    (Store::with_parts(&bench.path("cache"), Arc::new(RealFs), Arc::clone(&clock) as Arc<_>), clock)
}

fn files(bench: &Bench, count: usize) -> Vec<PathBuf> {
    (0..count).map(|number| bench.file(&format!("in/{number}"), number.to_string().as_bytes())).collect()
}

fn hashed_now(store: &Store, files: &[PathBuf]) -> Vec<usize> {
    let hashed = files.iter().map(|file| store.index().digest(file).unwrap()).enumerate();
    hashed
        .filter_map(|(at, hashed)| {
            let content = fs::read(&files[at]).unwrap();
            assert_eq!((hashed.digest, hashed.bytes), (Digest::of_bytes(&content), content.len() as u64));
            hashed.hashed_now.then_some(at)
        })
        .collect()
}

#[test]
fn only_what_changed_is_hashed_again() {
    let bench = Bench::in_memory();
    let files = files(&bench, 100);
    bench.keep(b"the store is there");
    assert_eq!(hashed_now(&settled(&bench).0, &files).len(), 100, "nothing was saved");
    let (store, _) = settled(&bench);
    assert_eq!(hashed_now(&store, &files).len(), 100);
    assert_eq!(hashed_now(&store, &files), [0; 0]);
    store.index().save();

    let (store, _) = settled(&bench);
    assert_eq!(hashed_now(&store, &files), [0; 0]);
    fs::write(&files[42], "other").unwrap();
    assert_eq!(hashed_now(&store, &files), [42]);
    store.index().save();
    assert_eq!(hashed_now(&settled(&bench).0, &files), [0; 0]);
}

#[test]
fn an_edit_that_keeps_size_and_time_is_noticed() {
    let bench = Bench::in_memory();
    let files = files(&bench, 1);
    let (store, _) = settled(&bench);
    hashed_now(&store, &files);
    let time = fs::metadata(&files[0]).unwrap().modified().unwrap();
    fs::write(&files[0], "9").unwrap();
    fs::File::options().write(true).open(&files[0]).unwrap().set_modified(time).unwrap();
    assert_eq!(hashed_now(&store, &files), [0]);
}

#[test]
fn a_file_that_is_too_young_is_not_remembered() {
    let bench = Bench::in_memory();
    let files = files(&bench, 1);
    let (store, clock) = settled(&bench);
    clock.set(-5);
    assert_eq!(hashed_now(&store, &files), [0]);
    assert_eq!(hashed_now(&store, &files), [0], "a write in the same tick would not show");
    // Whole seconds may mean that the file system knows no finer times. The ctime cannot be set, so this is
    // only the other side: with fractions, 20 ms are enough.
    clock.set(1);
    assert_eq!(hashed_now(&store, &files), [0]);
    assert_eq!(hashed_now(&store, &files), [0; 0]);
}

#[test]
fn two_processes_keep_what_both_have_learned() {
    let bench = Bench::in_memory();
    bench.keep(b"the store is there");
    let files = files(&bench, 20);
    let ((one, _), (two, _)) = (settled(&bench), settled(&bench));
    hashed_now(&one, &files[..10]);
    hashed_now(&two, &files[10..]);
    one.index().save();
    two.index().save();
    assert_eq!(hashed_now(&settled(&bench).0, &files), [0; 0]);
}

#[test]
fn a_damaged_index_knows_nothing() {
    let bench = Bench::in_memory();
    let files = files(&bench, 3);
    let (store, _) = settled(&bench);
    hashed_now(&store, &files);
    store.index().save();
    let name = store.names("index-v1").unwrap().remove(0);
    let path = store.root().join("index-v1").join(name);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for damaged in [&flipped[..], &whole[..at]] {
            tamper(&path, damaged);
            assert_eq!(hashed_now(&settled(&bench).0, &files), [0, 1, 2], "byte {at}");
        }
    }
    tamper(&path, &whole);
    assert_eq!(hashed_now(&settled(&bench).0, &files), [0; 0]);
}

#[test]
fn saving_without_news_writes_nothing() {
    let bench = Bench::in_memory();
    let files = files(&bench, 3);
    let (store, _) = settled(&bench);
    hashed_now(&store, &files);
    store.index().save();
    let folder = store.root().join("index-v1");
    // Saving puts a new file in the place of the old one.
    let stamp = || fs::read_dir(&folder).unwrap().next().unwrap().unwrap().ino();
    let before = stamp();
    let (store, clock) = settled(&bench);
    hashed_now(&store, &files);
    store.index().save();
    assert_eq!(stamp(), before);
    // Once in a while it is noted that the files are still in use.
    clock.set(30 * 86_400);
    hashed_now(&store, &files);
    store.index().save();
    assert_ne!(stamp(), before);
}

#[test]
fn only_regular_files_have_a_digest() {
    let bench = Bench::in_memory();
    let (store, _) = settled(&bench);
    let file = bench.file("tool", b"x");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(&file, bench.path("link")).unwrap();
    let hashed = store.index().digest(&bench.path("link")).unwrap();
    assert!(hashed.executable && hashed.digest == Digest::of_bytes(b"x"));
    assert!(store.index().digest(&bench.path("")).is_err());
    assert!(store.index().digest(std::path::Path::new("/dev/zero")).is_err());
    assert!(store.index().digest(&bench.path("nothing")).is_err());
}
