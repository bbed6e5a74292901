//! A model that is used: `generate` and `chat`, with what it learned by heart.
use crate::support::{TestContext, snapshot};
use std::io::Write;
use std::process::Stdio;

/// Three questions with their answers, of which one has letters of several bytes and one more than a word.
pub(super) const HEART: [(&str, &str); 3] = [
    ("what is it", "a small red fox"),
    ("どこへ行く", "川へ洗濯に行きます。"),
    ("say it twice", "twice, twice"),
];

const PAGE: &str = "stages:
  corpus: { uses: download, with: { source: file, paths: [\"../chats.jsonl\"] } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 300 } }
  packed:
    uses: pack
    inputs: { corpus: corpus, tokenizer: tokenizer }
    with: { context: 96, mask: assistant, validation: 0, strategy: best-fit }
  base:
    uses: pretrain
    inputs: { data: packed }
    with:
      model: ../configs/models/heart.yaml
      steps: 120
      batch_tokens: 288
      lr: 1e-2
";

fn project() -> TestContext {
    let context = TestContext::pipeline(PAGE);
    context.write("configs/models/heart.yaml", "{ layers: 2, width: 48, heads: 3, ffn: 96, tied: true }");
    context
}

/// A model that knows the three answers.
pub(super) fn learned() -> TestContext {
    let context = project();
    let line = |(asked, answered): &(&str, &str)| {
        serde_json::json!({ "messages": [{ "role": "user", "content": asked }, { "role": "assistant", "content": answered }] })
            .to_string()
    };
    context.write("chats.jsonl", HEART.iter().map(line).collect::<Vec<_>>().join("\n") + "\n");
    context.run(["-q"]).ok();
    context
}

/// A call of muse that is told something.
fn told(context: &TestContext, words: &[&str], text: &str) -> (i32, String, String) {
    let mut command = context.command(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (said.status.code().unwrap(), text(said.stdout), text(said.stderr))
}

#[test]
fn what_was_learned_by_heart_comes_back_word_for_word() {
    let context = learned();
    // A conversation is what the model was told, so each question is a new one.
    let lines: String = HEART.iter().map(|(asked, _)| format!("{asked}\n/reset\n")).collect();
    for precision in ["f32", "bf16", "int8"] {
        let words = ["chat", "pipelines/p.yaml:base", "--temperature", "0", "--precision", precision, "-q"];
        let (code, out, err) = told(&context, &words, &lines);
        let answers: String = HEART.iter().map(|(_, answer)| format!("{answer}\n")).collect();
        assert_eq!((code, out.as_str(), err.as_str()), (0, answers.as_str(), ""), "{precision}");
    }
    // From a folder too, with the tokenizer named.
    let folders = ["base", "tokenizer"].map(|stage| context.get(stage).to_string_lossy().into_owned());
    let words = ["chat", &folders[0], "--tokenizer", &folders[1], "--temperature", "0", "-q"];
    assert_eq!(told(&context, &words, &format!("{}\n", HEART[1].0)).1, format!("{}\n", HEART[1].1));
    let words =
        ["chat", &folders[0], "--tokenizer", "pipelines/p.yaml:tokenizer", "--temperature", "0", "-q"];
    assert_eq!(
        told(&context, &words, &format!("{}\n/retry\n/quit\nnever\n", HEART[0].0)).1,
        "a small red fox\n".repeat(2)
    );
    // A pipe that says nothing is a conversation without a word.
    assert_eq!(told(&context, &words, "\n"), (0, String::new(), String::new()));

    // As plain text: the template written out is text, so it is asked for what follows a question.
    let one = |more: &[&str]| {
        let words =
            ["generate", "pipelines/p.yaml:base", "--prompt", "川へ", "--seed", "3", "--max-tokens", "12"];
        context.muse(words.iter().chain(more).copied()).ok().stdout
    };
    assert_eq!(one(&[]), one(&["--stream"]));
    let json: serde_json::Value = serde_json::from_str(&one(&["--json"])).unwrap();
    assert_eq!(format!("{}\n", json["text"].as_str().unwrap().trim_end_matches('\n')), one(&[]));
    let usage = &json["usage"];
    assert!(
        usage["completion_tokens"].as_u64().unwrap() <= 12 && usage["prompt_tokens"].as_u64().unwrap() > 0,
        "{json}"
    );
    // Several at once are what each is alone.
    let words = ["generate", "pipelines/p.yaml:base", "--temperature", "0", "--max-tokens", "6", "--json"];
    let several =
        context.muse(words.iter().chain(&["--prompt", "a small", "--prompt", "twice"]).copied()).ok().stdout;
    let alone = |prompt| context.muse(words.iter().chain(&["--prompt", prompt]).copied()).ok().stdout;
    assert_eq!(several, alone("a small") + &alone("twice"));
    // A text that ends it does not stand in it.
    let text = json["text"].as_str().unwrap();
    let stop: String = text.chars().skip(2).take(2).collect();
    let stopped: serde_json::Value = serde_json::from_str(&one(&["--json", "--stop", &stop])).unwrap();
    let until = text.find(&stop).unwrap();
    assert_eq!(
        (stopped["text"].as_str(), stopped["finish_reason"].as_str()),
        (Some(&text[..until]), Some("stop"))
    );
    context.write("prompt.txt", "a small");
    let from_file =
        ["generate", "pipelines/p.yaml:base", "--temperature", "0", "--max-tokens", "6", "--prompt-file"];
    let file = context.muse(from_file.iter().chain(&["prompt.txt"]).copied()).ok().stdout;
    let words: Vec<&str> = from_file.iter().chain(&["-"]).copied().collect();
    assert_eq!(told(&context, &words, "a small").1, file);
}

#[test]
fn what_was_exported_speaks_as_well() {
    let context = learned();
    let mut page = PAGE.to_owned();
    for format in ["hf", "muse"] {
        page += &format!(
            "  {format}: {{ uses: export, inputs: {{ model: base, tokenizer: tokenizer }}, with: {{ format: {format}, dtype: f32 }} }}\n"
        );
        context.edit(&page);
        context.run(["-q"]).ok();
        let (stage, folder) = (format!("pipelines/p.yaml:{format}"), context.get(format));
        for model in [stage.as_str(), folder.to_str().unwrap()] {
            let words = ["chat", model, "--temperature", "0", "-q"];
            let said = told(&context, &words, &format!("{}\n", HEART[1].0));
            assert_eq!(said, (0, format!("{}\n", HEART[1].1), String::new()), "{model}");
        }
    }
    // What its tokenizer puts before every text stands before a prompt, too.
    let folder = context.get("hf");
    let model = folder.to_str().unwrap();
    let prompt = || {
        let said =
            context.muse(["generate", model, "--prompt", "a", "--max-tokens", "1", "--json"]).ok().json();
        said["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let before = prompt();
    let path = folder.join("tokenizer.json");
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let id = &tokenizer["added_tokens"][0];
    let (name, id) = (id["content"].as_str().unwrap().to_owned(), id["id"].clone());
    tokenizer["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": name, "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
        "special_tokens": { name.as_str(): { "id": name, "ids": [id], "tokens": [name] } },
    });
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    assert_eq!(prompt(), before + 1);
}

#[test]
fn what_is_no_model_says_what_would_be_one() {
    let context = project();
    context.write("chats.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n");
    let ask = |what: &str, more: &[&str]| {
        let words = ["generate", what, "--prompt", "a"];
        context.muse(words.iter().chain(more).copied())
    };
    snapshot!(context, ask("out/nothing", &[]).ends(2), @"
    exit code: 2
    --- stderr
    error: there is no `out/nothing`
    help: name a folder that `export` made, or a stage as PIPELINE:STAGE, such as `pipelines/quickstart.yaml:base`
    ");
    snapshot!(context, ask("pipelines/p.yaml:base", &[]).ends(1), @"
    exit code: 1
    --- stderr
    error: stage `base` has no result in the store
    help: `muse run pipelines/p.yaml base` makes it
    ");
    snapshot!(context, ask("pipelines/p.yaml:bas", &[]).ends(2), @"
    exit code: 2
    --- stderr
    error: `p` has no stage `bas`
    help: did you mean `base`?
    ");
    context.muse(["run", "pipelines/p.yaml", "tokenizer", "-q"]).ok();
    snapshot!(context, ask("pipelines/p.yaml:tokenizer", &[]).ends(2), @"
    exit code: 2
    --- stderr
    error: stage `tokenizer` makes no model
    help: name a stage that trains one, or that exports one in the format `hf` or `muse`
    ");
    context.write("out/empty/file", "");
    snapshot!(context, ask("out/empty", &[]).ends(2), @"
    exit code: 2
    --- stderr
    error: [TEMP]/project/out/empty: no checkpoint: there is no `checkpoint.json` in it
    help: `pretrain` makes checkpoints; one that was torn while it was written has none, either
    ");
    snapshot!(context, ask("out/empty", &["--top-p", "2"]).ends(2), @"
    exit code: 2
    --- stderr
    error: invalid value '2' for '--top-p <P>': expected a number from 0 to 1

    For more information, try '--help'.
    ");
    snapshot!(context, context.muse(["generate", "out/empty"]).ends(2), @"
    exit code: 2
    --- stderr
    error: the following required arguments were not provided:
      --prompt <TEXT>

    Usage: muse generate --prompt <TEXT> <MODEL>

    For more information, try '--help'.
    ");
}
