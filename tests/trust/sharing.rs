//! Several processes and one store: each body runs once, the others wait, and who is gone or late does no harm.
use crate::support::wait::{code, line_with, signal, stdout, until, until_ended, until_written};
use crate::support::{Output, TestContext};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn eight_processes_run_each_body_once() {
    let context = TestContext::new();
    let counter = context.counter("counter");
    let mut text = String::from("stages:\n");
    for at in 0..5 {
        let inputs = if at > 1 { format!("    inputs: {{ up: s{} }}\n", at - 2) } else { String::new() };
        let body =
            format!("{}; sleep 0.2; cat in/up >> out/x; echo {at} >> out/x", counter.note(&at.to_string()));
        text +=
            &format!("  s{at}:\n    uses: command\n{inputs}    with: {{ run: '{body}', outputs: [x] }}\n");
    }
    context.edit(&text);
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = context.command(["run", "pipelines/p.yaml", "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let pids: Vec<u32> = children.iter().map(std::process::Child::id).collect();
    let said: Vec<Output> = children
        .into_iter()
        .map(|child| Output::new(vec!["run".into()], child.wait_with_output().unwrap()).ok())
        .collect();
    let mut lines = counter.lines();
    lines.sort();
    assert_eq!(lines, ["0", "1", "2", "3", "4"], "each body runs once");
    let ran: usize = said.iter().map(|output| output.ran().len()).sum();
    assert_eq!(ran, 5, "and is told of once");
    let mut waited = 0;
    for output in &said {
        assert_eq!(output.outcomes().len(), 5);
        for event in output.events_of("stage_waiting") {
            let holder = event["holder"].as_str().unwrap();
            let named = pids.iter().any(|pid| holder.contains(&format!("pid {pid} ")));
            assert!(named && holder.contains("user tester"), "{holder}");
            waited += 1;
        }
    }
    assert!(waited > 0, "eight processes never waited for each other");
    assert_eq!(context.result("s4"), "0\n2\n4\n");
}

/// A stage that says when it has begun, and waits there for as long as `hold` exists.
fn held(context: &TestContext) -> String {
    context.counter("begun");
    let (begun, hold) = (context.outside("begun"), context.outside("hold"));
    format!(
        "stages:\n  slow:\n    uses: command\n    pass_env: [WHO]\n    with:\n      outputs: [x]\n      \
         run: 'echo $WHO >> {}; while [ -e {} ]; do sleep 0.01; done; echo made by $WHO > out/x'\n",
        begun.display(),
        hold.display()
    )
}

/// `twin` has the key of `slow`, which another process makes: both wait for it, and so does what stands on them.
#[test]
fn a_twin_of_what_another_process_makes_is_not_forgotten() {
    let mut context = TestContext::new();
    context.set("WHO", "first");
    let text = held(&context);
    let twin = text.trim_start_matches("stages:\n").replacen("slow", "twin", 1);
    let below =
        "  below: { uses: command, inputs: { x: twin }, with: { run: cp in/x out/x, outputs: [x] } }\n";
    context.edit(&format!("{text}{twin}{below}"));
    fs::write(context.outside("hold"), "").unwrap();
    let mut first =
        context.command(["run", "pipelines/p.yaml", "slow"]).stderr(Stdio::null()).spawn().unwrap();
    until_written(&context.outside("begun"));
    let mut second =
        context.command(["run", "pipelines/p.yaml", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = stdout(&mut second);
    line_with(&mut out, "stage_waiting");
    fs::remove_file(context.outside("hold")).unwrap();
    let ended = line_with(&mut out, "run_finished");
    assert!(ended.contains("\"ran\":1,\"hit\":2"), "{ended}");
    assert_eq!((code(until_ended(&mut first)), code(until_ended(&mut second))), (0, 0));
    assert!(context.run([""; 0]).ok().ran().is_empty());
}

#[test]
fn a_killed_holder_is_taken_over_at_once() {
    let mut context = TestContext::new();
    context.edit(&held(&context));
    fs::write(context.outside("hold"), "").unwrap();
    context.set("WHO", "first");
    let mut first = context.command(["run", "pipelines/p.yaml"]).stderr(Stdio::null()).spawn().unwrap();
    until_written(&context.outside("begun"));
    context.set("WHO", "second");
    let mut second =
        context.command(["run", "pipelines/p.yaml", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = stdout(&mut second);
    let waiting = line_with(&mut out, "stage_waiting");
    assert!(waiting.contains(&format!("pid {} ", first.id())), "{waiting}");
    signal(&first, Signal::KILL);
    until_ended(&mut first);
    // Its body has begun again: in another process, and long before any heartbeat would be missed.
    until("the second takes over", Duration::from_secs(1), || {
        fs::read_to_string(context.outside("begun")).unwrap_or_default() == "first\nsecond\n"
    });
    fs::remove_file(context.outside("hold")).unwrap();
    let started = line_with(&mut out, "stage_finished");
    assert!(started.contains("\"ran\""), "{started}");
    assert_eq!(code(until_ended(&mut second)), 0);
    assert_eq!(context.result("slow"), "made by second\n");
}

#[test]
fn the_late_result_of_a_holder_that_was_taken_over_is_refused() {
    let mut context = TestContext::new();
    context.edit(&held(&context));
    fs::write(context.outside("hold"), "").unwrap();
    context.set("WHO", "late");
    let mut late = context.command(["run", "pipelines/p.yaml", "--json"]);
    let mut late = late.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_written(&context.outside("begun"));
    // Stopped like a laptop that sleeps; then its lease goes, as one from another host does after a minute.
    signal(&late, Signal::STOP);
    let leases = context.cache().join("leases-v1");
    let plan = context.plan([""; 0]);
    let key = plan["slow"].key().unwrap().strip_prefix("b3:").unwrap().to_owned();
    fs::remove_dir_all(leases.join(&key)).unwrap();
    fs::remove_file(context.outside("hold")).unwrap();
    context.set("WHO", "next");
    let next = context.run([""; 0]).ok();
    assert_eq!(next.ran(), ["slow"]);
    let record = record_of(&context, &key);
    signal(&late, Signal::CONT);
    let status = until_ended(&mut late);
    let mut said = String::new();
    late.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    late.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(record_of(&context, &key), record, "the late one wrote over the result: {said}");
    assert_eq!(context.result("slow"), "made by next\n", "{said}");
    // It may say that it lost, or that the result is there; but not that it made it.
    assert!(!said.contains("\"outcome\":\"ran\""), "exit {}: {said}", code(status));
    context.muse(["verify"]).ok();
}

fn record_of(context: &TestContext, key: &str) -> Vec<u8> {
    fs::read(context.cache().join("records-v1").join(&key[..2]).join(key)).unwrap()
}

#[test]
fn a_lease_that_nobody_can_read_is_waited_for_and_said() {
    let mut context = TestContext::new();
    context.edit(&held(&context));
    context.set("WHO", "me");
    let key = context.plan([""; 0])["slow"].key().unwrap().strip_prefix("b3:").unwrap().to_owned();
    let lease = context.cache().join("leases-v1").join(&key);
    fs::create_dir_all(&lease).unwrap();
    fs::write(lease.join("1"), "scribbled over").unwrap();
    let mut child =
        context.command(["run", "pipelines/p.yaml", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = stdout(&mut child);
    line_with(&mut out, "stage_waiting");
    fs::remove_dir_all(&lease).unwrap();
    line_with(&mut out, "run_finished");
    assert_eq!(code(until_ended(&mut child)), 0);
}

#[test]
fn gc_beside_runs_takes_nothing_that_they_need() {
    let context = TestContext::new();
    let stages: BTreeMap<usize, String> = (0..4)
        .map(|at| {
            let inputs = if at > 0 { format!("    inputs: {{ up: s{} }}\n", at - 1) } else { String::new() };
            let run = format!("cat in/up >> out/x; echo ${{params.n}} {at} >> out/x");
            (at, format!("  s{at}:\n    uses: command\n{inputs}    with: {{ run: '{run}', outputs: [x] }}\n"))
        })
        .collect();
    context.edit(&format!("params: {{ n: 0 }}\nstages:\n{}", stages.values().cloned().collect::<String>()));
    context.run([""; 0]).ok();
    for n in 1..6 {
        let mut run = context.command(["run", "pipelines/p.yaml", "--json", "--set", &format!("n={n}")]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut ended = None;
        until("the run ends", crate::support::wait::LONG, || {
            context.muse(["gc"]).ok();
            ended = run.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.map(code), Some(0));
        let to = context.outside(format!("got-{n}"));
        context
            .muse(["get", "pipelines/p.yaml", "s3", "--set", &format!("n={n}"), "--to", to.to_str().unwrap()])
            .ok();
        let text = fs::read_to_string(to.join("x")).unwrap();
        assert_eq!(text, (0..4).map(|at| format!("{n} {at}\n")).collect::<String>());
    }
}
