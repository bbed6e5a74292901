//! What a file that is right comes to.
use crate::kinds::{bad, good};
use muse_runtime::document::Keep;
use serde_json::json;
use std::time::Duration;

const SMALL: &str = "
muse: 1
params: { steps: 200, rate: 1e-3, name: wiki, list: [1, 2] }
stages:
  wiki: { uses: download, with: { urls: [\"https://x/${params.name}\"] } }
  tokenizer: { uses: tokenizer, inputs: { corpus: wiki }, with: { algorithm: unigram, vocab_size: 4096 } }
  base:
    uses: command
    inputs: { data: wiki, all: [wiki, tokenizer] }
    matrix: { seed: \"${params.list}\", lr: [0.1, \"x/y\"] }
    with:
      run: [echo, \"${params.steps}\", \"${params.rate}\", \"${matrix.lr}\", \"${in.data}\", \"${HOME}\", \"$${x}\", \"${y:-${params.steps}}\"]
      outputs: [out]
    resources: { cpu: 2, gpu: 1, memory: 8GiB }
    timeout: 1.5h
    retries: 2
    keep: 3d
    pass_env: [HTTPS_PROXY]
    secrets: [HF_TOKEN]
  one: { uses: command, inputs: { x: \"base[seed=1,lr=0.1]\", y: base, z: [base, wiki] }, with: { run: ls } }
";

#[test]
fn a_pipeline_is_read() {
    let pipeline = good(SMALL);
    assert_eq!(pipeline.name, "p");
    let names: Vec<&str> = pipeline.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "wiki",
            "tokenizer",
            "base[seed=1,lr=0.1]",
            "base[seed=1,lr=x/y]",
            "base[seed=2,lr=0.1]",
            "base[seed=2,lr=x/y]",
            "one"
        ]
    );
    let [wiki, tokenizer, base, other, .., one] = pipeline.stages.as_slice() else { panic!() };
    assert_eq!(wiki.pins, ["https://x/wiki"]);
    assert_eq!(tokenizer.identity, json!({ "algorithm": "unigram" }), "what is the default is left out");
    assert_eq!(
        base.identity,
        json!({ "run": ["echo", "200", "1e-3", "0.1", "${in.data}", "${HOME}", "$${x}", "${y:-200}"], "outputs": ["out"] })
    );
    assert_eq!(other.identity["run"][3], "x/y");
    assert_eq!((base.resources.cpu, base.resources.gpu, base.resources.memory), (Some(2), 1, Some(8 << 30)));
    assert_eq!(base.timeout, Some(Duration::from_secs(5400)));
    assert_eq!((base.retries, base.keep), (2, Keep::For(Duration::from_secs(3 * 86400))));
    assert_eq!(
        (base.pass_env.as_slice(), base.secrets.as_slice()),
        (&["HTTPS_PROXY".to_owned()][..], &["HF_TOKEN".to_owned()][..])
    );
    let entries = |port: usize| -> Vec<(&str, usize, &str)> {
        one.inputs[port]
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.stage, entry.output.as_str()))
            .collect()
    };
    assert_eq!(entries(0), [("base[seed=1,lr=0.1]", 2, "out")]);
    assert_eq!(
        entries(1),
        [
            ("seed=1,lr=0.1", 2, "out"),
            ("seed=1,lr=x%2Fy", 3, "out"),
            ("seed=2,lr=0.1", 4, "out"),
            ("seed=2,lr=x%2Fy", 5, "out")
        ]
    );
    assert_eq!(entries(2)[0].0, "base[seed=1,lr=0.1]");
    assert_eq!(entries(2)[4], ("wiki", 0, "corpus"));
    assert_eq!((one.inputs[0].list, one.inputs[1].list, one.inputs[2].list), (false, true, true));
    assert_eq!(pipeline.find("base").unwrap(), [2, 3, 4, 5]);
    assert_eq!(pipeline.find_output("base[seed=1,lr=0.1].out").unwrap(), (&[2][..], Some("out")));
    assert!(pipeline.find("bas").unwrap_err().help.unwrap().contains("`base`"));
}

#[test]
fn every_problem_at_once() {
    let text = "muse: 1\nstages:\n  a: { uses: comand, with: { run: ls } }\n  b: { uses: tokenizer, inputs: { corpus: a }, with: { vocab_siz: 3 } }\n  c: { uses: tokenizer }\n";
    assert_eq!(
        bad(text),
        "3:14 there is no stage kind `comand`\n4:56 `tokenizer` has no field `vocab_siz`\n5:3 the stage `c` lacks the input `corpus`\n"
    );
}
