//! Checkpoints: which there are, in results and in what an interrupted training left, and what `inspect` says of one.
use crate::support::{TestContext, snapshot};
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{CheckpointWriter, Checkpoints, Dtype, Facts, Tensor};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A kind that resumes. It leaves what stands in `made/` in its resume folder, and then its process ends.
const TRAINING: &str = r#"#!/bin/sh
if [ "$1" = --describe ]; then
  echo '{"muse_stage": 1, "name": "train", "version": 1, "resumes": true, "outputs": [{"name": "model", "type": "checkpoint"}], "params": {"type": "object", "properties": {}}}'
else
  resume=$(sed -n 's/.*"resume": "\([^"]*\)".*/\1/p' "$1")
  mkdir -p "$resume" && cp -r MADE/step-* "$resume" && kill -9 $$
fi
"#;

fn write(folder: &Path, step: u64, validation_loss: f64) {
    let mut writer = CheckpointWriter::create(folder).unwrap();
    let tensors = [Tensor::new("model.embed_tokens.weight", Dtype::F32, [97, 8])];
    writer.model(&tensors, |tensor| Ok::<_, ArtifactError>(vec![7; tensor.bytes().unwrap()])).unwrap();
    let figures = [("loss", 2.125), ("validation_loss", validation_loss)];
    let figures = figures.map(|(name, figure)| (name.to_owned(), figure)).into();
    let config = json!({ "layers": 2, "width": 8 });
    writer.finish(Facts { config, tokenizer: None, step, tokens: step * 64, figures }).unwrap();
}

/// A stage whose result holds two checkpoints.
fn with_result() -> TestContext {
    let context = TestContext::pipeline(
        "stages:
  base: { uses: command, with: { run: cp -r in/made out/model, files: { made: ../made }, outputs: [model] } }
  other: { uses: command, with: { run: mkdir out/x; echo 1 > out/x/y, outputs: [x] } }
",
    );
    write(&context.path("made"), 2000, 1.5);
    write(&context.path("made/best"), 1500, 1.25);
    context
}

#[test]
fn those_of_a_result_are_listed_with_their_losses() {
    let context = with_result();
    let none = context.muse(["checkpoints", "pipelines/p.yaml"]).ok().says("no checkpoints yet");
    assert_eq!(none.stdout, "");
    context.run::<&str>([]).ok();
    snapshot!(context, context.muse(["checkpoints", "pipelines/p.yaml"]).ok(), @"
    exit code: 0
    --- stdout
    base  step 1,500  intact  loss 2.1250  validation 1.2500  3.16 KiB  [TIME]  result, best
    base  step 2,000  intact  loss 2.1250  validation 1.5000  3.16 KiB  [TIME]  result
    ");
    let listed = context.muse(["checkpoints", "pipelines/p.yaml", "base", "--json"]).ok().json();
    let last = &listed["checkpoints"][1];
    assert_eq!((&last["step"], &last["tokens"]), (&json!(2000), &json!(128_000)));
    assert_eq!(
        (&last["where"], &last["name"], &last["intact"]),
        (&json!("result"), &json!(""), &json!(true))
    );
    assert_eq!((&last["loss"], &last["validation_loss"]), (&json!(2.125), &json!(1.5)));
    assert_eq!(listed["checkpoints"][0]["name"], "best");
    context.muse(["checkpoints", "pipelines/p.yaml", "bas"]).ends(2).says("`base`");
}

#[test]
fn a_result_that_was_no_checkpoint_to_begin_with_is_damaged() {
    let context = with_result();
    let path = context.path("made/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    context.run::<&str>([]).ok();
    let listed = context.muse(["checkpoints", "pipelines/p.yaml"]).ok().says("1 checkpoint cannot be used");
    listed.prints("damaged").prints("`model.safetensors` is not what `checkpoint.json` says");
}

#[test]
fn those_of_an_interrupted_training_are_looked_at_closely() {
    let context = TestContext::pipeline(
        "plugins: { train: ../bin/muse-stage-train }
stages: { base: { uses: train } }
",
    );
    let made = Checkpoints::of(&context.path("made"));
    for (step, loss) in [(1000, 1.75), (2000, 1.5), (3000, 1.25)] {
        write(&made.place(step), step, loss);
    }
    fs::write(made.place(2000).join("model.safetensors"), "cut").unwrap();
    let path = made.place(3000).join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    let program = TRAINING.replace("MADE", &context.path("made").display().to_string());
    context.write_program("bin/muse-stage-train", program);
    context.run::<&str>([]).ends(1);

    let output = context.muse(["checkpoints", "pipelines/p.yaml"]).ok().says("2 checkpoints cannot be used");
    snapshot!(context, output, @"
    exit code: 0
    --- stdout
    base  step 1,000  intact   loss 2.1250  validation 1.7500  3.16 KiB  [TIME]  to go on from
    base  step 2,000  damaged                                            [TIME]  to go on from
      [TEMP]/project/cache/resume-v1/[DIGEST]/step-000002000/model.safetensors: it has 3 bytes and should have 3232: it was cut or changed
    base  step 3,000  damaged                                            [TIME]  to go on from
      [TEMP]/project/cache/resume-v1/[DIGEST]/step-000003000/model.safetensors: it is not what was written: it was changed
    --- stderr
    warning: 2 checkpoints cannot be used
    ");
    let quick = context.muse(["checkpoints", "pipelines/p.yaml", "--quick", "--json"]).ok().json();
    let seen: Vec<_> =
        quick["checkpoints"].as_array().unwrap().iter().map(|one| one["intact"] == true).collect();
    assert_eq!(seen, [true, false, true]);

    // What an attempt left stands behind the result.
    context.muse(["adopt", "pipelines/p.yaml", "base", "made/step-000001000"]).ok();
    let listed = context.muse(["checkpoints", "pipelines/p.yaml", "--json"]).ok().json();
    assert_eq!(
        (&listed["checkpoints"][0]["where"], &listed["checkpoints"][0]["step"]),
        (&json!("result"), &json!(1000))
    );
}

#[test]
fn inspect_says_what_a_checkpoint_is_of() {
    let context = with_result();
    context.run::<&str>([]).ok();
    snapshot!(context, context.muse(["inspect", "pipelines/p.yaml:base"]).ok(), @"
    exit code: 0
    --- stdout
    model: 4 files, 7.16 KiB
      3.16 KiB  best/model.safetensors
      3.16 KiB  model.safetensors
         433 B  best/checkpoint.json
         433 B  checkpoint.json

    checkpoint
      figures
        loss             2.125
        validation_loss  1.5
      model
        layers  2
        width   8
      parameters  776
      step        2,000
      tokens      128,000
      [DIGEST]
    made [TIME] in [TIME]
    ");
    let held = context.muse(["inspect", "made", "--json"]).ok().json();
    assert_eq!(held["folder"]["checkpoint"]["parameters"], 776);
    fs::write(context.path("made/checkpoint.json"), "{}").unwrap();
    context.muse(["inspect", "made"]).ok().prints("damaged").prints("it was cut");
}
