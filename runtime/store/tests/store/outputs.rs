//! What a stage may leave as its output, and what is refused with the path in the message.
use crate::support::{Bench, files_in};
use muse_store::StoreError;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Makes `out/` with a file in it, does something to it, and gives what the store says to it.
fn refused(spoil: impl FnOnce(&Path)) -> String {
    let bench = Bench::new();
    bench.file("secret", b"outside");
    bench.file("out/good", b"1");
    bench.file("out/sub/more", b"2");
    spoil(&bench.path("out"));
    let error = bench.store.ingest(&bench.path("out")).unwrap_err();
    assert!(error.is_bad_output(), "{error:?}");
    assert!(bench.store.names("records-v1").unwrap().len() <= 256);
    let StoreError::BadOutput { path, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(bench.path("out")), "{error}");
    error.to_string().replace(bench.path("").to_str().unwrap(), "")
}

#[test]
fn links_must_stay_inside() {
    for target in ["/etc/passwd", "../secret", "../../x", "../out/good", "sub/../../secret"] {
        let message = refused(|out| symlink(target, out.join("bad")).unwrap());
        assert!(message.starts_with("output out/bad is a link"), "{target}: {message}");
    }
    let message = refused(|out| symlink("../../secret", out.join("sub/bad")).unwrap());
    assert!(message.contains("out/sub/bad is a link that leads out of the output"), "{message}");
    let message = refused(|out| symlink("nothing", out.join("bad")).unwrap());
    assert_eq!(message, "output out/bad is a link to what is not there");
    let message = refused(|out| symlink("sub", out.join("bad")).unwrap());
    assert!(message.contains("is a link to a folder"), "{message}");
    let message = refused(|out| {
        symlink("loop2", out.join("loop1")).unwrap();
        symlink("loop1", out.join("loop2")).unwrap();
    });
    assert_eq!(message, "output out/loop1 is a link that leads nowhere");
    let message = refused(|out| symlink("good/x", out.join("bad")).unwrap());
    assert_eq!(message, "output out/bad is a link that leads nowhere");
    // Inside by name, outside by way of another link.
    let message = refused(|out| {
        symlink(out.parent().unwrap(), out.join("sub/up")).unwrap();
        symlink("sub/up/secret", out.join("bad")).unwrap();
    });
    assert!(message.contains("is a link that leads out of the output"), "{message}");
}

#[test]
fn only_files_and_folders_are_stored() {
    let message = refused(|out| drop(UnixListener::bind(out.join("socket")).unwrap()));
    assert_eq!(message, "output out/socket is a socket: only files and folders can be stored");
    let message = refused(|out| {
        let made = std::process::Command::new("mkfifo").arg(out.join("pipe")).status().unwrap();
        assert!(made.success());
    });
    assert_eq!(message, "output out/pipe is a pipe: only files and folders can be stored");
    let message = refused(|out| fs::write(out.join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap());
    assert!(message.contains("has a name that is no UTF-8"), "{message}");
}

#[test]
fn an_output_must_be_there_and_be_no_link() {
    let bench = Bench::new();
    let error = bench.store.ingest(&bench.path("out")).unwrap_err();
    assert!(error.is_bad_output() && error.to_string().ends_with("is missing: the stage did not write it"));
    bench.file("in/x", b"input");
    symlink("in/x", bench.path("out")).unwrap();
    assert!(bench.store.ingest(&bench.path("out")).unwrap_err().is_bad_output());
    assert!(bench.path("in/x").exists());
}

#[test]
fn a_link_inside_is_stored_as_the_file_it_leads_to() {
    let bench = Bench::new();
    bench.file("tree/data/one", b"1");
    symlink("../data/one", bench.path("tree/data/link")).unwrap();
    symlink("data/link", bench.path("tree/latest")).unwrap();
    let artifact = bench.store.ingest(&bench.path("tree")).unwrap();
    assert_eq!((artifact.files, artifact.bytes), (3, 3));
    bench.store.take_out(&artifact, &bench.path("got")).unwrap();
    let files = files_in(&bench.path("got"));
    assert!(files.values().all(|file| file == b"1") && files.len() == 3);
    assert!(!fs::symlink_metadata(bench.path("got/latest")).unwrap().is_symlink());
}

#[test]
fn a_file_with_a_second_name_is_copied() {
    let bench = Bench::new();
    let input = bench.file("in", b"somebody may still write to this");
    fs::hard_link(&input, bench.path("out")).unwrap();
    let artifact = bench.store.ingest(&bench.path("out")).unwrap();
    fs::write(&input, b"somebody did write to this, now").unwrap();
    assert!(bench.store.verified(&artifact).unwrap());
}

#[test]
fn adopting_leaves_the_original_as_it_is() {
    let bench = Bench::new();
    let file = bench.file("mine/a", b"1");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o754)).unwrap();
    bench.file("mine/b", b"2");
    let copied = bench.store.ingest_copy(&bench.path("mine")).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o754);
    fs::write(&file, b"3").unwrap();
    assert!(bench.store.verified(&copied).unwrap());
    assert!(bench.store.names("tmp-v1").unwrap().is_empty());
}

#[test]
fn odd_rights_are_no_obstacle() {
    let bench = Bench::new();
    let file = bench.file("out/a", b"1");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let artifact = bench.store.ingest(&bench.path("out")).unwrap();
    assert!(bench.store.verified(&artifact).unwrap());
    let blob = bench.store.blob_path(&muse_store::Digest::of_bytes(b"1"));
    let fresh = bench.file("fresh", b"x");
    let readable = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o444;
    assert_eq!(readable(&blob), readable(&fresh), "teammates may read what the umask lets them");
}

#[test]
fn the_executable_bit_is_part_of_what_later_keys_see() {
    let bench = Bench::new();
    let plain = bench.keep(b"#!/bin/sh\n");
    let tool = bench.file("tool", b"#!/bin/sh\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let tool = bench.store.ingest(&tool).unwrap();
    assert!(tool.executable && tool.digest == plain.digest && tool.identity() != plain.identity());
    bench.store.take_out(&tool, &bench.path("got")).unwrap();
    assert_ne!(fs::metadata(bench.path("got")).unwrap().permissions().mode() & 0o100, 0);

    let tree = |executable: bool| {
        let file = bench.file("tree/tool", b"#!/bin/sh\n");
        let mode = if executable { 0o755 } else { 0o644 };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        bench.store.ingest(&bench.path("tree")).unwrap()
    };
    assert_ne!(tree(true).digest, tree(false).digest);
    assert_eq!(tree(true), tree(true));
}
