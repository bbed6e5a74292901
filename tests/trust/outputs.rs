//! What a stage may not leave as its output: anything that climbs out of its folder or is no file.
use crate::support::TestContext;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn pipeline(run: &str) -> String {
    format!("stages:\n  a:\n    uses: command\n    with:\n      outputs: [x]\n      run: |\n        {run}\n")
}

#[test]
fn outputs_that_climb_out_are_refused_by_name() {
    let context = TestContext::new();
    context.write("private/key", "private");
    context.write("private/x", "private too");
    let private = context.path("private");
    let private = private.to_str().unwrap();
    for (run, named, why) in [
        (format!("ln -s {private}/key out/x"), "out/x", "link"),
        (format!("ln -s {private} out/x"), "out/x", "link"),
        (format!("mkdir out/x && ln -s {private}/key out/x/key"), "out/x/key", "absolute"),
        (format!("mkdir out/x && ln -s {private} out/x/folder"), "out/x/folder", "absolute"),
        ("mkdir out/x && ln -s ../../in out/x/up".into(), "out/x/up", "leads out"),
        ("mkdir out/x && ln -s ../../../../../private/key out/x/up".into(), "out/x/up", "leads out"),
        ("mkdir -p out/x/d && ln -s ../../y out/x/d/up && echo y > out/y".into(), "out/x/d/up", "leads out"),
        // It goes out and comes back in: the way counts.
        ("mkdir -p out/x && echo f > out/x/f && ln -s ../x/f out/x/l".into(), "out/x/l", "leads out"),
        ("mkdir -p out/x/d && ln -s d out/x/l".into(), "out/x/l", "link to a folder"),
        ("mkdir out/x && ln -s gone out/x/l".into(), "out/x/l", "not there"),
        ("mkdir out/x && ln -s l out/x/l".into(), "out/x/l", "leads nowhere"),
        ("mkdir out/x && mkfifo out/x/pipe".into(), "out/x/pipe", "pipe"),
        ("mkfifo out/x".into(), "out/x", "pipe"),
        ("mkdir out/x && printf x > \"out/x/$(printf '\\377')\"".into(), "out/x/", "UTF-8"),
        (format!("rmdir out && ln -s {private} out"), "`out`", "leads to"),
        (format!("cd .. && mv cwd old && mkdir cwd && ln -s {private} cwd/out"), "`out`", "leads to"),
        ("echo y > out/y".into(), "out/x", "out/y"),
    ] {
        context.edit(&pipeline(&run));
        let said = context.run([""; 0]).ends(1);
        let failed = said.events_of("stage_finished");
        let error = format!("{}; {}", failed[0]["error"], failed[0]["help"]);
        assert!(error.contains(named) && error.contains(why), "{run}: {error}");
        assert_eq!(failed[0]["outcome"], "failed");
        assert_eq!(context.plan([""; 0])["a"].action, "run", "{run}: it was recorded");
        assert_eq!(context.read("private/key") + &context.read("private/x"), "privateprivate too", "{run}");
        assert_eq!(fs::metadata(context.path("private/key")).unwrap().permissions().mode() & 0o200, 0o200);
    }
}

#[test]
fn devices_and_sockets_are_refused() {
    for (run, why) in [
        ("mkdir out/x; mknod out/x/null c 1 3 || exit 9", "device"),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"out/x\")' || exit 9", "socket"),
    ] {
        let context = TestContext::pipeline(&pipeline(run));
        let said = context.run([""; 0]).ends(1);
        let error = said.events_of("stage_finished")[0]["error"].as_str().unwrap().to_owned();
        if error.contains("exit status 9") {
            println!("skipped: {why} cannot be made here");
            continue;
        }
        assert!(error.contains("out/x") && error.contains(why), "{error}");
    }
}

#[test]
fn links_within_an_output_are_stored_as_the_files_they_lead_to() {
    let context = TestContext::pipeline(&pipeline(
        "mkdir -p out/x/d && echo one > out/x/f && ln -s ../f out/x/d/l && ln -s d/l out/x/m && ln out/x/f out/x/h",
    ));
    context.run([""; 0]).ok();
    let got = context.get("a");
    for name in ["f", "d/l", "m", "h"] {
        let path = got.join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n", "{name}");
        assert!(!path.is_symlink(), "{name} is still a link");
    }
    assert_eq!(context.run([""; 0]).ok().ran(), [""; 0]);
}

#[test]
fn a_hard_link_to_a_file_outside_leaves_that_file_alone() {
    let context = TestContext::new();
    context.write("mine.txt", "mine");
    context.edit(&pipeline(&format!("ln {} out/x", context.path("mine.txt").display())));
    context.run([""; 0]).ok();
    assert_eq!(
        fs::metadata(context.path("mine.txt")).unwrap().permissions().mode() & 0o222,
        0o200,
        "its mode changed"
    );
    context.write("mine.txt", "edited");
    assert_eq!(context.result("a"), "mine");
    context.muse(["verify"]).ok();
}

#[test]
fn names_of_outputs_cannot_climb() {
    let context = TestContext::new();
    for name in ["..", "../x", "a/b", "/x", ".x", "x\\0"] {
        context.edit(&format!(
            "stages:\n  a:\n    uses: command\n    with: {{ run: 'true', outputs: [\"{name}\"] }}\n"
        ));
        context.run([""; 0]).ends(2);
    }
}

#[test]
fn odd_but_honest_outputs_come_back_as_they_were() {
    let context = TestContext::pipeline(&pipeline(
        "mkdir -p out/x/empty \"out/x/a b\"; printf 1 > 'out/x/a b/ü\\n'; printf 2 > \"out/x/$(printf 'line\\nbreak')\"; \
         printf 3 > out/x/.hidden; printf 'x' > out/x/run; chmod +x out/x/run; : > out/x/nothing",
    ));
    context.run([""; 0]).ok();
    let got = context.get("a");
    assert!(got.join("empty").is_dir());
    let holds =
        |name: &str, text: &str| assert_eq!(fs::read_to_string(got.join(name)).unwrap(), text, "{name}");
    holds("a b/ü\\n", "1");
    holds("line\nbreak", "2");
    holds(".hidden", "3");
    holds("nothing", "");
    let mode = |name: &str| fs::metadata(got.join(name)).unwrap().permissions().mode() & 0o100;
    assert_eq!((mode("run"), mode("nothing")), (0o100, 0));
}
