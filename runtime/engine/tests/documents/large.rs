//! Large pipelines: the work grows with the stages, and limits hold.
use crate::kinds::{bad, good};
use std::fmt::Write;
use std::time::Duration;

/// What this thread has had of a processor, so that a busy machine fails no test.
fn worked() -> Duration {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let nanoseconds =
        read("/proc/thread-self/schedstat").and_then(|text| text.split(' ').next()?.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// The bounds hold for builds without optimisation: they are there to catch work that grows with the square, not
/// to measure.
fn timed<T>(most: Duration, work: impl FnOnce() -> T) -> T {
    let start = worked();
    let outcome = work();
    let took = worked().saturating_sub(start);
    assert!(took < most, "took {took:?}");
    outcome
}

fn chain(stages: usize) -> String {
    let mut text = String::from("muse: 1\nstages:\n");
    for at in 0..stages {
        let before = if at == 0 { String::new() } else { format!("inputs: {{ x: s{} }}, ", at - 1) };
        let _ = writeln!(
            text,
            "  s{at}:\n    uses: command\n    {{ {before}with: {{ run: [\"sh\", \"-c\", \"cat ${{in.x}} > ${{out.o}}\"], outputs: [o], env: {{ N: \"{at}\" }} }} }}"
        );
    }
    text.replace("    uses: command\n    { ", "    { uses: command, ")
        .replace(":\n    {", ": {")
        .replace("${in.x}", "in/x")
}

#[test]
fn ten_thousand_stages() {
    let text = chain(10_000);
    let pipeline = timed(Duration::from_secs(10), || good(&text));
    assert_eq!(pipeline.stages.len(), 10_000);
    assert_eq!(pipeline.stages[9_999].inputs[0].entries[0].stage, 9_998);
}

#[test]
fn a_hundred_thousand_stages_by_matrix() {
    let seeds: Vec<String> = (0..1000).map(|seed| seed.to_string()).collect();
    let text = format!(
        "muse: 1\nparams: {{ seeds: [{}], rates: [{}] }}\nstages:\n  \
           a: {{ uses: command, matrix: {{ seed: \"${{params.seeds}}\", lr: \"${{params.rates}}\" }}, with: {{ run: [x, \"${{matrix.seed}}\", \"${{matrix.lr}}\"], outputs: [o] }} }}\n  \
           b: {{ uses: command, matrix: {{ seed: \"${{params.seeds}}\", lr: \"${{params.rates}}\" }}, inputs: {{ x: \"a[seed=${{matrix.seed}},lr=${{matrix.lr}}]\" }}, with: {{ run: ls, outputs: [o] }} }}\n  \
           all: {{ uses: command, inputs: {{ x: b }}, with: {{ run: ls }} }}\n",
        seeds.join(","),
        (1..=50).map(|rate| format!("0.{rate:03}")).collect::<Vec<_>>().join(","),
    );
    let pipeline = timed(Duration::from_secs(60), || good(&text));
    assert_eq!(pipeline.stages.len(), 100_001);
    assert_eq!(pipeline.stages[100_000].inputs[0].entries.len(), 50_000);
    assert_eq!(pipeline.stages[99_999].inputs[0].entries[0].stage, 49_999);
}

#[test]
fn more_stages_than_the_limit() {
    let values: Vec<String> = (0..600).map(|seed| seed.to_string()).collect();
    let values = values.join(",");
    let text = format!(
        "muse: 1\nstages:\n  a: {{ uses: command, matrix: {{ x: [{values}], y: [{values}] }}, with: {{ run: ls }} }}\n"
    );
    assert!(bad(&text).contains("more than 200000 stages"));
}
