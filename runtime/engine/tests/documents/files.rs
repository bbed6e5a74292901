//! Input files: paths, folders, globs, links.
use crate::kinds::{read, told};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A project with files, and what a path in its pipeline stands for: names, or what is wrong.
fn found(folder: &Path, path: &str) -> String {
    let pipeline = folder.join("p.yaml");
    let text = format!(
        "muse: 1\nstages:\n  c: {{ uses: command, with: {{ run: ls, files: {{ x: {path:?} }} }} }}\n"
    );
    fs::write(&pipeline, text).unwrap();
    match read(&pipeline) {
        Err(problems) => format!("{}{}", told(&problems), problems[0].help.clone().unwrap_or_default()),
        Ok(pipeline) => {
            let set = pipeline.stages[0].files[0].expand().unwrap();
            assert!(
                set.files.iter().all(|(name, path)| path.is_file() && (set.single || path.ends_with(name)))
            );
            set.files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
        }
    }
}

fn project(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    folder
}

#[test]
fn globs_find_what_they_say() {
    let project = project(&[
        "d/b.txt",
        "d/a.txt",
        "d/A.txt",
        "d/é.txt",
        "d/.hidden.txt",
        "d/c.json",
        "d/[x].md",
        "d/one/a.txt",
        "d/one/two/a.txt",
        "d/one/.git/a.txt",
        "d/two/a.txt",
        "d/two/b{1}.txt",
    ]);
    let found = |path: &str| found(project.path(), path);
    assert_eq!(found("d/*.txt"), "A.txt a.txt b.txt é.txt", "sorted by bytes");
    assert_eq!(found("d/?.txt"), "A.txt a.txt b.txt é.txt");
    assert_eq!(found("d/**/a.txt"), "a.txt one/a.txt one/two/a.txt two/a.txt");
    assert_eq!(found("d/*/a.txt"), "one/a.txt two/a.txt");
    assert_eq!(found("d/one/**"), "a.txt two/a.txt");
    assert_eq!(found("d/{one,two}/a.txt"), "one/a.txt two/a.txt");
    assert_eq!(found("d/{a,one/a,c*}.{txt,json}"), "a.txt c.json one/a.txt");
    assert_eq!(found("d/.h*"), ".hidden.txt");
    assert_eq!(found("d/**/.git/*"), "one/.git/a.txt");
    assert_eq!(found("d/[x].m?"), "[x].md", "brackets are themselves");
    assert_eq!(found("d/two/b{1}.t*"), "b{1}.txt", "and so is a brace without a comma");
    assert_eq!(found("./d//*.json"), "c.json");
    assert!(found("d/*.jsonl").contains("`d/*.jsonl` matches no file\n"));
}

#[test]
fn a_folder_is_every_file_in_it() {
    let project = project(&["d/b", "d/.hidden", "d/xy/.y/z", "d.txt"]);
    assert_eq!(found(project.path(), "d"), ".hidden b xy/.y/z");
    assert_eq!(found(project.path(), "d/"), ".hidden b xy/.y/z");
    assert_eq!(found(project.path(), "d.txt"), "", "one file has no name");
    assert!(found(project.path(), "e.txt").ends_with("there is no file `e.txt`\ndid you mean `d.txt`?"));
    assert!(
        found(project.path(), "d/xz/.y/z")
            .ends_with("there is no file `d/xz/.y/z`\ndid you mean `d/xy/.y/z`?")
    );
}

#[test]
fn links_are_followed_and_circles_are_not() {
    let data = project(&["far/a.txt", "far/deep/b.txt"]);
    let project = project(&["d/own.txt"]);
    let d = project.path().join("d");
    symlink(data.path().join("far"), d.join("far")).unwrap();
    symlink(data.path().join("far/a.txt"), d.join("link.txt")).unwrap();
    assert_eq!(found(project.path(), "d/**/*.txt"), "far/a.txt far/deep/b.txt link.txt own.txt");
    assert_eq!(found(project.path(), "d/far"), "a.txt deep/b.txt");
    symlink("..", d.join("up")).unwrap();
    symlink(&d, data.path().join("far/back")).unwrap();
    symlink(".", d.join("self")).unwrap();
    assert_eq!(found(project.path(), "d"), "far/a.txt far/deep/b.txt link.txt own.txt");
    symlink("nowhere", d.join("gone.txt")).unwrap();
    assert!(found(project.path(), "d/*.txt").contains("finds a link that leads nowhere"));
    assert!(found(project.path(), "d/gone.txt").contains("the link `d/gone.txt` leads nowhere"));
}

#[test]
fn what_is_no_file_is_refused() {
    let project = project(&["d/a"]);
    let _socket = std::os::unix::net::UnixListener::bind(project.path().join("d/socket")).unwrap();
    assert!(found(project.path(), "d").contains("finds something that is no file"));
    assert!(found(project.path(), "d/socket").contains("is neither a file nor a folder"));
    assert_eq!(found(project.path(), "d/a*"), "a", "what is not asked for does not matter");
    use std::os::unix::ffi::OsStrExt;
    fs::write(project.path().join("d").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    assert!(found(project.path(), "d").contains("is no UTF-8 text"));
}
