//! What a file that is right comes to.
use crate::kinds::{KINDS, bad, good, read_text, told};
use muse_runtime::document::{Keep, Link, Options, PluginFinder, load};
use muse_stage::Description;
use serde_json::json;
use std::path::{Path, PathBuf};
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
    assert_eq!(
        (base.resources.cpu, base.resources.gpu, base.resources.memory),
        (Some(2), Some(1), Some(8 << 30))
    );
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

/// Knows one plugin, on the path; every named path is taken for it too.
struct Finder;

impl PluginFinder for Finder {
    fn find(&self, name: &str, named: Option<&Path>) -> Result<Option<(PathBuf, Description)>, String> {
        let description = json!({
            "muse_stage": 1, "name": "count-words", "version": 3, "inputs": [], "any_input": true,
            "outputs": [{ "name": "counts", "type": "report" }],
            "params": { "type": "object", "properties": { "least": { "type": "integer", "default": 1 } } },
        });
        let description: Description =
            serde_json::from_value(description).map_err(|error| error.to_string())?;
        match (name, named) {
            ("broken", _) => Err("it ended with exit code 3".into()),
            ("count-words", None) => Ok(Some(("/bin/muse-stage-count-words".into(), description))),
            (_, Some(path)) => Ok(Some((path.to_owned(), description))),
            _ => Ok(None),
        }
    }
}

#[test]
fn plugins_are_kinds_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let options = Options { plugins: Some(&Finder), ..Options::new(&KINDS) };
    let text = "muse: 1\nstages:\n  a: { uses: count-words, with: { least: 2 } }\n  b: { uses: count-words, inputs: { x: a }, with: { least: 1 } }\n";
    std::fs::write(&path, text).unwrap();
    let pipeline = load(&path, &options).unwrap();
    assert_eq!(pipeline.plugins["count-words"], Path::new("/bin/muse-stage-count-words"));
    assert_eq!(
        (&pipeline.stages[0].identity, &pipeline.stages[1].identity),
        (&json!({ "least": 2 }), &json!({}))
    );
    assert!(matches!(pipeline.stages[0].kind.link, Link::Plugin(_)));
    let text = "muse: 1\nplugins: { other: bin/other, broken: bin/broken }\nstages:\n  a: { uses: other }\n  b: { uses: broken }\n  c: { uses: count-words, with: { leas: 2 } }\n  d: { uses: count-word }\n";
    std::fs::write(&path, text).unwrap();
    let problems = told(&load(&path, &options).unwrap_err());
    assert!(problems.contains("2:19 the plugin "), "{problems}");
    assert!(problems.contains(" says that it is `count-words`, not `other`\n"), "{problems}");
    assert!(
        problems.contains("2:38 the plugin `broken` does not answer: it ended with exit code 3\n"),
        "{problems}"
    );
    assert!(
        problems.contains("6:35 `count-words` has no field `leas`\n7:14 there is no stage kind `count-word`"),
        "{problems}"
    );
}

#[test]
fn what_is_there_twice_shows_both_places() {
    let (_folder, outcome) = read_text(
        "muse: 1\nname: a\nname: b\nstages:\n  a: { uses: command, inputs: { x: b }, with: { run: ls, outputs: [o] } }\n  b: { uses: command, inputs: { x: a }, with: { run: ls, outputs: [o] } }\n",
    );
    let problems = outcome.unwrap_err();
    let also = |at: usize| -> Vec<(usize, usize)> {
        problems[at].also.iter().map(|(place, _)| place.line_column()).collect()
    };
    assert_eq!((told(&problems[..1]).as_str(), also(0)), ("3:1 `name` is written twice\n", vec![(2, 1)]));
    assert_eq!(also(1), [(5, 36)], "the other step of the circle");
}

#[test]
fn anchors_and_merges_mean_what_they_repeat() {
    let pipeline = good(
        "muse: 1\nstages:\n  a: &a\n    uses: command\n    with: &w { run: ls, outputs: [o], env: { A: \"1\" } }\n  \
         b: { <<: *a, retries: 3 }\n  c: { <<: [{ with: { <<: *w, run: pwd } }, *a], timeout: 1s }\n",
    );
    let [a, b, c] = pipeline.stages.as_slice() else { panic!() };
    assert_eq!((&a.identity, b.retries), (&b.identity, 3));
    assert_eq!(c.identity, json!({ "run": "pwd", "outputs": ["o"], "env": { "A": "1" } }));
}

#[test]
fn lists_and_single_things_are_told_apart() {
    let pipeline = good(
        "muse: 1\nstages:\n  w: { uses: download }\n  a: { uses: clean, inputs: { corpus: w } }\n  b: { uses: clean, inputs: { corpus: [w] } }\n  c: { uses: clean, inputs: { corpus: [w.corpus, a] } }\n",
    );
    let port = |at: usize| &pipeline.stages[at].inputs[0];
    assert_eq!((port(1).list, port(2).list), (false, true));
    let names: Vec<&str> = port(3).entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["w.corpus", "a"]);
}

#[test]
fn the_example_of_the_docs_is_right() {
    let page = include_str!("../../../../docs/pipelines.md");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("data/a.txt", ""), ("tools/shuffle.py", ""), ("pipelines/p.yaml", example)] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = folder.path().join("pipelines/p.yaml");
    for (preset, stages) in [(None, 4), (Some("smoke"), 2)] {
        let pipeline = load(&path, &Options { preset, ..Options::new(&KINDS) });
        assert_eq!(pipeline.map_err(|problems| told(&problems)).unwrap().stages.len(), stages);
    }
}

#[test]
fn a_file_is_checked_before_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipelines/p.yaml");
    let page = "muse: 1\ninclude: [../parts/a.yaml]\nstages: { x: { uses: command, with: { run: ls } } }\n"
        .to_owned();
    let part = "stages: { y: { uses: command, with: { run: ls } } }\n".to_owned();
    let texts = [(path.clone(), page), (folder.path().join("parts/./a.yaml"), part)];
    let read = |texts| load(&path, &Options { unwritten: texts, ..Options::new(&KINDS) });
    assert_eq!(read(&texts).unwrap().stages.len(), 2);
    assert!(read(&texts[..1]).unwrap_err()[0].message.contains("../parts/a.yaml"));
    assert!(read(&[]).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
