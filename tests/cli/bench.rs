//! `muse bench`: a job that is measured, for people and for programs.
use crate::support::{Output, TestContext};
use serde_json::Value;

const MODEL: &str = "layers: 1\nwidth: 16\nheads: 2\nffn: 32\nvocab_size: 50\n";

fn bench(words: &[&str]) -> Output {
    let context = TestContext::new();
    context.write("m.yaml", MODEL);
    let words = [&["bench", "m.yaml", "--device", "cpu", "--steps", "3", "--threads", "1"], words].concat();
    context.muse(words)
}

#[test]
fn programs_get_every_number() {
    let said = bench(&["--batch", "2", "--context", "16", "--json"]);
    let report: Value = said.ok().json();
    let parameters = 2 * 50 * 16 + 4 * 16 * 16 + 3 * 16 * 32 + 3 * 16;
    assert_eq!((&report["schema"], &report["model"]), (&1.into(), &"m.yaml".into()));
    assert!((parameters..parameters + 64).contains(&report["parameters"].as_u64().unwrap()), "{report}");
    let job = &report["job"];
    assert_eq!((&job["sequences"], &job["context"], &job["steps"]), (&2.into(), &16.into(), &3.into()));
    assert_eq!((&job["device"], &job["precision"]), (&"cpu".into(), &"f32".into()));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{report}"));
    let [best, median, worst] = ["best", "median", "worst"].map(|name| number(&report["step_ms"][name]));
    assert!(0.0 < best && best <= median && median <= worst, "{report}");
    // Tokens a second are those of the steps that were timed.
    let speed = number(&report["tokens_per_second"]);
    assert!(speed <= 32.0 / best * 1e3 && speed >= 32.0 / worst * 1e3 * 0.5, "{report}");
    let share = number(&report["flops_per_second"]) / number(&report["peak_flops_per_second"]);
    assert!((share - number(&report["share_of_peak"])).abs() < 1e-9);
    // Nobody knows which of 50 tokens comes next.
    assert!((number(&report["loss"][0]) - 50_f64.ln()).abs() < 0.3, "{report}");
    assert!(number(&report["memory_bytes"]) > 1e6 && number(&report["first_step_seconds"]) > 0.0);
}

#[test]
fn people_get_a_page() {
    let said = bench(&["--batch", "2", "--context", "16", "--precision", "bf16", "--optimizer", "muon"]);
    let page = said.ok().stdout;
    let labels: Vec<&str> = page.lines().map(|line| line[..10].trim()).collect();
    let all = ["model", "machine", "step", "tokens/s", "ms a step", "operations", "memory", "first step"];
    assert_eq!(labels, all, "{page}");
    assert!(page.contains("2 × 16 tokens, bf16, muon") && page.contains(", 1 thread\n"), "{page}");
}

#[test]
fn what_cannot_be_measured_says_why() {
    let said = bench(&["--batch", "1000000", "--context", "100000"]);
    said.ends(2).says("a batch of 1,000,000 sequences of 100,000 tokens");
    let said = bench(&["--batch", "1000", "--context", "100000", "--vocab-size", "1000000"]);
    said.ends(2).says("of memory, and there are").says("`--batch`");
    let context = TestContext::new();
    context.muse(["bench", "nothing.yaml"]).ends(2).says("nothing.yaml");
}
