//! kill -9 of muse: at random moments nothing wrong stays behind, and no process of a stage outlives it.
use super::graph::Dice;
use crate::support::TestContext;
use crate::support::wait::{code, processes_with, signal, until, until_ended, until_written};
use rustix::process::Signal;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A folder, a large file that later stages link to, and a stage that reads all of them.
const PIPELINE: &str = "\
params: { n: 0 }
stages:
  folder:
    uses: command
    with: { run: 'mkdir -p out/f/sub; for i in 1 2 3; do echo ${params.n} $i > out/f/sub/$i; done', outputs: [f] }
  large:
    uses: command
    with: { run: 'yes ${params.n} | head -c 400000 > out/l', outputs: [l] }
  middle:
    uses: command
    inputs: { f: folder }
    with: { run: 'cat in/f/sub/* > out/m; echo constant > out/c', outputs: [m, c] }
  end:
    uses: command
    inputs: { m: middle.m, c: middle.c, l: large }
    with: { run: '{ cat in/m in/c; wc -c < in/l; tail -c 2 in/l; } > out/e', outputs: [e] }
";

fn expected(n: usize) -> String {
    let line = format!("{n}\n");
    let large: String = line.chars().cycle().take(400_000).collect();
    format!("{n} 1\n{n} 2\n{n} 3\nconstant\n400000\n{}", &large[large.len() - 2..])
}

/// How many calls each of the four tests below kills: 200 in all.
const KILLS: usize = 50;

/// Kills a few calls of muse in a row, at random moments of their lives, and then lets one finish.
fn kill_at_random(seed: u64) {
    let mut dice = Dice::new(seed);
    let context = TestContext::pipeline(PIPELINE);
    // How long a call takes here and now, so that kills fall on all of it.
    let began = Instant::now();
    context.run(["--set", "n=9"]).ok();
    let mut life = began.elapsed();
    let mut killed = 0;
    while killed < KILLS {
        // Small numbers come again: then there are old results, whole or half, to be right about.
        let n = 1 + dice.roll(7);
        let set = format!("n={n}");
        for _ in 0..4 {
            let more = if dice.chance(50) { ["--force", "folder"] } else { ["--force", "large"] };
            let mut command = context.command(["run", "pipelines/p.yaml", "--set", &set].iter().chain(&more));
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let moment = life.as_micros() as usize;
            std::thread::sleep(Duration::from_micros(dice.roll(moment) as u64));
            child.kill().unwrap();
            if code(child.wait().unwrap()) == 137 {
                killed += 1;
            } else {
                life = life * 9 / 10;
            }
        }
        let run = context.run(["--set", &set]).ok();
        let ended = run.outcomes();
        assert_eq!(ended.len(), 4, "seed {seed}, after {killed} kills: {ended:?}");
        let finished = run.events_of("stage_finished");
        let digest =
            finished.iter().find(|event| event["stage"] == "end").unwrap()["outputs"]["e"]["digest"].clone();
        let digest = digest.as_str().unwrap().strip_prefix("b3:").unwrap();
        let blob = context.cache().join("blobs-v1").join(&digest[..2]).join(&digest[2..]);
        assert_eq!(
            std::fs::read_to_string(blob).unwrap(),
            expected(n),
            "seed {seed}, after {killed} kills, n {n}"
        );
    }
    context.muse(["verify"]).ok();
    // What the dead left behind is litter, and gc finds it while it keeps the results.
    context.muse(["gc"]).ok();
    context.run([""; 0]).ok();
    context.muse(["verify"]).ok();
}

#[test]
fn a_kill_at_any_moment_harms_nothing_0() {
    kill_at_random(1);
}

#[test]
fn a_kill_at_any_moment_harms_nothing_1() {
    kill_at_random(2);
}

#[test]
fn a_kill_at_any_moment_harms_nothing_2() {
    kill_at_random(3);
}

#[test]
fn a_kill_at_any_moment_harms_nothing_3() {
    kill_at_random(4);
}

#[test]
fn no_process_of_a_stage_outlives_muse() {
    let context = TestContext::new();
    // Unlike any other number on this machine, so that its processes can be told apart.
    let mark = format!("{}.{}", 7_000_000 + std::process::id(), 31);
    let ready = context.outside("ready");
    context.counter("ready");
    let body = format!(
        "setsid sleep {mark} & (setsid sh -c \"trap \\\"\\\" TERM HUP; sleep {mark}; :\" &) ; trap \"\" TERM; \
         sh -c \"sleep {mark} & wait\" & sleep 0.05; echo ready >> {}; sleep {mark}",
        ready.display()
    );
    let stage =
        |name: &str| format!("  {name}:\n    uses: command\n    with: {{ run: '{body}', outputs: [x] }}\n");
    context.edit(&format!("stages:\n{}{}", stage("a"), stage("b").replace("echo ready", "echo too")));
    let mut child =
        context.command(["run", "pipelines/p.yaml", "--jobs", "2"]).stderr(Stdio::null()).spawn().unwrap();
    until_written(&ready);
    until("both stages have begun", crate::support::wait::LONG, || processes_with(&mark).len() >= 8);
    signal(&child, Signal::KILL);
    until_ended(&mut child);
    until("all processes of its stages end", Duration::from_secs(1), || processes_with(&mark).is_empty());
}

#[test]
fn a_stage_that_left_a_daemon_behind_is_done_without_it() {
    let mark = format!("{}.{}", 7_000_000 + std::process::id(), 32);
    let context = TestContext::pipeline(&format!(
        "stages:\n  a:\n    uses: command\n    with: {{ run: '(setsid sleep {mark} &); echo done > out/x', outputs: [x] }}\n"
    ));
    context.run([""; 0]).ok();
    assert!(processes_with(&mark).is_empty(), "a daemon could still write to what is stored");
}
