//! Checks that see more than one stage: what they see, and where their errors stand.
use crate::kinds::{read, read_text};
use muse_runtime::diagnostic::Diagnostic;
use std::fs;

/// The errors of a pipeline, each as `FILE:LINE:COLUMN text: message`.
fn errors(text: &str, configs: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in configs {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("p.yaml");
    fs::write(&path, text).unwrap();
    read(&path).err().unwrap_or_default().iter().map(shown).collect()
}

fn shown(problem: &Diagnostic) -> String {
    let place = problem.place.as_ref().unwrap();
    let (line, column) = place.line_column();
    let file = place.source.name.file_name().unwrap().to_str().unwrap();
    let help = problem.help.as_deref().unwrap_or_default();
    let text = &place.source.text[place.start..place.end];
    format!("{file}:{line}:{column} {text}: {} ({help})", problem.message)
}

const STAGES: &str = "muse: 1
stages:
  raw: { uses: download, with: { urls: ['https://a/b'], LIMIT } }
  tidy: { uses: clean, inputs: { corpus: raw } }
  first: { uses: pretrain, inputs: { data: tidy }, with: { model: narrow.yaml, steps: 5 } }
  base: { uses: pretrain, inputs: { data: tidy, init: first.checkpoint }, with: { model: MODEL, STEPS } }
";

const NARROW: (&str, &str) = ("narrow.yaml", "layers: 2\nwidth: 8\n");
const WIDE: (&str, &str) = ("wide.yaml", "layers: 2\n# As wide as can be.\nwidth: 0x10\n");

fn stages(limit: &str, model: &str, steps: &str) -> String {
    STAGES.replace("LIMIT", limit).replace("MODEL", model).replace("STEPS", steps)
}

#[test]
fn a_kind_sees_parameters_with_their_defaults_as_far_up_as_it_looks() {
    assert_eq!(errors(&stages("limit: 1kB", "narrow.yaml", "lr: 0.1"), &[NARROW]), [""; 0]);
    // `limit` is not written two stages above, so it is at its default there: nothing.
    let wrong = errors(&stages("paths: []", "narrow.yaml", "lr: 0.1"), &[NARROW]);
    assert_eq!(
        wrong,
        ["p.yaml:6:107 0.1: nothing ends the data, nor the training (write `steps` or `tokens`)"]
    );
    assert_eq!(errors(&stages("paths: []", "narrow.yaml", "steps: 3"), &[NARROW]), [""; 0]);
}

#[test]
fn an_error_in_a_file_of_values_stands_there() {
    let wrong = errors(&stages("limit: 1kB", "wide.yaml", "steps: 3"), &[NARROW, WIDE]);
    assert_eq!(
        wrong,
        ["wide.yaml:3:8 0x10: a model of width 16 cannot begin as one of 8 (write `width: 8`)"]
    );
}

#[test]
fn an_error_stands_where_the_value_does_also_behind_names_and_in_a_matrix() {
    let text = stages("limit: 1kB", "'${params.model}'", "seed: '${matrix.seed}'");
    let text = text.replace("stages:", "params: { model: wide.yaml }\nstages:");
    let text = text.replace("seed}' } }", "seed}' }, matrix: { seed: [1, 2] } }");
    let wrong = errors(&text, &[NARROW, WIDE]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("wide.yaml:3:8 0x10:"), "{wrong:?}");
}

#[test]
fn a_kind_is_not_asked_about_what_is_wrong_already() {
    // The value above is wrong, so nobody knows whether it fits; the rest of the file is still judged.
    let text = stages("limit: much", "narrow.yaml", "lr: 0.1");
    let text = text
        + "  other: { uses: pretrain, inputs: { data: raw, init: first.checkpoint }, with: { model: wide.yaml } }\n";
    let wrong = errors(&text, &[NARROW, WIDE]);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].starts_with("p.yaml:3:") && wrong[0].contains("much"), "{wrong:?}");
    assert!(wrong[1].starts_with("wide.yaml:3:8"), "{wrong:?}");
    // In a circle there is no above.
    let circle = stages("limit: 1kB", "narrow.yaml", "lr: 0.1")
        .replace("init: first.checkpoint", "init: base.checkpoint");
    let wrong = errors(&circle, &[NARROW]);
    assert!(wrong.len() == 1 && !wrong[0].contains("nothing ends"), "{wrong:?}");
}

#[test]
fn extendable_fields_are_found_wherever_they_stand() {
    let extendable = |with: &str| {
        let text = format!(
            "muse: 1\nstages:\n  c: {{ uses: command, with: {{ run: x, outputs: [o] }} }}\n  \
             b: {{ uses: pretrain, inputs: {{ data: c }}, with: {{ model: m.yaml, {with} }} }}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("m.yaml"), "layers: 2\n").unwrap();
        let path = folder.path().join("p.yaml");
        fs::write(&path, text).unwrap();
        let pipeline = read(&path).unwrap();
        let spec = &pipeline.stages[1];
        assert!(spec.kind.has_families() && !pipeline.stages[0].kind.has_families());
        (spec.extendable.to_vec(), spec.identity.clone())
    };
    let (fields, identity) = extendable("steps: 5, tokens: 2k, warm: { up: 3 }");
    assert_eq!(fields, ["/steps", "/tokens", "/warm/up"]);
    // They are part of the key as all others are.
    assert_eq!(
        (&identity["steps"], &identity["tokens"], &identity["warm"]["up"]),
        (&5.into(), &2000.into(), &3.into())
    );
    assert_eq!(extendable("lr: 0.1").0, [""; 0]);
    let (folder, pipeline) = read_text("muse: 1\nstages: { d: { uses: download, with: { urls: [a] } } }\n");
    drop(folder);
    assert_eq!(pipeline.unwrap().stages[0].extendable.len(), 0);
}
