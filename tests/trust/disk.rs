//! A disk that is full or read-only: exit code 4 and a clear word, nothing lost, and the next run is fine.
use crate::support::wait::may_mount;
use crate::support::{Output, TestContext};
use std::process::Command;

/// Text of the size of a few pages, made by each of several stages, and read by the last.
const PIPELINE: &str = "\
stages:
  a:
    uses: command
    with: { run: 'yes a | head -c 150000 > out/x', outputs: [x] }
  b:
    uses: command
    inputs: { a: a }
    with: { run: 'mkdir out/x; for i in 1 2 3 4 5; do { cat in/a; echo $i; } > out/x/$i; done', outputs: [x] }
  c:
    uses: command
    inputs: { b: b }
    with: { run: 'cat in/b/* | wc -c > out/x', outputs: [x] }
";

/// Runs a script as root of a name space with mounts of its own; `muse` in it is the muse of the test.
fn script(context: &TestContext, text: &str) -> Output {
    let muse = context.command([""; 0]);
    let mut command = Command::new("unshare");
    let text = format!("muse() {{ {} \"$@\"; }}\n{text}", muse.get_program().to_str().unwrap());
    command.args(["-m", "sh", "-c", &text]).current_dir(context.root()).env_clear();
    command.envs(muse.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Output::new(vec!["script".into()], command.output().unwrap())
}

#[test]
fn a_full_disk_ends_in_4_and_loses_nothing() {
    if !may_mount("a full disk") {
        return;
    }
    // From too small for anything to large enough for all, so that it runs full at every kind of write.
    let mut codes = Vec::new();
    for kilobytes in
        [100, 300, 500, 700, 900, 1000, 1100, 1200, 1400, 1600, 1800, 2000, 2300, 2600, 3000, 4000]
    {
        let context = TestContext::pipeline(PIPELINE);
        let said = script(
            &context,
            &format!(
                "mkdir -p cache && mount -t tmpfs -o size={kilobytes}k tmpfs cache || exit 99\n\
                 muse run pipelines/p.yaml; echo first $?\n\
                 muse verify > verify.txt 2>&1; echo verify $?\n\
                 mount -o remount,size=64m cache || exit 98\n\
                 muse run pipelines/p.yaml > second.txt 2>&1; echo second $?\n\
                 muse get pipelines/p.yaml c --to got >> second.txt 2>&1; cat got/x\n\
                 muse verify > /dev/null; echo verify $?\n"
            ),
        )
        .ok();
        let code = if said.stdout.contains("first 0") { 0 } else { 4 };
        let second = std::fs::read_to_string(context.path("second.txt")).unwrap_or_default();
        assert_eq!(
            said.stdout,
            format!("first {code}\nverify 0\nsecond 0\n750010\nverify 0\n"),
            "{kilobytes} kB: {said}{second}"
        );
        if code == 4 {
            let clear =
                said.stderr.contains("No space left on device") || said.stderr.contains("no storage space");
            assert!(clear && said.stderr.contains("muse gc"), "{kilobytes} kB: {said}");
        }
        codes.push(code);
    }
    assert!(codes.contains(&0) && codes.iter().filter(|code| **code == 4).count() > 4, "{codes:?}");
}

#[test]
fn a_disk_without_room_for_names_ends_in_4_too() {
    if !may_mount("a disk without inodes") {
        return;
    }
    for names in [5, 300, 530, 540, 560, 600] {
        let context = TestContext::pipeline(PIPELINE);
        let said = script(
            &context,
            &format!(
                "mkdir -p cache && mount -t tmpfs -o size=64m,nr_inodes={names} tmpfs cache || exit 99\n\
                 muse run pipelines/p.yaml > first.txt 2>&1; echo first $?\n\
                 mount -o remount,nr_inodes=100000 cache || exit 98\n\
                 muse run pipelines/p.yaml > second.txt 2>&1; echo second $?\n\
                 muse get pipelines/p.yaml c --to got >> second.txt 2>&1; cat got/x\n"
            ),
        )
        .ok();
        let allowed = ["first 0\nsecond 0\n750010\n", "first 4\nsecond 0\n750010\n"];
        let texts = context.read("first.txt") + &context.read("second.txt");
        assert!(allowed.contains(&said.stdout.as_str()), "{names} names: {said}{texts}");
    }
}

#[test]
fn a_read_only_store_serves_hits_and_refuses_work() {
    if !may_mount("a read-only store") {
        return;
    }
    let context = TestContext::pipeline(PIPELINE);
    context.run([""; 0]).ok();
    context.write("pipelines/q.yaml", format!("muse: 1\n{}", PIPELINE.replace("yes a", "yes q")));
    let said = script(
        &context,
        "mount --bind cache cache && mount -o remount,ro,bind cache || exit 99\n\
         touch cache/x 2> /dev/null && exit 98\n\
         muse run pipelines/p.yaml; echo hits $?\n\
         muse run pipelines/p.yaml --json > json.txt; echo json $?\n\
         muse plan pipelines/p.yaml --exit-code > plan.txt; echo plan $?\n\
         muse get pipelines/p.yaml c --to got; echo get $?; cat got/x\n\
         muse verify > /dev/null; echo verify $?\n\
         muse plan pipelines/q.yaml --exit-code > plan.txt; echo plan $?\n\
         muse run pipelines/q.yaml 2> work.txt; echo work $?\n",
    )
    .ok();
    assert_eq!(
        said.stdout,
        "hits 0\njson 0\nplan 0\nget 0\n750010\nverify 0\nplan 3\nwork 4\n",
        "{said}{}",
        context.read("work.txt")
    );
    let work = context.read("work.txt");
    assert!(work.contains("ead-only file system") && work.contains("--cache-dir"), "{work}");
    // Where it can be written again, all goes on.
    context.muse(["run", "pipelines/q.yaml"]).ok();
    assert_eq!(context.run([""; 0]).ok().ran(), [""; 0]);
}

#[test]
fn a_store_that_cannot_be_is_said_before_any_work() {
    let context = TestContext::pipeline(PIPELINE);
    context.write("file", "no folder");
    for place in ["file", "file/below", "/proc/nothing"] {
        let said = context.muse(["run", "pipelines/p.yaml", "--cache-dir", place]).ends(4);
        assert!(said.stderr.contains(place), "{said}");
    }
}
