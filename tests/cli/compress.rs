//! Small forms of models from their first weights to what they learn.
use crate::support::TestContext;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A page that makes first weights, trains them by a step of next to nothing, and by many.
const PAGE: &str = "stages:
  corpus: { uses: download, with: { source: synthetic, languages: [ja], count: 300 } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 300 } }
  packed: { uses: pack, inputs: { corpus: corpus, tokenizer: tokenizer }, with: { context: 32, validation: 0.1 } }
  start: { uses: compress, with: { model: ../configs/models/small.yaml, seed: 3 } }
  same:
    uses: pretrain
    inputs: { data: packed, init: start }
    with: { model: ../configs/models/small.yaml, steps: 1, lr: 1e-12, batch_tokens: 64 }
  base:
    uses: pretrain
    inputs: { data: packed, init: start }
    with: { model: ../configs/models/small.yaml, steps: 100, lr: 3e-3, batch_tokens: 256, schedule: { warmup: 5 } }
  eval:
    uses: eval
    inputs: { model: [start, same, base], tokenizer: tokenizer, data: packed }
    with: { tasks: [../configs/tasks/held_out.yaml] }
";

fn project(forms: &str) -> TestContext {
    let context = TestContext::pipeline(PAGE);
    let small = "vocab_size: 300\ncontext: 32\nlayers: 2\nwidth: 32\nheads: 2\nffn: 48\n";
    context.write("configs/models/small.yaml", small.to_owned() + forms);
    let task = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/tasks/held_out.yaml");
    context.write("configs/tasks/held_out.yaml", fs::read(task).unwrap());
    context
}

/// The loss of each model on what was kept aside, in nats a token.
fn losses(context: &TestContext) -> Vec<f64> {
    let text = fs::read_to_string(context.get("eval").join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let results = report["tasks"][0]["results"].as_array().unwrap();
    results.iter().map(|one| one["metrics"]["token_perplexity"]["value"].as_f64().unwrap().ln()).collect()
}

#[test]
fn a_training_begins_with_what_is_stored_and_learns_from_there() {
    for forms in [
        "linear: { low_rank: 8, round: ternary }\nembedding: { tensor_train: 6, round: int8 }\n",
        "linear: { low_rank: 8 }\nembedding: { tensor_train: 6, normed: false }\ntied: true\n",
        "linear: { round: int8 }\n",
    ] {
        let context = project(forms);
        context.run(["-q"]).ok();
        let [start, same, base] = losses(&context)[..] else { panic!("three models") };
        assert!((start - same).abs() < 1e-5, "{forms}: stored {start}, begun with {same}");
        assert!((start - 300_f64.ln()).abs() < 0.3, "{forms}: {start} before anything was learned");
        assert!(base < start - 0.5, "{forms}: {start} to {base}");
    }
}

#[test]
fn a_trained_model_goes_on_in_a_smaller_form() {
    let context = project("");
    let narrow = "  narrow: { uses: compress, inputs: { model: base }, with: { low_rank: 16, int8: true } }
  again:
    uses: pretrain
    inputs: { data: packed, init: narrow }
    with: { model: ../configs/models/narrow.yaml, steps: 60, lr: 1e-3, batch_tokens: 256 }
  three: { uses: compress, inputs: { model: base }, with: { ternary: true } }
  file: { uses: export, inputs: { model: three, tokenizer: tokenizer }, with: { format: gguf, dtype: tq2_0 } }
  own: { uses: export, inputs: { model: three, tokenizer: tokenizer }, with: { format: muse } }
  codes: { uses: export, inputs: { model: narrow, tokenizer: tokenizer }, with: { format: muse } }
  theirs: { uses: export, inputs: { model: narrow, tokenizer: tokenizer }, with: { format: hf } }
";
    let page = PAGE.replace("model: [start, same, base]", "model: [base, narrow, again]");
    context.edit(&(page + narrow));
    context.write(
        "configs/models/narrow.yaml",
        context.read("configs/models/small.yaml") + "linear: { low_rank: 16, round: int8 }\n",
    );
    context.run(["-q"]).ok();
    let [base, narrow, again] = losses(&context)[..] else { panic!("three models") };
    assert!(narrow > base && again < narrow, "{base} whole, {narrow} of rank 16, {again} trained on");
    assert!(context.get("file").join("model.gguf").exists(), "three values go out as three values");
    assert!(context.get("theirs").join("model.safetensors").exists());
    // What goes out for muse is used as what it was, in as few bits.
    for (stage, folder) in [("three", "own"), ("narrow", "codes")] {
        let folder = context.get(folder);
        let written = |model: &str| {
            let words =
                ["generate", model, "--prompt", "むかし", "--max-tokens", "8", "--temperature", "0", "-q"];
            context.muse(words).ok().stdout
        };
        assert_eq!(
            written(folder.to_str().unwrap()),
            written(&format!("pipelines/p.yaml:{stage}")),
            "{stage}"
        );
        let [here, there] = [folder, context.get(stage)]
            .map(|folder| fs::metadata(folder.join("model.safetensors")).unwrap().len());
        assert_eq!(here, there, "{stage}");
    }
    let log = context.muse(["log", "pipelines/p.yaml", "narrow"]).ok();
    log.prints("rank 16, 8 bits").prints("stands for");
    // Another model than that is refused before anything runs.
    context.replace(
        "pipelines/p.yaml",
        "model: ../configs/models/narrow.yaml",
        "model: ../configs/models/small.yaml",
    );
    let said = context.muse(["validate", "pipelines/p.yaml"]).ends(2).stderr;
    assert!(said.contains("`linear.low_rank` is none in this model, and 16 in the one"), "{said}");
}
