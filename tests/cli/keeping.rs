//! What gc may take and what it may not: durations, last runs, live runs.
use crate::support::TestContext;
use crate::support::wait::{LONG, until};
use std::fs;

/// Whether the store holds a blob of this content.
fn holds(context: &TestContext, content: &str) -> bool {
    let mut open = vec![context.path("cache/blobs-v1")];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if fs::read(&path).unwrap() == content.as_bytes() {
                return true;
            }
        }
    }
    false
}

#[test]
fn a_result_goes_when_its_duration_is_over() {
    let context = TestContext::pipeline(
        "stages:
  short: { uses: command, with: { run: echo short > out/x, outputs: [x] }, keep: 1ms }
  long: { uses: command, with: { run: echo long > out/x, outputs: [x] }, keep: 3d }
",
    );
    context.run::<&str>([]).ok();
    let gone = |content: &str| {
        context.muse(["gc"]).ok();
        !holds(&context, content)
    };
    until("its time is over", LONG, || gone("short\n"));
    assert!(holds(&context, "long\n"));
    // A changed duration holds from the next run on, and remakes nothing.
    context.replace("pipelines/p.yaml", "3d", "1ms");
    assert_eq!(context.run(["long"]).ok().stages("hit"), ["long"]);
    until("its time is over too", LONG, || gone("long\n"));
}

#[test]
fn keep_last_counts_runs() {
    let context = TestContext::pipeline(
        "params: { v: 1 }
stages: { a: { uses: command, with: { run: 'echo v${params.v} > out/x', outputs: [x] } } }
",
    );
    for v in ["v=1", "v=2", "v=3"] {
        context.run(["--set", v]).ok();
    }
    let there = || [1, 2, 3].map(|v| holds(&context, &format!("v{v}\n")));
    context.muse(["gc", "--keep-last", "2"]).ok();
    assert_eq!(there(), [false, true, true]);
    context.muse(["gc"]).ok();
    assert_eq!(there(), [false, false, true]);
    context.muse(["gc", "--keep-last", "0"]).ends(2);
}

#[test]
fn what_a_live_run_holds_stays() {
    let context = TestContext::new();
    fs::create_dir_all(context.outside("")).unwrap();
    let (at, go) = (context.outside("at"), context.outside("go"));
    context.edit(&format!(
        "stages:
  first: {{ uses: command, with: {{ run: echo first > out/x, outputs: [x] }}, keep: temp }}
  wait:
    uses: command
    inputs: {{ x: first }}
    with: {{ run: 'touch {}; while test ! -e {}; do sleep 0.02; done; echo > out/y', outputs: [y] }}
  use: {{ uses: command, inputs: {{ x: first, y: wait }}, with: {{ run: cp in/x out/z, outputs: [z] }} }}
",
        at.display(),
        go.display()
    ));
    let mut run = context.command(["run", "pipelines/p.yaml", "-q"]).spawn().unwrap();
    until("the stage begins", LONG, || at.exists());
    context.muse(["gc", "--max-size", "0"]).ok();
    assert!(holds(&context, "first\n"), "gc took what a live run stands on");
    fs::write(go, "").unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(context.result("use"), "first\n");
    context.muse(["gc", "--max-size", "0"]).ok();
    assert!(!holds(&context, "first\n"));
}

#[test]
fn a_folder_and_several_outputs_can_be_adopted() {
    let context = TestContext::pipeline(
        "stages:
  d: { uses: command, with: { run: 'false', outputs: [tree] } }
  two: { uses: command, with: { run: 'false', outputs: [a, b] } }
  use: { uses: command, inputs: { d: d, a: two.a, b: two.b }, with: { run: cat in/d/deep/x in/a in/b > out/u, outputs: [u] } }
",
    );
    context.write("old/deep/x", "X\n");
    context.write("both/a", "A\n");
    context.muse(["adopt", "pipelines/p.yaml", "d", "old"]).ok();
    context.muse(["adopt", "pipelines/p.yaml", "two", "both"]).ends(2).says("both has no `b`");
    context.write("both/b", "B\n");
    context.muse(["adopt", "pipelines/p.yaml", "two", "both"]).ok();
    context.run::<&str>([]).ok();
    assert_eq!(context.result("use"), "X\nA\nB\n");
    // There is a result now, and nobody said that it should go.
    let again = context.muse(["adopt", "pipelines/p.yaml", "d", "both"]);
    assert_ne!(again.code, 0, "{again}");
}

#[test]
fn forced_by_the_name_of_a_matrix_all_of_it_runs() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: 'echo ${matrix.n} > out/x', outputs: [x] }, matrix: { n: [1, 2] } } }\n",
    );
    context.run::<&str>([]).ok();
    assert_eq!(context.run(["--force", "a"]).ok().ran(), ["a[n=1]", "a[n=2]"]);
    assert_eq!(context.run(["--force", "a[n=2]", "a[n=2]"]).ok().ran(), ["a[n=2]"]);
    // What is forced but not wanted does not run.
    assert_eq!(context.run(["a[n=1]", "--force", "a[n=2]"]).code & !2, 0);
}

#[test]
fn gc_says_when_it_cannot_know_what_a_pipeline_keeps() {
    let context = TestContext::pipeline(
        "stages: { a: { uses: command, with: { run: 'echo > out/x', outputs: [x] }, keep: forever } }\n",
    );
    context.run::<&str>([]).ok();
    for note in std::fs::read_dir(context.path("cache/last-v1")).unwrap() {
        std::fs::write(note.unwrap().path(), "not a note").unwrap();
    }
    context.muse(["gc", "--dry-run"]).ok().says("is damaged");
}
