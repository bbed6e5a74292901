//! Results as inputs: shared where that is cheap, and never left changed.
use crate::support::{Ahead, Bench, plain_fs, tamper};
use muse_store::{Artifact, Digest, Store};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

const LARGE: usize = 300 * 1024;

/// A store that cannot share blocks, whose files are old enough to be remembered, and a large file in it.
fn large(bench: &Bench) -> (Store, Artifact) {
    let clock = Arc::new(Ahead::default());
    clock.set(10);
    let store = Store::with_parts(&bench.path("cache"), plain_fs(bench), clock);
    let file = bench.file("out/large", &vec![7; LARGE]);
    let artifact = store.ingest(&file).unwrap();
    fs::create_dir(bench.path("in")).unwrap();
    (store, artifact)
}

/// Whether the store would have to read the blob again to trust it.
fn must_be_read(store: &Store, artifact: &Artifact) -> bool {
    store.index().digest(&store.blob_path(&artifact.digest)).unwrap().hashed_now
}

#[test]
fn large_files_are_linked_and_small_ones_copied() {
    let bench = Bench::in_memory();
    let (store, large) = large(&bench);
    let laid = store.lay_out(&large, &bench.path("in/large")).unwrap();
    assert_eq!(laid.linked(), 1);
    let blob = store.blob_path(&large.digest);
    assert_eq!(fs::metadata(bench.path("in/large")).unwrap().ino(), fs::metadata(&blob).unwrap().ino());
    assert_eq!(store.check_laid_out(laid).unwrap(), []);
    assert!(!bench.path("in/large").exists(), "the link is taken away");
    assert!(!must_be_read(&store, &large), "our own links are no reason to hash again");

    let small = bench.file("small", b"small");
    let small = store.ingest(&small).unwrap();
    assert_eq!(store.lay_out(&small, &bench.path("in/small")).unwrap().linked(), 0);
    tamper(&bench.path("in/small"), b"mine!");
    assert!(store.verified(&small).unwrap());
}

#[test]
fn what_may_be_executed_is_never_linked() {
    let bench = Bench::in_memory();
    let (store, _) = large(&bench);
    let tool = bench.file("tool", &vec![8; LARGE]);
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let tool = store.ingest(&tool).unwrap();
    assert_eq!(store.lay_out(&tool, &bench.path("in/tool")).unwrap().linked(), 0);
    assert_eq!(fs::metadata(bench.path("in/tool")).unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(fs::metadata(store.blob_path(&tool.digest)).unwrap().permissions().mode() & 0o111, 0);
}

#[test]
fn an_input_that_the_stage_wrote_to_is_noticed_and_dropped() {
    let bench = Bench::in_memory();
    let (store, large) = large(&bench);
    let link = bench.path("in/large");
    let laid = store.lay_out(&large, &link).unwrap();
    // Same size, and the time put back: as sly as can be.
    let time = fs::metadata(&link).unwrap().modified().unwrap();
    tamper(&link, &vec![9; LARGE]);
    fs::File::options().write(true).open(&link).unwrap().set_modified(time).unwrap();
    assert!(store.present(&large));
    assert_eq!(store.check_laid_out(laid).unwrap(), [large.digest]);
    assert!(!store.present(&large));
    assert_eq!(store.complaints().len(), 1);
}

#[test]
fn a_stage_may_remove_or_replace_its_links() {
    let bench = Bench::in_memory();
    let (store, large) = large(&bench);
    for replace in [false, true] {
        let link = bench.path("in/large");
        let laid = store.lay_out(&large, &link).unwrap();
        fs::remove_file(&link).unwrap();
        if replace {
            fs::write(&link, "mine").unwrap();
        }
        assert_eq!(store.check_laid_out(laid).unwrap(), []);
        assert!(store.verified(&large).unwrap());
        fs::remove_file(&link).ok();
    }
}

#[test]
fn two_stages_may_use_one_result() {
    let bench = Bench::in_memory();
    let (store, large) = large(&bench);
    let one = store.lay_out(&large, &bench.path("in/one")).unwrap();
    let mut two = store.lay_out(&large, &bench.path("in/two")).unwrap();
    assert_eq!(store.check_laid_out(one).unwrap(), []);
    two.join(store.lay_out(&large, &bench.path("in/three")).unwrap());
    assert_eq!(two.linked(), 2);
    assert_eq!(store.check_laid_out(two).unwrap(), []);
    assert!(!must_be_read(&store, &large));
}

#[test]
fn what_is_lost_cannot_be_laid_out() {
    let bench = Bench::in_memory();
    let (store, large) = large(&bench);
    tamper(&store.blob_path(&large.digest), b"short");
    assert!(!store.present(&large));
    let error = store.lay_out(&large, &bench.path("in/x")).unwrap_err();
    assert!(matches!(error, muse_store::StoreError::Damaged { .. }), "{error}");
    fs::remove_file(store.blob_path(&large.digest)).unwrap();
    let error = store.lay_out(&large, &bench.path("in/x")).unwrap_err();
    assert!(matches!(error, muse_store::StoreError::Missing { .. }), "{error}");
}

/// A person's file that is large enough to be lent, and its digest.
fn own(bench: &Bench, store: &Store) -> (std::path::PathBuf, Digest) {
    let file = bench.file("mine", &vec![5; 2 << 20]);
    let digest = store.index().digest(&file).unwrap().digest;
    (file, digest)
}

#[test]
fn a_persons_large_file_is_lent_and_a_small_one_copied() {
    let bench = Bench::in_memory();
    let (store, _) = large(&bench);
    let (file, digest) = own(&bench, &store);
    let lent = store.lay_out_file(&file, &bench.path("in/mine"), &digest).unwrap().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), fs::metadata(bench.path("in/mine")).unwrap().ino());
    assert!(store.unchanged(&lent));
    assert!(!bench.path("in/mine").exists() && file.exists());
    assert!(!store.index().digest(&file).unwrap().hashed_now, "our own links are no reason to hash again");

    let small = bench.file("small", b"1");
    assert!(store.lay_out_file(&small, &bench.path("in/small"), &Digest::of_bytes(b"1")).unwrap().is_none());
    fs::write(bench.path("in/small"), b"2").unwrap();
    assert_eq!(fs::read(small).unwrap(), b"1");
}

#[test]
fn a_lent_file_that_changes_is_noticed() {
    let bench = Bench::in_memory();
    let (store, _) = large(&bench);
    let (file, digest) = own(&bench, &store);
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    let edit = |byte: u8| {
        fs::write(&file, vec![byte; 2 << 20]).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    };
    let lent = store.lay_out_file(&file, &bench.path("in/one"), &digest).unwrap().unwrap();
    edit(6);
    assert!(!store.unchanged(&lent));
    // Also where it was changed just before it was lent.
    let lent = store.lay_out_file(&file, &bench.path("in/two"), &digest).unwrap().unwrap();
    assert!(!store.unchanged(&lent));
    assert_ne!(store.index().digest(&file).unwrap().digest, digest, "and nothing wrong is remembered");
    edit(5);
    let lent = store.lay_out_file(&file, &bench.path("in/three"), &digest).unwrap().unwrap();
    let other = store.lay_out_file(&file, &bench.path("in/four"), &digest).unwrap().unwrap();
    assert!(store.unchanged(&lent) && store.unchanged(&other));
}
