//! A training ends in the same bytes whatever happens on the way: kills, longer lengths, other numbers of threads.
use super::graph::Dice;
use crate::support::wait::{LONG, code, line_with, processes_with, signal, stdout, until, until_ended};
use crate::support::{Output, TestContext};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use std::io::{BufRead, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

const MODEL: &str = "layers: 2
width: 16
heads: 2
ffn: 24
tied: true
dropout: 0.1
";

/// All that must come back: momenta, the order of the data, what is dropped, the best weights.
const PAGE: &str = "params: { steps: 20, lr: 0.01 }
stages:
  corpus: { uses: download, with: { source: synthetic, count: 40, seed: 1 } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 280 } }
  packed:
    uses: pack
    inputs: { corpus: corpus, tokenizer: tokenizer }
    with: { context: 16, strategy: best-fit, validation: 0.1 }
  base:
    uses: pretrain
    inputs: { data: packed }
    resources: { cpu: 2 }
    with:
      model: ../model.yaml
      steps: '${params.steps}'
      batch_tokens: 64
      micro_batch: 2
      optimizer: { kind: muon }
      lr: '${params.lr}'
      schedule: { kind: constant, warmup: 4 }
      eval_every: 8
      checkpoint_every: 5
";

/// Steps from a checkpoint to the next, and those of which somebody was told before the checkpoint was whole.
const MOST_LOST: u64 = 12;

fn project() -> TestContext {
    let context = TestContext::pipeline(PAGE);
    context.write("model.yaml", MODEL);
    context
}

fn finished(output: &Output) -> Value {
    output.events_of("stage_finished").into_iter().find(|event| event["stage"] == "base").unwrap()
}

/// The digest of the training's result.
fn digest(output: &Output) -> String {
    let digest = finished(output)["outputs"]["checkpoint"]["digest"].clone();
    digest.as_str().unwrap_or_else(|| panic!("{output}")).to_owned()
}

/// Whole lines of what a run told.
fn events(told: &str) -> Vec<Value> {
    told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Steps that a run was told of.
fn steps(told: &[Value]) -> Vec<u64> {
    let losses = told.iter().filter(|event| event["event"] == "metric" && event["name"] == "loss");
    losses.map(|event| event["step"].as_u64().unwrap()).collect()
}

/// A run that has begun, and that nobody waits for.
fn begin(context: &TestContext, more: &[&str]) -> Child {
    let mut command = context.command(["run", "pipelines/p.yaml", "--json"].iter().chain(more));
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The process of the stage that trains, which has begun or is about to.
fn trainer(context: &TestContext) -> Pid {
    let mut found = None;
    until("the stage begins", LONG, || {
        found = processes_with(context.cache().to_str().unwrap()).pop();
        found.is_some()
    });
    Pid::from_raw(i32::try_from(found.unwrap()).unwrap()).unwrap()
}

/// The ways to kill a run, with the code that it ends in: with all that it started, the stage alone, Ctrl-C.
const WAYS: [fn(&TestContext, &Child) -> i32; 3] = [
    |_, muse| {
        kill_process_group(Pid::from_child(muse), Signal::KILL).unwrap();
        137
    },
    |context, _| {
        kill_process(trainer(context), Signal::KILL).unwrap();
        1
    },
    |_, muse| {
        signal(muse, Signal::INT);
        130
    },
];

#[test]
fn twenty_kills_leave_the_same_bytes() {
    const KILLS: usize = 20;
    let long = ["--set", "steps=500"];
    let whole = digest(&project().run(long).ok());

    let context = project();
    // The data is there: each kill falls on the training.
    context.run(["packed"]).ok();
    let mut dice = Dice::new(5);
    let (mut killed, mut went_on, mut furthest) = ([0; 3], 0, 0);
    while killed.iter().sum::<usize>() < KILLS {
        let mut child = begin(&context, &long);
        let mut out = stdout(&mut child);
        let way = dice.roll(3);
        let mut told = String::new();
        // Some fall on the beginning, the others wherever it has come to by then.
        let seen = if dice.chance(80) { 1 + dice.roll(12) } else { 0 };
        (0..seen).for_each(|_| told += &line_with(&mut out, "\"name\":\"loss\""));
        std::thread::sleep(Duration::from_micros(dice.roll(10_000) as u64));
        let ends = WAYS[way](&context, &child);
        out.read_to_string(&mut told).unwrap();
        assert_eq!(code(until_ended(&mut child)), ends, "way {way} after {killed:?}");
        killed[way] += 1;
        let made = steps(&events(&told));
        if let (Some(first), Some(last)) = (made.first(), made.last()) {
            assert!(first + MOST_LOST > furthest, "{first} after {furthest}: it lost more than it should");
            went_on += usize::from(*first > 1);
            furthest = *last;
        }
    }
    let last = context.run(long).ok();
    assert!(steps(&last.events())[0] > 20 && went_on > KILLS / 2, "{killed:?}: it began anew, {went_on}");
    assert!(killed.iter().all(|count| *count > 2), "{killed:?}");
    assert_eq!(digest(&last), whole, "after {killed:?}");
    context.muse(["verify"]).ok();
}

#[test]
fn a_longer_training_goes_on_and_nobody_can_tell() {
    let context = project();
    let short = context.run(["--set", "steps=10"]).ok();
    let plan = context.plan(["--set", "steps=20"]);
    assert_eq!(plan["base"].json["resume"], json!({ "from": finished(&short)["key"], "step": 10 }));
    assert_eq!(plan["base"].why(), ["param steps"]);
    let long = context.run(["--set", "steps=20"]).ok();
    assert_eq!(steps(&long.events()), (11..=20).collect::<Vec<_>>());
    let elsewhere = context.outside("cache").display().to_string();
    let whole = context.run(["--set", "steps=20", "--cache-dir", &elsewhere]).ok();
    assert_eq!(steps(&whole.events()), (1..=20).collect::<Vec<_>>());
    assert_eq!(digest(&long), digest(&whole));
    assert_ne!(digest(&long), digest(&short));
}

#[test]
fn no_number_of_threads_changes_a_byte() {
    let with = |threads: &str| {
        let context = project();
        context.replace("pipelines/p.yaml", "cpu: 2", &format!("cpu: {threads}"));
        digest(&context.run([""; 0]).ok())
    };
    assert_eq!(with("1"), with("3"));
}

#[test]
fn what_only_says_how_trains_nothing_again() {
    let context = project();
    context.run([""; 0]).ok();
    let all = ["base", "corpus", "packed", "tokenizer"];
    assert_eq!(context.run([""; 0]).ok().stages("hit"), all);
    context.replace(
        "pipelines/p.yaml",
        "checkpoint_every: 5",
        "checkpoint_every: 7\n      keep_last: 5\n      recompute: block\n      offload: true",
    );
    context.replace("pipelines/p.yaml", "cpu: 2", "cpu: 1");
    assert_eq!(context.run([""; 0]).ok().stages("hit"), all);
    let again = context.run(["--set", "lr=0.02"]).ok();
    assert_eq!(
        (again.ran(), again.stages("hit")),
        (vec!["base".to_owned()], all[1..].iter().map(|s| (*s).into()).collect())
    );
    assert_eq!(context.plan(["--set", "lr=0.03"])["base"].why(), ["param lr"]);
}

#[test]
fn what_saves_memory_makes_the_same_bytes() {
    let plain = digest(&project().run([""; 0]).ok());
    let context = project();
    let more = "checkpoint_every: 100\n      keep_last: 1\n      recompute: block\n      offload: true";
    context.replace("pipelines/p.yaml", "checkpoint_every: 5", more);
    assert_eq!(digest(&context.run([""; 0]).ok()), plain);
}

#[test]
fn checkpoints_can_be_looked_at_while_they_come_and_go() {
    let context = project();
    let mut child = begin(&context, &["--set", "steps=300"]);
    let mut out = stdout(&mut child);
    line_with(&mut out, "\"step\":10,\"name\":\"loss\"");
    // Nobody may wait for the pipe.
    let reader = std::thread::spawn(move || out.lines().for_each(drop));
    for _ in 0..5 {
        let listed =
            context.muse(["checkpoints", "pipelines/p.yaml", "--json", "--set", "steps=300"]).ok().json();
        let listed = listed["checkpoints"].as_array().unwrap().clone();
        assert!(!listed.is_empty() && listed.iter().all(|one| one["intact"] == true), "{listed:#?}");
    }
    signal(&child, Signal::INT);
    assert_eq!(code(until_ended(&mut child)), 130);
    reader.join().unwrap();
    let stopped = context.muse(["checkpoints", "pipelines/p.yaml", "--set", "steps=300"]).ok();
    stopped.prints("to go on from").prints("intact");

    context.run([""; 0]).ok();
    let mut settings = context.settings();
    settings.add_filter(r"\b\d\.\d{4}\b", "[LOSS]");
    let listed = context.muse(["checkpoints", "pipelines/p.yaml"]).ok();
    settings.bind(|| insta::assert_snapshot!(listed.to_string()));
    let seen = context.muse(["inspect", "pipelines/p.yaml:base"]).ok();
    seen.prints("step        20").prints("norm_eps           1e-6").prints("report.json");
}
