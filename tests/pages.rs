//! Pages of docs/: links lead somewhere, and what is shown of the examples is what stands in them.
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page: those of docs/, and those at the root.
fn pages() -> Vec<PathBuf> {
    let mut open = vec![root().join("docs")];
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = top.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let outside = link.contains("://") || file.is_empty();
            if !outside && !page.with_file_name(file).exists() {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_plugins_md_shows_is_what_the_examples_hold() {
    let page = fs::read_to_string(root().join("docs/plugins.md")).unwrap();
    let shown: Vec<&str> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for program in ["my-muse", "muse-stage-word-count"] {
        let path = root().join(format!("docs/examples/word-count/src/bin/{program}.rs"));
        let source = fs::read_to_string(path).unwrap();
        let (_, body) = source.split_once('\n').unwrap();
        assert!(shown.contains(&body), "{program} differs from the page");
    }
    // The trait is shown in a few lines; each of them stands in the example.
    let source = fs::read_to_string(root().join("docs/examples/word-count/src/lib.rs")).unwrap();
    let sketch = shown.iter().find(|block| block.contains("impl Stage for WordCount")).unwrap();
    for line in sketch.lines().map(|line| line.split("  //").next().unwrap().trim()) {
        let telling = line.starts_with("pub ") || line.starts_with("fn ") || line.starts_with("const K");
        assert!(!telling || source.contains(line), "`{line}` is not in the example");
    }
}
