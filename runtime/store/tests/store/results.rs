//! The way of a result: in, recorded, laid out, taken out.
use crate::support::{Bench, files_in, key, lease, record, tamper};
use muse_store::{Published, Store, StoreError};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_is_made_before_something_is_written() {
    let bench = Bench::new();
    assert_eq!(bench.store.record(&key("a")).unwrap(), None);
    bench.store.index().save();
    assert!(!bench.store.root().exists());
    bench.keep(b"x");
    let root = bench.store.root();
    assert!(
        fs::read_to_string(root.join("CACHEDIR.TAG")).unwrap().starts_with("Signature: 8a477f597d28d172")
    );
    assert_eq!(fs::read_to_string(root.join(".gitignore")).unwrap(), "*\n");
    assert!(root.join("README.md").exists());
}

#[test]
fn a_file_goes_in_and_comes_out() {
    let bench = Bench::new();
    let artifact = bench.keep(b"hello");
    assert_eq!((artifact.bytes, artifact.files, artifact.tree, artifact.executable), (5, 1, false, false));
    assert!(!bench.path("kept").exists(), "it is moved");
    let blob = bench.store.blob_path(&artifact.digest);
    assert_eq!(mode(&blob) & 0o222, 0, "nobody may write to it");
    assert!(bench.store.present(&artifact) && bench.store.verified(&artifact).unwrap());

    let out = bench.path("got/here");
    bench.store.take_out(&artifact, &out).unwrap();
    assert_eq!(fs::read(&out).unwrap(), b"hello");
    assert_ne!(mode(&out) & 0o200, 0, "the copy may be written to");
    assert!(matches!(bench.store.take_out(&artifact, &out), Err(StoreError::Exists { .. })));
}

#[test]
fn a_folder_goes_in_and_comes_out() {
    let bench = Bench::new();
    let tool = bench.file("tree/bin/tool", b"#!/bin/sh\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(bench.path("tree/empty/inner")).unwrap();
    let artifact = bench.keep_tree(&[("a", b"1"), ("b\nc", b"22"), ("same", b"1")]);
    assert!(artifact.tree);
    assert_eq!((artifact.bytes, artifact.files), (14, 4));
    assert!(bench.store.present(&artifact) && bench.store.verified(&artifact).unwrap());

    let laid = bench.store.lay_out(&artifact, &bench.path("in")).unwrap();
    assert_eq!(mode(&bench.path("in/bin/tool")), 0o555);
    assert!(bench.path("in/empty/inner").is_dir());
    assert_eq!(bench.store.check_laid_out(laid).unwrap(), []);

    // An empty folder is as good as none.
    fs::create_dir(bench.path("out")).unwrap();
    bench.store.take_out(&artifact, &bench.path("out")).unwrap();
    assert_eq!(files_in(&bench.path("in")), files_in(&bench.path("out")));
    assert_eq!(files_in(&bench.path("out"))["b\nc"], b"22");
    assert_eq!(mode(&bench.path("out/bin/tool")), 0o755);
    assert!(bench.path("out/empty/inner").is_dir());
}

#[test]
fn several_results_come_out_together() {
    let bench = Bench::new();
    let (file, tree) = (bench.keep(b"x"), bench.keep_tree(&[("a", b"1")]));
    bench.store.take_out_all(&[("one.txt", &file), ("two", &tree)], &bench.path("out")).unwrap();
    let names: Vec<String> = files_in(&bench.path("out")).into_keys().collect();
    assert_eq!(names, ["one.txt", "two/a"]);
    for name in ["..", "../x", "/x", ".", "", "a/b", "a/"] {
        assert!(bench.store.take_out_all(&[(name, &file)], &bench.path("astray")).is_err(), "{name}");
        assert!(!bench.path("astray").exists() && !bench.path("x").exists());
    }
}

#[test]
fn a_record_makes_a_key_a_hit() {
    let bench = Bench::new();
    let artifact = bench.keep(b"hello");
    let made = bench.publish(key("a"), &[("lines", artifact)]);
    let again = Store::open(bench.store.root());
    assert_eq!(again.record(&key("a")).unwrap(), Some(made));
    assert_eq!(again.record(&key("b")).unwrap(), None);
    assert!(bench.store.names("leases-v1").unwrap().is_empty(), "the lease was given back");
    assert!(bench.store.names("tmp-v1").unwrap().is_empty(), "nothing half made is left");
}

#[test]
fn the_first_record_wins() {
    let bench = Bench::new();
    let first = bench.publish(key("a"), &[("x", bench.keep(b"1"))]);
    let second = record(key("a"), &[("x", bench.keep(b"2"))]);
    let lease = lease(&bench.store, &key("a"));
    let lost = bench.store.publish(&second, &lease).unwrap();
    assert_eq!(lost, Published::Lost(Box::new(first.clone())));
    assert_eq!(bench.store.record(&key("a")).unwrap(), Some(first.clone()));

    // Moved aside it makes room, and is still there to be compared with.
    bench.store.retire(&key("a"), &lease).unwrap();
    assert_eq!(bench.store.record(&key("a")).unwrap(), None);
    assert_eq!(bench.store.retired(&key("a")).unwrap(), Some(first));
    assert_eq!(bench.store.publish(&second, &lease).unwrap(), Published::New);
    assert_eq!(bench.store.record(&key("a")).unwrap(), Some(second));
    assert_eq!(bench.store.retired(&key("a")).unwrap(), None);
}

#[test]
fn a_result_without_its_content_is_not_published() {
    let bench = Bench::new();
    let artifact = bench.keep(b"1");
    fs::remove_file(bench.store.blob_path(&artifact.digest)).unwrap();
    let lease = lease(&bench.store, &key("a"));
    let refused = bench.store.publish(&record(key("a"), &[("x", artifact)]), &lease);
    assert!(matches!(refused, Err(StoreError::Missing { .. })));
    assert_eq!(bench.store.record(&key("a")).unwrap(), None);
}

#[test]
fn edited_content_is_noticed_dropped_and_healed() {
    let bench = Bench::new();
    let artifact = bench.keep(b"hello");
    let blob = bench.store.blob_path(&artifact.digest);
    tamper(&blob, b"jello");
    assert!(bench.store.present(&artifact), "sizes alone do not tell");
    assert!(matches!(bench.store.take_out(&artifact, &bench.path("out")), Err(StoreError::Damaged { .. })));
    assert!(!bench.path("out").exists() && !blob.exists());
    assert_eq!(bench.store.complaints().len(), 1);

    bench.keep(b"hello");
    tamper(&blob, b"jello");
    assert!(!bench.store.verified(&artifact).unwrap());
    assert!(!blob.exists());

    // The same content, made again over a damaged blob, takes its place.
    bench.keep(b"hello");
    tamper(&blob, b"jello");
    bench.keep(b"hello");
    assert!(bench.store.verified(&artifact).unwrap());
}

#[test]
fn edited_folders_are_noticed() {
    let bench = Bench::new();
    let artifact = bench.keep_tree(&[("a", b"1"), ("b", b"2")]);
    let manifest = bench.store.blob_path(&artifact.digest);
    let text = fs::read_to_string(&manifest).unwrap();
    tamper(&manifest, text.replace(" 1 a", " 1 c").as_bytes());
    assert!(!bench.store.present(&artifact));
    assert!(!bench.store.verified(&artifact).unwrap());
    assert!(!manifest.exists());

    bench.keep_tree(&[("a", b"1"), ("b", b"2")]);
    let leaf = bench.store.blob_path(&muse_store::Digest::of_bytes(b"2"));
    tamper(&leaf, b"3");
    assert!(bench.store.present(&artifact));
    assert!(!bench.store.verified(&artifact).unwrap());
    assert!(!bench.store.present(&artifact));
}

#[test]
fn an_output_on_another_disk_is_copied() {
    let bench = Bench::new();
    // Two file systems on most machines; where they are one, this is only another move.
    let Ok(far) = tempfile::tempdir_in("/dev/shm") else { return };
    fs::create_dir(far.path().join("out")).unwrap();
    fs::write(far.path().join("out/a"), b"1").unwrap();
    let artifact = bench.store.ingest(&far.path().join("out")).unwrap();
    assert!(bench.store.verified(&artifact).unwrap());
    assert!(!far.path().join("out").exists(), "it is moved all the same");
    bench.store.take_out(&artifact, &far.path().join("got")).unwrap();
    assert_eq!(fs::read(far.path().join("got/a")).unwrap(), b"1");
}

#[test]
fn what_is_there_is_never_written_over() {
    let bench = Bench::new();
    let artifact = bench.keep_tree(&[("a", b"1")]);
    bench.file("full/mine", b"mine");
    let file = bench.file("file", b"mine");
    for taken in ["full", "file"] {
        let refused = bench.store.take_out(&artifact, &bench.path(taken));
        assert!(matches!(refused, Err(StoreError::Exists { .. })), "{taken}");
    }
    assert_eq!(files_in(&bench.path("full"))["mine"], b"mine");
    assert_eq!(fs::read(file).unwrap(), b"mine");
    fs::remove_file(bench.store.blob_path(&muse_store::Digest::of_bytes(b"1"))).unwrap();
    let lost = bench.store.take_out(&artifact, &bench.path("out"));
    assert!(matches!(lost, Err(StoreError::Missing { .. })));
    let left: Vec<_> =
        fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("muse")), "{left:?}");
}

#[test]
fn attempts_have_folders_of_their_own() {
    let bench = Bench::new();
    let lease = lease(&bench.store, &key("a"));
    let work = bench.store.work_dir(&lease).unwrap();
    let mut names: Vec<_> = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cwd", "home", "tmp"]);
    assert!(work.join("cwd/in").is_dir() && work.join("cwd/out").is_dir());
    fs::create_dir(work.with_file_name(format!("{}-earlier", &key("a").hex()[..12]))).unwrap();
    fs::create_dir(work.with_file_name(format!("{}-another", &key("b").hex()[..12]))).unwrap();
    assert_eq!(bench.store.work_dir(&lease).unwrap(), work);
    assert_eq!(bench.store.names("work-v1").unwrap().len(), 2, "what is left of this key goes");
    let name = work.file_name().unwrap().len();
    assert!(name <= 24, "a socket below it must not have a name of more than 108 bytes: {name}");
    // A stage may leave it in any state.
    bench.file("else", b"1");
    fs::create_dir(work.join("tmp/closed")).unwrap();
    fs::write(work.join("tmp/closed/file"), b"1").unwrap();
    std::os::unix::fs::symlink(bench.path("else"), work.join("tmp/link")).unwrap();
    fs::set_permissions(work.join("tmp/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    bench.store.remove_work_dir(&work).unwrap();
    assert!(!work.exists() && bench.path("else").exists());

    let resume = bench.store.resume_dir(&key("a"));
    fs::create_dir_all(&resume).unwrap();
    fs::write(resume.join("step-10"), b"1").unwrap();
    fs::write(bench.store.resume_lock(&key("a")), b"").unwrap();
    bench.store.remove_resume_dir(&key("a")).unwrap();
    assert!(bench.store.names("resume-v1").unwrap().is_empty());
}
