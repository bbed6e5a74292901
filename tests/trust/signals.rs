//! Ctrl-C and SIGTERM: stages may save their work, what is finished stays, and a second signal ends it all.
use crate::support::TestContext;
use crate::support::wait::{LONG, code, processes_with, signal, until, until_ended, until_written};
use rustix::process::Signal;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// One stage that is done at once, and one that answers SIGTERM with `on_term`; the child runs both.
fn stopped(context: &TestContext, on_term: &str, more: &[&str]) -> Child {
    context.counter("begun");
    context.counter("saved");
    let (begun, saved) = (context.outside("begun"), context.outside("saved"));
    let on_term = on_term.replace("SAVED", saved.to_str().unwrap());
    context.edit(&format!(
        "stages:\n  quick:\n    uses: command\n    with: {{ run: 'echo quick > out/x', outputs: [x] }}\n  \
         slow:\n    uses: command\n    inputs: {{ q: quick }}\n    with:\n      resume: true\n      outputs: [x]\n      \
         run: |\n        if [ -e $MUSE_RESUME/kept ]; then cp $MUSE_RESUME/kept out/x; exit 0; fi\n        \
         trap '{on_term}' TERM\n        echo begun >> {}\n        while :; do sleep 0.01; done\n",
        begun.display()
    ));
    let mut command = context.command(["run", "pipelines/p.yaml", "--json"].iter().chain(more));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_written(&begun);
    child
}

fn said(mut child: Child) -> (i32, String, String) {
    let status = until_ended(&mut child);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code(status), text(output.stdout), text(output.stderr))
}

fn polite(sent: Signal) {
    let context = TestContext::new();
    let child = stopped(&context, "echo work > $MUSE_RESUME/kept; echo saved > SAVED; exit 1", &[]);
    let began = Instant::now();
    signal(&child, sent);
    let (code, out, err) = said(child);
    assert_eq!(code, 130, "{out}{err}");
    assert!(began.elapsed() < Duration::from_secs(10), "the grace time is a limit, not a wait");
    assert!(context.outside("saved").exists(), "the stage was not told: {out}{err}");
    assert!(out.contains("\"interrupted\""), "{out}");
    // What was finished is kept, and so is what the stage saved for itself.
    let again = context.run([""; 0]).ok();
    assert_eq!((again.stages("hit"), again.ran()), (vec!["quick".into()], vec!["slow".into()]));
    assert_eq!(context.result("slow"), "work\n");
}

#[test]
fn ctrl_c_lets_stages_save_their_work() {
    polite(Signal::INT);
}

#[test]
fn sigterm_does_the_same() {
    polite(Signal::TERM);
}

#[test]
fn a_stage_that_goes_on_and_exits_with_0_is_no_result() {
    let context = TestContext::new();
    let child = stopped(&context, "echo half > out/x; exit 0", &[]);
    signal(&child, Signal::INT);
    let (code, out, err) = said(child);
    assert_eq!(code, 130, "{out}{err}");
    let plan = context.plan([""; 0]);
    assert_eq!((plan["quick"].action.as_str(), plan["slow"].action.as_str()), ("hit", "run"));
}

#[test]
fn the_grace_time_has_an_end() {
    let context = TestContext::new();
    let child = stopped(&context, ":", &["--grace", "300ms"]);
    let began = Instant::now();
    signal(&child, Signal::INT);
    let (code, out, err) = said(child);
    assert_eq!(code, 130, "{out}{err}");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_second_signal_kills() {
    let mark = format!("{}.{}", 7_000_000 + std::process::id(), 41);
    let context = TestContext::new();
    let child =
        stopped(&context, &format!("echo told > SAVED; (setsid sleep {mark} &) ; :"), &["--grace", "1h"]);
    signal(&child, Signal::INT);
    until_written(&context.outside("saved"));
    until("a daemon runs", LONG, || !processes_with(&mark).is_empty());
    let began = Instant::now();
    signal(&child, Signal::INT);
    let (code, out, err) = said(child);
    assert_eq!(code, 130, "{out}{err}");
    assert!(began.elapsed() < Duration::from_secs(10));
    until("nothing of the stage is left", Duration::from_secs(1), || processes_with(&mark).is_empty());
    let plan = context.plan([""; 0]);
    assert_eq!((plan["quick"].action.as_str(), plan["slow"].action.as_str()), ("hit", "run"));
}

#[test]
fn a_timeout_ends_all_that_a_stage_started() {
    let mark = format!("{}.{}", 7_000_000 + std::process::id(), 42);
    let context = TestContext::pipeline(&format!(
        "stages:\n  a:\n    uses: command\n    timeout: 200ms\n    with:\n      outputs: [x]\n      \
         run: 'trap \"\" TERM; (setsid sleep {mark} &); sleep {mark} & while :; do sleep 0.01; done'\n"
    ));
    let said = context.run(["--grace", "200ms"]).ends(1);
    let error = said.events_of("stage_finished")[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("timeout of 0.2 s"), "{error}");
    until("nothing of the stage is left", Duration::from_secs(1), || processes_with(&mark).is_empty());
}

#[test]
fn a_stage_that_somebody_else_stops_has_failed() {
    let context = TestContext::pipeline(
        "stages:
  a: { uses: command, with: { run: 'kill -TERM $PPID; sleep 0.1; echo > out/x', outputs: [x] } }
  b: { uses: command, inputs: { a: a }, with: { run: 'cp in/a out/x', outputs: [x] } }
",
    );
    let said = context.run([""; 0]).ends(1);
    assert_eq!((said.stages("failed"), said.stages("blocked")), (vec!["a".into()], vec!["b".into()]));
    let error = said.events_of("stage_finished")[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("stopped from outside"), "{error}");
}

#[test]
fn a_rerun_is_told_to_stop_too() {
    let context = TestContext::new();
    let begun = context.outside("begun");
    std::fs::create_dir_all(context.outside("")).unwrap();
    context.edit(&format!(
        "stages:\n  slow: {{ uses: command, with: {{ run: 'echo > {}; sleep 600; echo > out/x', outputs: [x] }} }}\n",
        begun.display()
    ));
    let mut command = context.command(["verify", "--rerun", "pipelines/p.yaml:slow"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_written(&begun);
    signal(&child, Signal::INT);
    let (code, out, err) = said(child);
    assert_eq!(code, 130, "{out}{err}");
    assert!(err.contains("stopping"), "{err}");
}
