//! Results in and out: `get`, `adopt`, `inspect`, `verify`, `gc`.
use crate::support::TestContext;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const SHAPES: &str = "stages:
  file: { uses: command, with: { run: echo f > out/lines, outputs: [lines] } }
  folder: { uses: command, with: { run: 'mkdir -p out/d/deep; echo x > out/d/deep/x; echo e > out/d/run; chmod +x out/d/run', outputs: [d] } }
  two: { uses: command, with: { run: 'echo a > out/a.txt; mkdir out/b; echo b > out/b/b', outputs: [a.txt, b] } }
";

fn made(text: &str) -> TestContext {
    let context = TestContext::pipeline(text);
    context.run::<&str>([]).ok();
    context
}

fn below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn get_puts_each_shape_where_it_belongs() {
    let context = made(SHAPES);
    assert_eq!(below(&context.get("file")), ["lines"]);
    assert_eq!(below(&context.get("file.lines")), ["lines"]);
    assert_eq!(below(&context.get("folder")), ["deep/x", "run"]);
    assert_eq!(below(&context.get("two")), ["a.txt", "b/b"]);
    assert_eq!(below(&context.get("two.a.txt")), ["a.txt"]);
    assert_eq!(below(&context.get("two.b")), ["b"]);
    let run = context.get("folder").join("run");
    assert_eq!(fs::metadata(run).unwrap().permissions().mode() & 0o111, 0o111);
    let output = context.muse(["get", "pipelines/p.yaml", "file", "--to", "quiet"]).ok();
    assert_eq!(output.stdout, "");
}

#[test]
fn what_get_gave_is_mine_alone() {
    let context = made(SHAPES);
    let path = context.get("file").join("lines");
    let about = fs::metadata(&path).unwrap();
    assert_eq!((about.nlink(), about.permissions().mode() & 0o200), (1, 0o200));
    fs::write(&path, "mine").unwrap();
    assert_eq!(context.result("file"), "f\n");
    context.muse(["verify"]).ok();
}

#[test]
fn get_wants_a_folder_that_is_absent_or_empty() {
    let context = made(SHAPES);
    fs::create_dir(context.path("empty")).unwrap();
    context.muse(["get", "pipelines/p.yaml", "file", "--to", "empty"]).ok();
    context.muse(["get", "pipelines/p.yaml", "two", "--to", "empty"]).ends(2).says("empty");
    assert_eq!(below(&context.path("empty")), ["lines"]);
    context.write("file", "x");
    context.muse(["get", "pipelines/p.yaml", "two", "--to", "file"]).ends(2);
    // Not the current one: what takes its place would be no shell's current folder any more.
    fs::create_dir(context.path("here")).unwrap();
    let mut here = context.command(["get", "../pipelines/p.yaml", "file", "--to", "."]);
    let said = here.current_dir(context.path("here")).output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(2) && words.contains("current folder"), "{words}");
    assert!(below(&context.path("here")).is_empty());
}

#[test]
fn a_result_that_is_not_there_names_the_run_that_makes_it() {
    let context = TestContext::pipeline(SHAPES);
    let output = context.muse(["get", "pipelines/p.yaml", "file", "--to", "x"]).ends(1);
    output.says("muse run pipelines/p.yaml file");
    assert!(!context.path("x").exists());
    context.muse(["get", "pipelines/p.yaml", "fle", "--to", "x"]).ends(2).says("`file`");
    context.muse(["get", "pipelines/p.yaml", "two.c", "--to", "x"]).ends(2).says("a.txt");
}

/// The blobs of the store with their content.
fn blobs(context: &TestContext) -> Vec<(PathBuf, Vec<u8>)> {
    let root = context.path("cache/blobs-v1");
    below(&root)
        .into_iter()
        .map(|name| root.join(name))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Overwrites the blob that holds `from`, as an editor or a disk might.
fn damage(context: &TestContext, from: &str, to: &str) {
    let (path, _) = blobs(context).into_iter().find(|(_, bytes)| bytes == from.as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, to).unwrap();
}

#[test]
fn a_damaged_result_is_never_handed_out() {
    let context = made(SHAPES);
    damage(&context, "f\n", "g\n");
    let output = context.muse(["get", "pipelines/p.yaml", "file", "--to", "x"]).ends(4);
    output.says("muse run pipelines/p.yaml file");
    assert!(!context.path("x").exists());
    context.run(["file"]).ok();
    assert_eq!(context.result("file"), "f\n");
}

#[test]
fn a_damaged_input_is_made_again_and_the_run_says_so() {
    let context = made(
        "params: { n: 1 }
stages:
  a: { uses: command, with: { run: echo aa > out/x, outputs: [x] } }
  b: { uses: command, inputs: { x: a }, with: { run: 'cat in/x > out/y; echo ${params.n} >> out/y', outputs: [y] } }
",
    );
    damage(&context, "aa\n", "zz\n");
    let output = context.run(["--set", "n=2"]).ok();
    assert_eq!(output.ran(), ["a", "b"]);
    assert!(output.stdout.contains("damaged") || output.stdout.contains("changed"), "{output}");
    context.edit(&context.read("pipelines/p.yaml").replace("muse: 1\n", "").replace("n: 1", "n: 2"));
    assert_eq!(context.result("b"), "aa\n2\n");
}

#[test]
fn verify_finds_damage_and_repair_drops_it() {
    let context = made(SHAPES);
    context.muse(["verify"]).ok();
    damage(&context, "x\n", "y\n");
    context.muse(["verify"]).ends(4);
    let report = context.muse(["verify", "--json"]).ends(4).json();
    assert!(report.is_object());
    context.muse(["verify", "--repair"]).ok();
    context.muse(["verify"]).ok();
    let output = context.run::<&str>([]).ok();
    assert_eq!(output.ran(), ["folder"]);
    assert_eq!(fs::read_to_string(context.get("folder").join("deep/x")).unwrap(), "x\n");
}

#[test]
fn rerun_tells_whether_a_stage_makes_the_same_twice() {
    let context = made(
        "stages:
  same: { uses: command, with: { run: echo > out/x, outputs: [x] } }
  other: { uses: command, with: { run: date +%N > out/x, outputs: [x] } }
",
    );
    context.muse(["verify", "--rerun", "pipelines/p.yaml:same"]).ok();
    let output = context.muse(["verify", "--rerun", "pipelines/p.yaml:other"]).ends(1);
    output.says("other");
    // It only looked.
    assert!(context.run::<&str>([]).ok().ran().is_empty());
}

#[test]
fn an_adopted_result_is_a_hit_and_says_what_it_is() {
    let context = TestContext::new();
    let counter = context.counter("bodies");
    context.edit(&format!(
        "stages:
  slow: {{ uses: command, with: {{ run: '{}; echo made > out/x', outputs: [x] }} }}
  use: {{ uses: command, inputs: {{ x: slow }}, with: {{ run: cp in/x out/y, outputs: [y] }} }}
",
        counter.mark()
    ));
    context.write("old", "by hand\n");
    context.muse(["adopt", "pipelines/p.yaml", "slow", "old"]).ok();
    assert_eq!(context.run::<&str>([]).ok().ran(), ["use"]);
    assert_eq!((context.result("use").as_str(), counter.count()), ("by hand\n", 0));
    assert_eq!(context.read("old"), "by hand\n");
    context.muse(["inspect", "pipelines/p.yaml:slow"]).ok().prints("adopted");
    context.muse(["adopt", "pipelines/p.yaml", "slow", "no-such"]).ends(2).says("no-such");
    // `--force` makes it after all.
    context.run(["--force", "slow"]).ok();
    assert_eq!(context.result("use"), "made\n");
}

#[test]
fn inspect_shows_files_folders_and_results() {
    let context = made(SHAPES);
    context.write("data.txt", "one\ntwo\n");
    context.muse(["inspect", "data.txt"]).ok().prints("two").prints("8 B");
    context.muse(["inspect", "pipelines/p.yaml:two"]).ok().prints("a.txt").prints("b");
    context.muse(["inspect", "pipelines/p.yaml:two.b"]).ok();
    assert!(context.muse(["inspect", "pipelines/p.yaml:two", "--json"]).ok().json().is_object());
    context.muse(["inspect", "no-such"]).ends(2).says("no-such");
    context.muse(["inspect", "pipelines/p.yaml:nothing"]).ends(2).says("nothing");
}

#[test]
fn inspect_of_a_result_that_is_not_there_names_the_run() {
    let context = TestContext::pipeline(SHAPES);
    context.muse(["inspect", "pipelines/p.yaml:two"]).ends(1).says("muse run pipelines/p.yaml two");
}

#[test]
fn gc_takes_what_the_policy_says_and_the_dry_run_is_exact() {
    let context = made(
        "params: { v: 1 }
stages:
  temp: { uses: command, with: { run: head -c 100000 /dev/zero > out/x, outputs: [x] }, keep: temp }
  kept: { uses: command, inputs: { x: temp }, with: { run: 'wc -c < in/x > out/y; echo ${params.v} >> out/y', outputs: [y] } }
  ever: { uses: command, with: { run: 'echo ever ${params.v} > out/z', outputs: [z] }, keep: forever }
",
    );
    context.run(["--set", "v=2"]).ok();
    let size = || blobs(&context).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let before = size();
    let dry = context.muse(["gc", "--dry-run", "--json"]).ok().json();
    assert_eq!(size(), before);
    let wet = context.muse(["gc", "--json"]).ok().json();
    let freed = |report: &serde_json::Value| {
        report["freed"].as_u64().or(report["bytes"].as_u64()).unwrap_or_else(|| panic!("{report:#}"))
    };
    assert_eq!((freed(&dry), freed(&wet)), (freed(&wet), (before - size()) as u64));
    let left: Vec<_> =
        blobs(&context).into_iter().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect();
    assert!(left.contains(&"ever 1\n".into()) && left.contains(&"ever 2\n".into()), "{left:?}");
    assert!(left.contains(&"100000\n2\n".into()), "{left:?}");
    // The first run's result is named by no last run.
    assert!(!left.contains(&"100000\n1\n".into()), "{left:?}");
    assert_eq!(
        context.muse(["gc", "--json"]).ok().json().pointer("/freed").and_then(|n| n.as_u64()).unwrap_or(0),
        0
    );
    assert!(context.run(["--set", "v=2"]).ok().ran().is_empty());
    context.muse(["verify"]).ok();
}

#[test]
fn max_size_goes_on_until_the_store_is_that_small() {
    let context = made(
        "stages:
  big: { uses: command, with: { run: head -c 300000 /dev/zero > out/x, outputs: [x] } }
  ever: { uses: command, with: { run: echo ever > out/z, outputs: [z] }, keep: forever }
",
    );
    context.muse(["gc"]).ok();
    assert!(blobs(&context).iter().any(|(_, bytes)| bytes.len() == 300_000));
    context.muse(["gc", "--max-size", "1kB"]).ok();
    assert!(!blobs(&context).iter().any(|(_, bytes)| bytes.len() == 300_000));
    assert!(blobs(&context).iter().any(|(_, bytes)| bytes == b"ever\n"));
    context.muse(["gc", "--max-size", "lots"]).ends(2).says("lots");
}

#[test]
fn a_data_file_shows_its_columns_and_what_they_would_be_read_as() {
    let context = TestContext::new();
    context
        .write("a.jsonl", "{\"id\": 1, \"instruction\": \"add\", \"input\": \"1 2\", \"output\": \"3\"}\n");
    let seen = context.muse(["inspect", "a.jsonl"]).ok();
    seen.prints("read_as").prints("chat").prints("instruction");
    let json = context.muse(["inspect", "a.jsonl", "--json"]).ok().json();
    assert_eq!(json["data"]["sample"][0]["output"], "3", "{json}");
    context.muse(["inspect", "hub:no-owner"]).ends(2).says("hub:OWNER/NAME");
}
