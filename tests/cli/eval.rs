//! Models that are judged: what the shipped tasks ask, a model that knows the answers, and what is said where a task is wrong.
use crate::support::{TestContext, snapshot};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// An item of each shipped task's data set, with the set's columns, and an example where the task takes some.
fn items() -> Vec<(&'static str, Value, Option<Value>)> {
    let commonsense = |question, label| {
        json!({ "q_id": 1, "question": question, "choice0": "海", "choice1": "山", "choice2": "川", "choice3": "空",
            "choice4": "町", "label": label })
    };
    let nli = |label: Value| {
        json!({ "sentence_pair_id": "0", "yjcaptions_id": "1", "sentence1": "犬が走っている。", "sentence2": "動物がいる。",
            "label": label })
    };
    let squad = |question| {
        json!({ "id": "a1p0q0", "title": "川", "context": "川 [SEP] 川は海へ流れる。", "question": question,
            "answers": { "text": ["海", "海へ"], "answer_start": [6, 6] }, "is_impossible": false })
    };
    let mmlu = |question, subject| json!({ "question": question, "subject": subject, "choices": ["one", "two", "three", "four"], "answer": 1 });
    let arc = json!({ "id": "Q1", "question": "What falls?", "answerKey": "B",
        "choices": { "text": ["a cloud", "a stone"], "label": ["A", "B"] } });
    let hella = json!({ "ind": 4, "activity_label": "Making tea", "ctx_a": "Water boils. [title] How to pour [step] Wait.",
        "ctx_b": "then A person", "ctx": "", "endings": ["pours  it.", "[substeps] sleeps.", "sings.", "runs."],
        "source_id": "wikihow~1", "split": "val", "split_type": "indomain", "label": "0" });
    let truthful = json!({ "question": "What is water?",
        "mc1_targets": { "choices": ["Wet.", "Dry."], "labels": [1, 0] },
        "mc2_targets": { "choices": ["Wet.", "A liquid.", "Dry."], "labels": [1, 1, 0] } });
    let sums = |a: u32| json!({ "question": format!("What is {a} + 1?"), "answer": format!("It is {}.\n#### {}", a + 1, a + 1) });
    vec![
        ("jcommonsenseqa", commonsense("魚がいるのは？", 0), Some(commonsense("雲があるのは？", 3))),
        ("jnli", nli("entailment".into()), Some(nli(2.into()))),
        ("jsquad", squad("川はどこへ流れるか。"), Some(squad("どこへ？"))),
        ("hellaswag", hella.clone(), Some(hella)),
        ("arc_easy", arc.clone(), Some(arc.clone())),
        ("arc_challenge", arc.clone(), Some(arc)),
        (
            "mmlu",
            mmlu(" What is 1 + 1? ", "elementary_mathematics"),
            Some(mmlu("What is 2?", "elementary_mathematics")),
        ),
        ("truthfulqa_mc1", truthful.clone(), None),
        ("truthfulqa_mc2", truthful, None),
        ("gsm8k", sums(7), Some(sums(3))),
    ]
}

/// The shipped tasks.
fn shipped() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/tasks");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (named(path), fs::read_to_string(path).unwrap())).collect()
}

const MODEL: &str = "{ layers: 1, width: 32, heads: 2, ffn: 48, tied: true }";

const TRAINED: &str = "stages:
  corpus: { uses: download, with: { source: file, paths: [\"../text.jsonl\"] } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 300 } }
  packed:
    uses: pack
    inputs: { corpus: corpus, tokenizer: tokenizer }
    with: { context: CONTEXT, validation: 0.1, strategy: best-fit }
  base:
    uses: pretrain
    inputs: { data: packed }
    with: { model: ../configs/models/m.yaml, steps: STEPS, batch_tokens: BATCH, lr: 1e-2 }
";

fn project(context: usize, steps: usize, page: &str) -> TestContext {
    let trained = TRAINED.replace("CONTEXT", &context.to_string()).replace("STEPS", &steps.to_string());
    let project = TestContext::pipeline(&(trained.replace("BATCH", &(context * 4).to_string()) + page));
    project.write("configs/models/m.yaml", MODEL);
    let texts = (0..20).map(|number| {
        json!({ "text": format!("問い: {number}は何か。 what is it, 答え") }).to_string() + "\n"
    });
    project.write("text.jsonl", texts.collect::<String>());
    project
}

fn report(context: &TestContext) -> Value {
    let folder = context.get("eval");
    serde_json::from_str(&fs::read_to_string(folder.join("report.json")).unwrap()).unwrap()
}

#[test]
fn shipped_tasks_ask_what_the_harness_asks() {
    let tasks: Vec<(String, String)> = shipped();
    let names: Vec<String> = tasks.iter().map(|(name, _)| format!("../configs/tasks/{name}.yaml")).collect();
    let page = format!(
        "  eval:
    uses: eval
    inputs: {{ model: base, tokenizer: tokenizer, data: packed }}
    with: {{ tasks: [{}], few_shot: 1 }}
",
        names.join(", ")
    );
    let context = project(2048, 1, &page);
    let items = items();
    for (name, text) in &tasks {
        let path = format!("configs/tasks/{name}.yaml");
        let line = |value: &Value| value.to_string() + "\n";
        match items.iter().find(|(known, _, _)| known == name) {
            Some((_, item, example)) => {
                // Where there are no others, examples are other items.
                let other = match example {
                    Some(_) => String::new(),
                    None => line(item).replace("water", "a banana"),
                };
                context.write(format!("data/{name}/x_validation_test.jsonl"), line(item) + &other);
                context.write(
                    format!("data/{name}/x_train_dev.jsonl"),
                    example.as_ref().map(line).unwrap_or_default(),
                );
            }
            None if name == "jmmlu" => {
                let row = |question| format!("{question}, 一 ,二,三,\"四,五\",B\n");
                context.write("data/jmmlu/JMMLU/global_facts.csv", row("何か？") + &row("いくつか？"));
            }
            None => {
                assert!(["chats", "held_out"].contains(&name.as_str()), "{name}");
                context.write(path, text);
                continue;
            }
        }
        context.write(path, format!("{text}files: ../../data/{name}\n"));
    }
    context.run(["-q"]).ok();
    let report = report(&context);
    let mut asked = String::new();
    for task in report["tasks"].as_array().unwrap() {
        // Of texts that are measured nothing is asked.
        let Some(sample) = task["samples"].get(0).filter(|_| task["kind"] != "perplexity") else { continue };
        asked +=
            &format!("== {} ==\n{}\n", task["name"].as_str().unwrap(), sample["prompt"].as_str().unwrap());
        asked += &format!("-- {} of {}\n", sample["right"], sample["choices"]);
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(asked) });
    // Each has its figures, of numbers that are some.
    for task in report["tasks"].as_array().unwrap() {
        let metrics = task["results"][0]["metrics"].as_object().unwrap();
        assert!(!metrics.is_empty(), "{task}");
        assert!(
            metrics.values().all(|figure| figure["value"].as_f64().is_some_and(f64::is_finite)),
            "{task}"
        );
    }
    let group = &report["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "jmmlu").unwrap();
    assert_eq!(group["results"][0]["groups"]["global_facts"]["items"], 2);
}

/// Questions with one word as the answer.
const HEART: [(&str, &str); 4] =
    [("赤いのは", "りんご"), ("青いのは", "そら"), ("sky", "blue"), ("grass", "green")];

const OWN: &str = "name: colours
kind: multiple_choice
files: colours.jsonl
id: name
prompt: \"問い: {{ asked }}\\n答え:\"
choices_from: choices
target: right
";

#[test]
fn a_model_that_knows_the_answers_is_right_and_another_is_not() {
    let page = "  fresh:
    uses: pretrain
    inputs: { data: packed }
    with: { model: ../configs/models/m.yaml, steps: 1, batch_tokens: 256, lr: 1e-6 }
  eval:
    uses: eval
    inputs: { model: [base, fresh], tokenizer: tokenizer, data: corpus }
    with: { tasks: [../tasks/colours.yaml, ../tasks/written.yaml, ../tasks/text.yaml], samples: 1 }
";
    let context = project(64, 150, page);
    let text = |(asked, right): &(&str, &str)| {
        json!({ "text": format!("問い: {asked}\n答え: {right}\n") }).to_string() + "\n"
    };
    context.write("text.jsonl", HEART.iter().cycle().take(40).map(text).collect::<String>());
    let all: Vec<&str> = HEART.iter().map(|(_, right)| *right).collect();
    let item = |(at, (asked, _)): (usize, &(&str, &str))| {
        json!({ "name": format!("q{at}"), "asked": asked, "choices": all, "right": at }).to_string() + "\n"
    };
    context.write("tasks/colours.jsonl", HEART.iter().enumerate().map(item).collect::<String>());
    context.write("tasks/colours.yaml", OWN);
    let written = OWN.replace("colours\n", "written\n").replace("multiple_choice", "generate");
    let written = written
        .replace("choices_from: choices\n", "stops: [\"\\n\"]\nfilters: [{ name: bare, strip: true }]\n");
    context.write("tasks/written.yaml", written.replace("target: right", "target: choices[right]"));
    context.write("tasks/text.yaml", "{ name: text, kind: perplexity, target: text }");
    context.run(["-q"]).ok();
    let told = report(&context);
    let figure = |task: usize, model: usize, name: &str| {
        told["tasks"][task]["results"][model]["metrics"][name]["value"].as_f64().unwrap()
    };
    assert_eq!([figure(0, 0, "acc"), figure(1, 0, "exact_match,bare")], [1.0, 1.0], "{told:#}");
    assert!(figure(0, 1, "acc") < 1.0 && figure(1, 1, "exact_match,bare") == 0.0);
    assert!(figure(2, 0, "bits_per_byte") < 1.0 && figure(2, 1, "bits_per_byte") > 2.0, "{told:#}");
    let apart = told["tasks"][1]["differences"][0].clone();
    assert_eq!((apart["difference"].as_f64(), apart["stderr"].as_f64()), (Some(-1.0), Some(0.0)));
    let folder = context.get("eval");
    let lines = fs::read_to_string(folder.join("items.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2 * (4 + 4 + 40));
    assert_eq!(
        (&lines[1]["id"], &lines[1]["right"], &lines[1]["model"]),
        (&json!("q1"), &json!([1]), &json!("base"))
    );
    assert_eq!(lines[8]["written"], " りんご");
    let page = fs::read_to_string(folder.join("report.md")).unwrap();
    let figures = without_figures(&page);
    insta::assert_snapshot!(figures);
}

/// The page with the figures of the model that learned nothing left out: they depend on the processor.
fn without_figures(page: &str) -> String {
    let row = |line: &str| {
        if !line.starts_with("| text") && !line.starts_with("| colours") {
            return line.to_owned();
        }
        let cells: Vec<&str> = line.split('|').collect();
        format!("{}| …", cells[..4].join("|"))
    };
    page.lines().map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_wrong_with_a_task_is_said_at_its_place() {
    let page = "  eval:
    uses: eval
    inputs: { model: base, tokenizer: tokenizer }
    with: { tasks: [../tasks/colours.yaml] }
";
    let context = project(64, 1, page);
    context.write(
        "tasks/colours.jsonl",
        "{\"name\": 1, \"asked\": \"a\", \"choices\": [\"a\", \"b\"], \"right\": 1}\n",
    );
    let refused = |from: &str, to: &str| {
        context.write("tasks/colours.yaml", OWN.replace(from, to));
        context.muse(["validate", "pipelines/p.yaml"]).ends(2)
    };
    snapshot!(context, refused("{{ asked }}", "{{ asked }"));
    snapshot!(context, refused("target: right", "target: right +"));
    snapshot!(context, refused("choices_from: choices", "stops: [a]\nchoices_from: choices"));
    snapshot!(context, refused("kind: multiple_choice", "kind: multiple"));
    snapshot!(context, refused("colours.jsonl", "colors.jsonl"));
    context.write("tasks/colours.yaml", OWN.replace("{{ asked }}", "{{ askd }}"));
    let said = context.muse(["run", "pipelines/p.yaml", "-q"]).ends(1);
    for part in [
        "task `colours`, `prompt`: the items have no column `askd`; there are: asked, choices, name, right",
        "did you mean `asked`?",
    ] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    context.edit(
        &context
            .read("pipelines/p.yaml")
            .replace("muse: 1\n", "")
            .replace(", tokenizer: tokenizer }\n    with: { tasks", " }\n    with: { tasks"),
    );
    snapshot!(context, context.muse(["validate", "pipelines/p.yaml"]).ends(2));
}
