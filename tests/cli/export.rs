//! A model that leaves: exported for others and for muse, with its story, and taken in again.
use crate::support::TestContext;
use std::fs;

const PAGE: &str = "stages:
  corpus: { uses: download, with: { source: synthetic, count: 30 } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 300 } }
  packed: { uses: pack, inputs: { corpus: corpus, tokenizer: tokenizer }, with: { context: 32 } }
  base:
    uses: pretrain
    inputs: { data: packed }
    with: { model: ../configs/models/small.yaml, steps: 2, batch_tokens: 64 }
  theirs: { uses: export, inputs: { model: base, tokenizer: tokenizer }, with: { name: Mine } }
  file: { uses: export, inputs: { model: base, tokenizer: tokenizer }, with: { format: gguf } }
  own: { uses: export, inputs: { model: base, tokenizer: tokenizer }, with: { format: muse } }
  back: { uses: import, inputs: { folder: theirs } }
  again: { uses: export, inputs: { model: back.checkpoint, tokenizer: back.tokenizer } }
";

fn project(model: &str) -> TestContext {
    let context = TestContext::pipeline(PAGE);
    context
        .write("configs/models/small.yaml", format!("{{ layers: 1, width: 32, heads: 2, ffn: 48{model} }}"));
    context
}

#[test]
fn a_model_goes_out_with_its_story_and_comes_back_the_same() {
    let context = project("");
    context.run(["-q"]).ok();
    let (theirs, again) = (context.get("theirs"), context.get("again"));
    for name in [
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
    ] {
        assert!(fs::read(theirs.join(name)).unwrap() == fs::read(again.join(name)).unwrap(), "{name}");
    }
    let card = fs::read_to_string(theirs.join("README.md")).unwrap();
    for part in [
        "# Mine",
        "| download | synthetic | MIT OR Apache-2.0 |",
        "### 4. pretrain (version ",
        "| steps | 2 |",
    ] {
        assert!(card.contains(part), "{part} in {card}");
    }
    let root = context.root().display().to_string();
    assert!(!card.contains(&root) && !card.contains("small.yaml"), "{card}");
    assert!(fs::read_to_string(again.join("README.md")).unwrap().contains("### 6. import (version 1)"));
    assert!(fs::read(context.get("file").join("model.gguf")).unwrap().starts_with(b"GGUF"));
    assert!(
        context.plan::<&str>([]).values().all(|stage| stage.action == "hit"),
        "there is nothing left to do"
    );
    // What is for muse needs nothing else.
    let own = context.get("own").display().to_string();
    context.muse(["generate", &own, "--prompt", "むかし", "--max-tokens", "4", "--seed", "1", "-q"]).ok();
}

#[test]
fn a_model_of_low_rank_of_three_values_and_of_two_cores_is_used_as_it_was_trained() {
    let embedding = "embedding: { tensor_train: 6, round: int8 }";
    let context = project(&format!(", linear: {{ low_rank: 4, round: ternary }}, {embedding}"));
    let packed = "  in_bits: { uses: export, inputs: { model: base, tokenizer: tokenizer }, with: { format: muse, dtype: ternary } }\n";
    context.edit(&format!("{PAGE}{packed}"));
    context.run(["-q"]).ok();
    let (own, packed) =
        (context.get("own").display().to_string(), context.get("in_bits").display().to_string());
    let written = |model: &str| {
        let words =
            ["generate", model, "--prompt", "むかし", "--max-tokens", "8", "--temperature", "0", "-q"];
        context.muse(words).ok().stdout
    };
    assert_eq!(written(&own), written("pipelines/p.yaml:base"));
    assert!(!written(&packed).trim().is_empty(), "it is used in two bits, too");
    let card = |stage: &str| fs::read_to_string(context.get(stage).join("README.md")).unwrap();
    assert!(
        card("own").contains("| matrices of blocks are rounded to | three values whenever they are used |")
    );
    assert!(card("own").contains("| rows for tokens | two cores of rank 6 |"));
    assert!(card("theirs").contains("| rows for tokens | two cores of rank 6, made whole |"));
    // Others have its matrices whole, and do not round what these are multiplied by.
    let file = card("file");
    assert!(file.contains("| rank of the matrices of blocks | 4, merged to whole ones |"), "{file}");
    assert!(file.contains("> **Note.** While it was trained"), "{file}");
    context.replace("pipelines/p.yaml", "format: gguf }", "format: gguf, dtype: tq2_0 }");
    let said = context.muse(["validate", "pipelines/p.yaml"]).ends(2).stderr;
    assert!(said.contains("`tq2_0` holds three values") && said.contains("pipelines/p.yaml:11:"), "{said}");
}

#[test]
fn what_a_format_has_no_word_for_is_said_before_anything_runs() {
    let context = project(", window: 8");
    let said = context.muse(["validate", "pipelines/p.yaml"]).ends(2).stderr;
    assert!(said.contains("a window of 8, which llama.cpp's Llama and Qwen3 do not have"), "{said}");
    // At the field, in its line, and the other formats have no fault.
    assert!(
        said.contains("pipelines/p.yaml:11:")
            && said.contains("`format: hf`")
            && said.ends_with("error: 1 error\n"),
        "{said}"
    );
    context.replace("pipelines/p.yaml", "inputs: { folder: theirs } }", "}");
    context.replace("configs/models/small.yaml", ", window: 8", "");
    let said = context.muse(["validate", "pipelines/p.yaml"]).ends(2).stderr;
    assert!(said.contains("no model is named") && said.contains("`path: ../models/mine`"), "{said}");
    assert!(!context.cache().exists(), "something ran");
}
