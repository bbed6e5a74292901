//! Files that mean no good: too deep, too large, too many, not text. An error or a pipeline, never a panic.
use crate::kinds::{bad, read, read_text, told};
use proptest::prelude::*;
use std::fmt::Write;

fn bytes(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, content).unwrap();
    told(&read(&path).err().unwrap_or_default())
}

#[test]
fn nesting_has_a_limit() {
    for (open, close) in [("[", "]"), ("{ a: ", "}")] {
        let text =
            |depth: usize| format!("muse: 1\nparams:\n  x: {}1{}\n", open.repeat(depth), close.repeat(depth));
        assert_eq!(bad(&text(62)), "", "the file and `params` are two levels");
        assert!(bad(&text(63)).contains("3:"), "{}", bad(&text(63)));
        assert!(bad(&text(63)).contains("nested deeper than 64 levels"));
        assert!(bad(&text(100_000)).contains("nested deeper than 64 levels"));
    }
    let block: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(bad(&block).contains("nested deeper than 64 levels"), "{}", bad(&block));
    let dashes = format!("muse: 1\nparams:\n  x: \n   {}1\n", "- ".repeat(200));
    assert!(bad(&dashes).contains("nested deeper than 64 levels"), "{}", bad(&dashes));
}

#[test]
fn nesting_through_aliases_has_the_same_limit() {
    let mut text = String::from("muse: 1\nparams:\n  a0: &a0 [1]\n");
    for at in 1..80 {
        let _ = writeln!(text, "  a{at}: &a{at} [*a{}]", at - 1);
    }
    assert!(bad(&text).starts_with("65:"), "{}", bad(&text));
    assert!(bad(&text).contains("nested deeper than 64 levels"));
}

#[test]
fn a_billion_laughs_are_none() {
    let mut text = String::from("muse: 1\nparams:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for at in 1..20 {
        let alias = format!("*a{}", at - 1);
        let _ = writeln!(text, "  a{at}: &a{at} [{}]", [alias.as_str(); 10].join(", "));
    }
    assert!(bad(&text).contains("more than 1000000 values"), "{}", bad(&text));
}

#[test]
fn nor_are_they_by_parameters() {
    for (first, next) in [("[x, x, x, x, x, x, x, x, x, x]", ", "), ("\"xxxxxxxxxx\"", "")] {
        let mut text = format!("muse: 1\nparams:\n  a0: {first}\n");
        for at in 1..30 {
            let name = format!("${{params.a{}}}", at - 1);
            let _ = match next {
                "" => writeln!(text, "  a{at}: \"{}\"", name.repeat(10)),
                _ => writeln!(text, "  a{at}: [{}]", [format!("\"{name}\"").as_str(); 10].join(next)),
            };
        }
        assert!(bad(&text).contains("names stand for more than 1000000 values"), "{}", bad(&text));
    }
    let mut text = format!("muse: 1\nparams:\n  a0: {}1{}\n", "[".repeat(50), "]".repeat(50));
    for at in 1..60 {
        let _ = writeln!(text, "  a{at}: {}\"${{params.a{}}}\"{}", "[".repeat(50), at - 1, "]".repeat(50));
    }
    assert!(bad(&text).contains("the parameter `a1` is nested deeper than 64 levels"), "{}", bad(&text));
}

#[test]
fn aliases_have_a_limit() {
    let text = |count: usize| format!("muse: 1\nparams:\n  a: &a 1\n  b: [{}]\n", "*a, ".repeat(count));
    assert_eq!(bad(&text(1000)), "");
    assert!(bad(&text(1001)).contains("more than 1000 aliases"));
}

#[test]
fn values_have_a_limit() {
    let text = |count: usize| format!("muse: 1\nparams:\n  b: [{}]\n", "1,".repeat(count));
    assert_eq!(bad(&text(100_000)), "");
    assert!(bad(&text(1_000_001)).contains("more than 1000000 values"));
    // Anchors inside of anchors are held apart from what they are in.
    let anchored =
        format!("muse: 1\nparams:\n  b: {}[{}]{}\n", "&x [".repeat(12), "1,".repeat(100_000), "]".repeat(12));
    assert!(bad(&anchored).contains("more than 1000000 values"));
}

#[test]
fn bytes_have_a_limit() {
    let text = format!("muse: 1\n#{}\n", "x".repeat(8 << 20));
    assert!(bad(&text).contains("larger than 8 MiB"));
    let text = format!("muse: 1\n#{}\n", "x".repeat((8 << 20) - 100));
    assert_eq!(bad(&text), "");
}

#[test]
fn what_is_no_text_is_told() {
    assert_eq!(bytes(b"muse: 1\nname: \xff\n"), "2:7 this is not UTF-8 text\n");
    assert_eq!(bytes(b"\xef\xbb\xbfmuse: 1\n"), "1:1 the file begins with a byte-order mark\n");
    assert_eq!(bytes(b"muse: 1\nname: a\0b\n"), "2:8 the file holds a NUL byte\n");
    assert!(bytes(b"\xff\xfem\0u\0").starts_with("1:1 this is not UTF-8 text"));
    assert!(bytes(b"").contains("lacks the field `muse`"));
    assert!(bytes(b"---\n...\n").contains("lacks the field `muse`"));
}

#[test]
fn a_folder_is_no_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let problems = read(folder.path()).unwrap_err();
    assert!(problems[0].message.contains("cannot be read"), "{problems:?}");
    let problems = read(&folder.path().join("none.yaml")).unwrap_err();
    assert!(problems[0].message.contains("there is no"), "{problems:?}");
}

const VALID: &str = "# A comment.
muse: 1
name: all
params: { steps: 200, rate: 1e-3, text: \"a ${params.steps}\", list: [1, 2] }
presets: { smoke: { steps: 5 } }
stages:
  wiki: { uses: download, with: { urls: [\"https://x\", 'y'], limit: 8GiB } }
  clean: &c
    uses: clean
    inputs: { corpus: [wiki] }
    with: { weights: { wiki: 0.7 } }
  other: { <<: *c, retries: 2 }
  base:
    uses: command
    inputs: { x: clean, y: \"run[seed=1]\" }
    with:
      run: |
        cat ${in.x} > ${out.o}
      outputs: [o]
    keep: 3d
  run: { uses: command, matrix: { seed: \"${params.list}\" }, with: { run: [echo, \"${matrix.seed}\"], outputs: [o] } }
";

#[test]
fn the_valid_file_is_valid() {
    assert_eq!(bad(VALID), "");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// One byte, or a few, are something else.
    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((0..VALID.len(), any::<u8>()), 1..4)) {
        let mut content = VALID.as_bytes().to_vec();
        for (at, byte) in flips {
            content[at] = byte;
        }
        bytes(&content);
    }

    /// Pieces of the file in another order, twice, or not at all.
    #[test]
    fn shuffled_pieces_never_panic(cuts in prop::collection::vec((0..VALID.len(), 0..40usize), 1..12)) {
        let content: Vec<u8> = cuts.iter().flat_map(|(at, len)| VALID.bytes().skip(*at).take(*len)).collect();
        bytes(&content);
        bytes(&[VALID.as_bytes(), &content].concat());
    }

    /// Any characters that YAML gives a meaning to.
    #[test]
    fn odd_yaml_never_panics(text in "(muse: 1\n)?[-?:,{}\\[\\]&*#!|>'\"%@` \na-c0-9$~<.]{0,80}") {
        drop(read_text(&text));
    }
}
