//! Content that changes behind muse's back: in the input files, in the store, through what a stage was lent.
use crate::support::TestContext;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Writes other bytes of the same length over a file and gives it its times back, as far as a program can.
fn edit_in_secret(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let meta = fs::metadata(path).unwrap();
    let text = String::from_utf8(fs::read(path).unwrap()).unwrap();
    assert!(text.contains(from), "{path:?} does not hold {from:?}");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = File::options().write(true).truncate(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, text.replace(from, to).as_bytes()).unwrap();
    let times =
        fs::FileTimes::new().set_modified(meta.modified().unwrap()).set_accessed(meta.accessed().unwrap());
    file.set_times(times).unwrap();
    fs::set_permissions(path, meta.permissions()).unwrap();
    let after = fs::metadata(path).unwrap();
    assert_eq!((after.len(), after.mtime_nsec(), after.ino()), (meta.len(), meta.mtime_nsec(), meta.ino()));
}

#[test]
fn an_edit_that_keeps_size_and_time_is_noticed() {
    let context = TestContext::pipeline(
        "stages:\n  a:\n    uses: command\n    with: { run: cp in/d out/x, files: { d: ../data.txt }, outputs: [x] }\n",
    );
    context.write("data.txt", "first");
    context.run([""; 0]).ok();
    let words = ["first", "other", "third", "fours"];
    for pair in words.windows(2) {
        // Twice: once the file is known to the index, and once it was hashed a moment ago.
        context.plan([""; 0]);
        edit_in_secret(&context.path("data.txt"), pair[0], pair[1]);
        let plan = context.plan([""; 0]);
        assert_eq!((plan["a"].action.as_str(), plan["a"].why()), ("run", vec!["file d".to_owned()]));
        assert_eq!(context.run([""; 0]).ok().ran(), ["a"]);
        assert_eq!(context.result("a"), pair[1]);
    }
}

#[test]
fn edits_right_behind_each_other_are_noticed() {
    let context = TestContext::pipeline(
        "stages:\n  a:\n    uses: command\n    with: { run: cp in/d out/x, files: { d: ../data.txt }, outputs: [x] }\n",
    );
    for round in 0..20 {
        // The same size each time, and written as soon as the last run is over.
        context.write("data.txt", format!("{round:04}"));
        context.run([""; 0]).ok();
        assert_eq!(context.result("a"), format!("{round:04}"));
    }
}

/// A maker, and a reader whose body a test can change.
fn pair(maker: &str, reader: &str) -> String {
    format!(
        "stages:\n  maker:\n    uses: command\n    with: {{ run: '{maker}', outputs: [x] }}\n  \
         reader:\n    uses: command\n    inputs: {{ x: maker }}\n    with: {{ run: '{reader}', outputs: [y] }}\n"
    )
}

fn blob_with(context: &TestContext, text: &str) -> PathBuf {
    let mut found = Vec::new();
    for shelf in fs::read_dir(context.cache().join("blobs-v1")).unwrap().flatten() {
        found.extend(fs::read_dir(shelf.path()).unwrap().flatten().map(|entry| entry.path()));
    }
    found.retain(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text));
    assert_eq!(found.len(), 1, "blobs with {text:?}");
    found.remove(0)
}

#[test]
fn a_result_edited_in_the_store_is_never_used() {
    for (maker, folder) in [("echo right > out/x", false), ("mkdir -p out/x/d; echo right > out/x/d/f", true)]
    {
        let context =
            TestContext::pipeline(&pair(maker, "cat in/x > out/y 2> /dev/null || cat in/x/d/f > out/y"));
        context.run([""; 0]).ok();
        edit_in_secret(&blob_with(&context, "right"), "right", "wrong");
        context.edit(&pair(maker, "{ cat in/x 2> /dev/null || cat in/x/d/f; } | tr a-z A-Z > out/y"));
        let run = context.run([""; 0]).ok();
        assert_eq!(context.result("reader"), "RIGHT\n", "folder: {folder}");
        assert_eq!(run.ran(), ["maker", "reader"]);
        let notes = run.events_of("note");
        let told = notes.iter().any(|note| note["message"].as_str().unwrap().contains("damaged"));
        assert!(told, "nobody was told: {notes:?}");
        context.muse(["verify"]).ok();
    }
}

/// `late` finds the content of `maker` damaged when `hit` has been told to be a hit already; what `maker` makes
/// the second time is something else, so `hit` and what stands below it are no hits after all.
#[test]
fn what_is_made_again_with_other_bytes_takes_its_hits_back() {
    let text = |late: &str| {
        let command = |name: &str, from: &str, run: &str| {
            format!(
                "  {name}:\n    uses: command\n    inputs: {{ x: {from} }}\n    with: {{ run: '{run}', outputs: [y] }}\n"
            )
        };
        let maker = "  maker:\n    uses: command\n    with: { run: 'date +%s%N > out/x', outputs: [x] }\n";
        let copies =
            command("hit", "maker", "cat in/x > out/y") + &command("below", "hit", "cat in/x > out/y");
        format!("stages:\n{maker}{copies}{}", command("late", "maker", late))
    };
    let context = TestContext::pipeline(&text("cp in/x out/y"));
    context.run([""; 0]).ok();
    let first = context.result("maker");
    edit_in_secret(&blob_with(&context, &first), &first, &first.replace(|c: char| c.is_ascii_digit(), "7"));
    context.edit(&text("cat in/x in/x > out/y"));
    let run = context.run([""; 0]).ok();
    let made = context.result("maker");
    assert_ne!(made, first);
    assert_eq!(context.result("late"), made.repeat(2), "{run}");
    assert_eq!(context.result("hit"), made, "{run}");
    assert_eq!(context.result("below"), made, "{run}");
    let work: Vec<_> =
        context.plan([""; 0]).into_values().filter(|planned| planned.action != "hit").collect();
    assert!(work.is_empty(), "there is work left: {work:?}");
}

#[test]
fn get_refuses_what_was_edited_and_says_which_run_remakes_it() {
    let context = TestContext::pipeline(&pair("echo right > out/x", "echo y > out/y"));
    context.run([""; 0]).ok();
    edit_in_secret(&blob_with(&context, "right"), "right", "wrong");
    let to = context.outside("to");
    let got = context.muse(["get", "pipelines/p.yaml", "maker", "--to", to.to_str().unwrap()]).ends(4);
    assert!(got.stderr.contains("muse run") && got.stderr.contains("maker"), "{got}");
    assert!(!to.exists(), "something was handed out");
    context.run(["maker"]).ok();
    assert_eq!(context.result("maker"), "right\n");
}

#[test]
fn verify_finds_what_was_edited_and_repair_drops_it() {
    let context = TestContext::pipeline(&pair("echo right > out/x", "echo y > out/y"));
    context.run([""; 0]).ok();
    context.muse(["verify"]).ok();
    edit_in_secret(&blob_with(&context, "right"), "right", "wrong");
    context.muse(["verify"]).ends(4);
    context.muse(["verify", "--repair"]);
    context.muse(["verify"]).ok();
    context.run(["maker"]).ok();
    assert_eq!(context.result("maker"), "right\n");
}

/// Large enough to be linked and not copied.
const LARGE: &str = "yes right | head -n 100000 > out/x";

#[test]
fn a_stage_that_writes_to_what_it_was_lent_fails_and_harms_nobody() {
    let context =
        TestContext::pipeline(&pair(LARGE, "chmod u+w in/x; echo wrong >> in/x; stat -c %h in/x > out/y"));
    let run = context.run([""; 0]);
    if run.code == 0 {
        assert_eq!(context.result("reader"), "1\n", "it was linked, written to, and nobody noticed");
    } else {
        assert!(run.stdout.contains("wrote to one of its inputs"), "{run}");
    }
    context.edit(&pair(LARGE, "sort -u in/x > out/y"));
    context.run([""; 0]).ok();
    assert_eq!(context.result("reader"), "right\n");
    context.muse(["verify"]).ok();
}

#[test]
fn a_stage_that_hides_what_it_wrote_harms_nobody_either() {
    let secret = "touch -r in/x t; chmod u+w in/x; printf wrong | dd of=in/x conv=notrunc 2> /dev/null; touch -r t in/x; \
                  chmod u-w in/x; echo > out/y";
    let context = TestContext::pipeline(&pair(LARGE, secret));
    let _ = context.run([""; 0]);
    context.edit(&pair(LARGE, "sort -u in/x > out/y"));
    context.run([""; 0]).ok();
    assert_eq!(context.result("reader"), "right\n");
}

#[test]
fn a_result_that_a_stage_still_holds_open_is_its_own_copy() {
    // The output has a second name outside, through which it is changed when the stage is long done.
    let context = TestContext::new();
    context.counter("second");
    let second = context.outside("second");
    context.edit(&pair(&format!("echo right > out/x; ln out/x {}", second.display()), "cat in/x > out/y"));
    context.run(["maker"]).ok();
    fs::set_permissions(&second, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&second, "wrong\n").unwrap();
    context.run([""; 0]).ok();
    assert_eq!(context.result("reader"), "right\n");
}

#[test]
fn results_in_the_store_cannot_be_written_by_mistake() {
    let context = TestContext::pipeline(&pair("echo right > out/x; chmod 777 out/x", "cat in/x > out/y"));
    context.run([""; 0]).ok();
    let mode = fs::metadata(blob_with(&context, "right")).unwrap().permissions().mode();
    assert_eq!(mode & 0o222, 0, "{mode:o}");
    let got = context.get("maker");
    let file = fs::metadata(got.join("x")).unwrap();
    assert_eq!(
        (file.permissions().mode() & 0o200, file.nlink()),
        (0o200, 1),
        "what is taken out is one's own"
    );
}
