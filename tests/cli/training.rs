//! What speaks against a training before anything runs: underlined where the fault is, with what to change.
use crate::support::{TestContext, snapshot};

const MODEL: &str = "layers: 2
width: 32
heads: 2
ffn: 48
";

const PAGE: &str = "stages:
  corpus: { uses: download, with: { source: synthetic, count: 30 } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 300 } }
  packed: { uses: pack, inputs: { corpus: corpus, tokenizer: tokenizer }, with: { context: 32 } }
  base:
    uses: pretrain
    inputs: { data: packed }
    with:
      model: ../configs/models/small.yaml
      steps: 2
      batch_tokens: 64
";

/// A project with a training on that page, which has more lines under `with`, of that model.
fn project(more: &str, model: &str) -> TestContext {
    let more: String = more.lines().map(|line| format!("      {line}\n")).collect();
    let context = TestContext::pipeline(&format!("{PAGE}{more}"));
    context.write("configs/models/small.yaml", model);
    context
}

/// What `validate` says, after making sure that `plan` and `run` say the same and do nothing.
#[track_caller]
fn refused(context: &TestContext) -> String {
    let said = context.muse(["validate", "pipelines/p.yaml"]).ends(2).stderr;
    for command in ["plan", "run"] {
        let same = context.muse([command, "pipelines/p.yaml"]).ends(2);
        assert_eq!(same.stderr, said.replace("\nerror: 1 error\n", ""), "{command}");
    }
    assert!(!context.cache().exists(), "something ran");
    said
}

#[test]
fn a_model_s_unknown_key_is_underlined_in_its_file() {
    let context = project("", &format!("{MODEL}head_with: 16\n"));
    snapshot!(context, refused(&context), @"
    error: `model` has no field `head_with`
     --> configs/models/small.yaml:5:1
      |
    5 | head_with: 16
      | ^^^^^^^^^
      |
      = help: did you mean `head_width`?

    error: 1 error
    ");
    // Programs and pull requests find the file by its name.
    let report = context.muse(["validate", "pipelines/p.yaml", "--json"]).ends(2).json();
    assert_eq!(report["errors"][0]["file"], "configs/models/small.yaml");
    let github = context.muse(["validate", "--format", "github", "pipelines/p.yaml"]).ends(2);
    assert!(github.stdout.starts_with("::error file=configs/models/small.yaml,line=5,col=1::"), "{github}");
}

#[test]
fn a_head_width_that_does_not_divide_says_what_would_do() {
    let context = project("", &MODEL.replace("heads: 2", "heads: 3"));
    snapshot!(context, refused(&context), @"
    error: a width of 32 does not divide by 3 heads
     --> configs/models/small.yaml:3:8
      |
    3 | heads: 3
      |        ^
      |
      = help: 2 heads would do, or write `head_width`

    error: 1 error
    ");
    let context = project("", &format!("{MODEL}head_width: 15\n"));
    snapshot!(context, refused(&context), @"
    error: a head is 15 wide, and positions turn pairs of its numbers
     --> configs/models/small.yaml:5:13
      |
    5 | head_width: 15
      |             ^^
      |
      = help: an even number

    error: 1 error
    ");
}

#[test]
fn a_rank_beyond_the_smallest_matrix_is_underlined_in_the_model() {
    let context = project("", &format!("{MODEL}linear: {{ low_rank: 40 }}\n"));
    snapshot!(context, refused(&context), @"
    error: a rank of 40, and the smallest side of a matrix is 32
     --> configs/models/small.yaml:5:21
      |
    5 | linear: { low_rank: 40 }
      |                     ^^
      |
      = help: 1 to 32

    error: 1 error
    ");
}

#[test]
fn more_ranks_than_rows_are_wide_are_underlined_in_the_model() {
    let context = project("", &format!("{MODEL}embedding: {{ tensor_train: 40 }}\n"));
    snapshot!(context, refused(&context), @"
    error: a rank of 40, and rows are 32 wide
     --> configs/models/small.yaml:5:28
      |
    5 | embedding: { tensor_train: 40 }
      |                            ^^
      |
      = help: 1 to 32

    error: 1 error
    ");
}

#[test]
fn a_vocabulary_smaller_than_the_tokenizer_s_is_found_in_the_model() {
    let context = project("", &format!("vocab_size: 200\n{MODEL}"));
    snapshot!(context, refused(&context), @"
    error: the model has 200 tokens, and the data's tokenizer 300
     --> configs/models/small.yaml:1:13
      |
    1 | vocab_size: 200
      |             ^^^
      |
      = help: write `vocab_size: 300` or more, or leave it out

    error: 1 error
    ");
}

#[test]
fn a_context_must_be_that_of_the_packed_tokens() {
    let context = project("", &format!("{MODEL}context: 64\n"));
    snapshot!(context, refused(&context), @"
    error: a context of 64 is longer than that of the packed data, 32
     --> configs/models/small.yaml:5:10
      |
    5 | context: 64
      |          ^^
      |
      = help: leave `context` out, or pack with `context: 64`

    error: 1 error
    ");
    let context = project("", &format!("{MODEL}context: 16\n"));
    snapshot!(context, refused(&context), @"
    error: a context of 16 is shorter than that of the packed data, 32
     --> configs/models/small.yaml:5:10
      |
    5 | context: 16
      |          ^^
      |
      = help: leave `context` out, or pack with `context: 16`

    error: 1 error
    ");
}

#[test]
fn a_training_has_one_length() {
    let context = project("tokens: 2k", MODEL);
    snapshot!(context, refused(&context), @"
    error: `tokens` and `steps` both say how long to train
      --> pipelines/p.yaml:11:14
       |
    11 |       steps: 2
       |              ^
       |
       = help: take one of them away: 2 steps are `tokens: 128`

    error: 1 error
    ");
    let context = project("", MODEL);
    context.replace("pipelines/p.yaml", "      steps: 2\n", "");
    snapshot!(context, refused(&context), @"
    error: nothing says how long to train
     --> pipelines/p.yaml:9:5
      |
    9 |     with:
      |     ^^^^
      |
      = help: write `tokens: 100M` or `steps: 1000`

    error: 1 error
    ");
}

#[test]
fn a_step_is_a_sequence_at_least() {
    let context = project("", MODEL);
    context.replace("pipelines/p.yaml", "batch_tokens: 64", "batch_tokens: 16");
    snapshot!(context, refused(&context), @"
    error: a step of 16 tokens, and one sequence of the data has 32
      --> pipelines/p.yaml:12:21
       |
    12 |       batch_tokens: 16
       |                     ^^
       |
       = help: write `batch_tokens: 32` or more, or pack with a shorter `context`

    error: 1 error
    ");
}

#[test]
fn muonclip_with_norms_of_queries_and_keys_would_change_nothing() {
    let context = project("optimizer: { kind: muonclip }", MODEL);
    snapshot!(context, refused(&context), @"
    error: `muonclip` scales the weights of queries and keys, and `qk_norm` undoes that
      --> pipelines/p.yaml:13:26
       |
    13 |       optimizer: { kind: muonclip }
       |                          ^^^^^^^^
       |
       = help: write `kind: muon`, or `qk_norm: false` in the model

    error: 1 error
    ");
    let context = project("optimizer: { kind: muonclip }", &format!("{MODEL}qk_norm: false\n"));
    context.muse(["validate", "pipelines/p.yaml"]).ok();
}

#[test]
fn too_little_memory_is_found_before_the_data_is_made() {
    let context = project("", MODEL);
    let limited = "    uses: pretrain\n    resources: { memory: 90MiB }";
    context.replace("pipelines/p.yaml", "    uses: pretrain", limited);
    context.replace("pipelines/p.yaml", "vocab_size: 300", "vocab_size: 30k");
    // The page is right, and elsewhere there is more memory.
    context.muse(["validate", "pipelines/p.yaml"]).ok();
    context.muse(["plan", "pipelines/p.yaml"]).ok();
    let output = context.muse(["run", "pipelines/p.yaml"]).ends(2);
    let mut settings = context.settings();
    settings.add_filter(r"takes \d+\.\d\d MiB", "takes [SIZE]");
    settings.bind(|| insta::assert_snapshot!(output.to_string(), @"
    exit code: 2
    --- stderr
    error: a step takes [SIZE] of memory, and this stage may take 90.00 MiB
      --> pipelines/p.yaml:11:14
       |
    11 |       model: ../configs/models/small.yaml
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: what saves memory: `recompute: block`, `optimizer: { state: int8 }`, a smaller `micro_batch`, a smaller model; `muse params` shows what goes where; where `resources.memory` is less than there is, raise it
    "));
    assert!(!context.cache().join("blobs-v1").exists(), "something ran");
    // It goes by the vocabulary, which the model leaves to the tokenizer.
    context.replace("pipelines/p.yaml", "vocab_size: 30k", "vocab_size: 300");
    context.muse(["run", "pipelines/p.yaml"]).ok();
}

#[test]
fn what_the_tokenizer_turns_out_to_have_is_said_when_it_is_there() {
    // How many letters a text has nobody knows before.
    let context = project("", &format!("vocab_size: 20\n{MODEL}"));
    context.replace("pipelines/p.yaml", "vocab_size: 300", "algorithm: char");
    context.muse(["validate", "pipelines/p.yaml"]).ok();
    let output = context.muse(["run", "pipelines/p.yaml", "--quiet"]).ends(1);
    output.says("the model has 20 tokens, and the data's tokenizer ").says("or leave it out");
}

#[test]
fn a_gpu_that_is_asked_for_must_be_there() {
    let mut context = project("", MODEL);
    // Neither a driver nor its tool is found, whatever this machine has.
    context.set("PATH", "/nowhere");
    context.set("CUDA_VISIBLE_DEVICES", "");
    let output = context.muse(["run", "pipelines/p.yaml", "--device", "cuda"]).ends(2);
    snapshot!(context, output, @"
    exit code: 2
    --- stderr
    error: no GPU can be seen
    help: `muse doctor` says what is missing; without `--device`, stages run on the processor
    ");
    assert!(!context.cache().join("blobs-v1").exists(), "something ran");
}
