//! The stage as the engine runs it, with a small model: where items are found, and that interruptions change no byte.
mod chats;

use crate::Eval;
use burn::backend::Flex;
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{CheckpointWriter, Dtype, Facts, Tensor};
use muse_artifacts::corpus::{CorpusWriter, Document};
use muse_artifacts::tokenizer::Tokenizer;
use muse_artifacts::tokens::{Block, Dtype as TokenType, Loss, Meta, Piece, Split, SplitMeta, StreamWriter};
use muse_model::config::Model;
use muse_model::net::{Net, Weight};
use muse_stage::{ArtifactType, Context, Job, JobInput, JobMode, Stage, StageEvent, StageKind, run_job};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::AddedToken;

const CONTEXT: usize = 64;
const TEXTS: [&str; 3] =
    ["the fox is red", "空は青い。草は緑だ。", "one two three four five six seven eight nine ten"];

struct Place(TempDir);

impl Place {
    /// A folder for one attempt, with a model at its port.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let folder = place.path().join("in/model");
        checkpoint(&folder);
        tokenizer(&folder.join("tokenizer"));
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Evaluates with entries at `data`, and is told to stop when it says this.
    fn run(&self, params: &Value, data: &[(&str, &str)], last: fn(&StageEvent) -> bool) -> StageEvent {
        Eval.check_json(params).unwrap();
        let _ = fs::remove_dir_all(self.path().join("out"));
        fs::create_dir_all(self.path().join("out")).unwrap();
        let input = |list, entries: Vec<(String, PathBuf)>| JobInput { path: "in".into(), list, entries };
        let model = input(false, vec![(String::new(), "in/model".into())]);
        let mut inputs = BTreeMap::from([("model".to_owned(), model)]);
        if !data.is_empty() {
            let entries = data.iter().map(|(name, path)| ((*name).to_owned(), PathBuf::from(path))).collect();
            inputs.insert("data".into(), input(true, entries));
        }
        let job = Job {
            job: 1,
            mode: JobMode::Run,
            kind: "eval".into(),
            plugin: None,
            version: <Eval as Stage>::VERSION,
            stage: "eval".into(),
            key: "b3:00".into(),
            attempt: 1,
            params: params.clone(),
            work: self.path().to_owned(),
            inputs,
            outputs: BTreeMap::from([("report".to_owned(), ArtifactType::Report)]),
            resume: Some(self.path().join("resume")),
            offer: None,
            threads: 2,
            gpus: Vec::new(),
            pins: BTreeMap::new(),
            secrets: Vec::new(),
            story: None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&stop);
        let tell = move |event: &StageEvent| {
            heard.fetch_or(last(event), Ordering::Relaxed);
        };
        run_job(&Eval, &mut Context::new(job, stop, tell))
    }

    fn out(&self) -> BTreeMap<String, String> {
        let names = ["report.json", "report.md", "items.jsonl"];
        let read = |name| fs::read_to_string(self.path().join("out/report").join(name)).unwrap();
        names.into_iter().map(|name| (name.to_owned(), read(name))).collect()
    }

    fn records(&self) -> Vec<Value> {
        self.out()["items.jsonl"].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn checkpoint(folder: &Path) {
    let mut model = Model { init_std: 0.5, ..Model::new(1, 16, 2, 24) };
    (model.vocab_size, model.context) = (Some(300), Some(CONTEXT));
    let shape = model.shape(1, CONTEXT);
    let (weights, flat) =
        (Weight::all(&shape), Net::<Flex>::new(&model, &shape, 7, &Default::default()).flat());
    let layout: Vec<Tensor> =
        weights.iter().map(|weight| Tensor::new(&weight.name, Dtype::F32, weight.shape.clone())).collect();
    fs::create_dir_all(folder).unwrap();
    let mut writer = CheckpointWriter::create(folder).unwrap();
    let give = |tensor: &Tensor| {
        let at = weights.iter().position(|weight| weight.name == tensor.name).unwrap();
        Ok::<_, ArtifactError>(flat[at].to_data().as_bytes().to_vec())
    };
    writer.model(&layout, give).unwrap();
    writer.finish(Facts { config: serde_json::to_value(&model).unwrap(), ..Facts::default() }).unwrap();
}

pub(crate) fn tokenizer(folder: &Path) {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.with_decoder(Some(bytes));
    let trainer = BpeTrainer::builder()
        .vocab_size(280)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from("<|endoftext|>", true)])
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), TEXTS.into_iter()).unwrap();
    fs::create_dir_all(folder).unwrap();
    tokenizer.save(folder.join("tokenizer.json"), false).unwrap();
}

fn choose(more: &Value) -> Value {
    let mut task = json!({ "name": "choose", "kind": "multiple_choice", "prompt": "{{ q }}:", "choices": ["a", "b c"],
        "target": "t", "few_shot": { "count": 2 } });
    for (name, value) in more.as_object().unwrap() {
        task[name] = value.clone();
    }
    task
}

fn questions(count: usize) -> String {
    let line = |number| json!({ "q": format!("{number} is"), "t": number % 2 }).to_string() + "\n";
    (0..count).map(line).collect()
}

#[test]
fn an_evaluation_that_was_interrupted_ends_in_the_same_bytes() {
    let write =
        json!({ "name": "write", "kind": "generate", "prompt": "{{ q }}", "target": "t", "max_tokens": 5 });
    let params = json!({ "tasks": [choose(&json!({ "few_shot": { "count": 20 } })), write] });
    let data = [("all", "in/data/q.jsonl")];
    let right = {
        let place = Place::new();
        place.write("in/data/q.jsonl", questions(70));
        assert_eq!(place.run(&params, &data, |_| false), StageEvent::Done);
        place.out()
    };
    let place = Place::new();
    place.write("in/data/q.jsonl", questions(70));
    let mut kept = 0;
    // After the first portion, and between the tasks.
    let progress: fn(&StageEvent) -> bool = |event| matches!(event, StageEvent::Progress { .. });
    let metric: fn(&StageEvent) -> bool = |event| matches!(event, StageEvent::Metric { .. });
    for (last, portions) in [(progress, 1), (metric, 3)] {
        assert_eq!(place.run(&params, &data, last), StageEvent::Interrupted);
        let now = fs::read_dir(place.path().join("resume")).unwrap().count();
        assert!(now > kept && now == portions, "{now} portions are kept");
        kept = now;
    }
    // What is torn is asked again, and nothing else: what is kept is taken as it is.
    let torn = place.path().join("resume/0-0-1.jsonl");
    let text = fs::read_to_string(&torn).unwrap();
    fs::write(&torn, &text[..text.len() / 2]).unwrap();
    assert_eq!(place.run(&params, &data, |_| false), StageEvent::Done);
    assert!(place.out() == right, "{:#?}", place.out());
    let marked = place.path().join("resume/0-0-0.jsonl");
    fs::write(&marked, fs::read_to_string(&marked).unwrap().replacen("\"acc\":", "\"acd\":", 1)).unwrap();
    assert_eq!(place.run(&params, &data, |_| false), StageEvent::Done);
    assert!(place.out()["items.jsonl"] != right["items.jsonl"]);
    // Prompts of twenty examples are longer than the context, so their beginnings were left out.
    let report: Value = serde_json::from_str(&right["report.json"]).unwrap();
    assert_eq!(report["tasks"][0]["results"][0]["cut"], 70);
}

#[test]
fn a_task_takes_its_files_its_entry_or_the_only_one_left() {
    let place = Place::new();
    place.write("in/data/four.jsonl", questions(4));
    place.write("in/data/three.jsonl", questions(3));
    place.write("own/items/two.jsonl", questions(2));
    let (four, three) = ("in/data/four.jsonl", "in/data/three.jsonl");
    let second = choose(&json!({ "name": "second", "few_shot": { "count": 0 } }));
    let first = choose(&json!({ "few_shot": { "count": 0 } }));
    let run = |tasks: Value, data: &[(&str, &str)]| {
        let _ = fs::remove_dir_all(place.path().join("resume"));
        match place.run(&json!({ "tasks": tasks, "samples": 0 }), data, |_| false) {
            StageEvent::Done => {
                let report: Value = serde_json::from_str(&place.out()["report.json"]).unwrap();
                Ok(report["tasks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|task| task["items"].as_u64().unwrap())
                    .collect::<Vec<_>>())
            }
            StageEvent::Failed { message, .. } => Err(message),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(json!([first, second]), &[("second", three), ("other", four)]), Ok(vec![4, 3]));
    assert_eq!(run(json!([first, second]), &[("second.files", three), ("choose", four)]), Ok(vec![4, 3]));
    assert_eq!(run(json!([first, second]), &[("other", four)]), Ok(vec![4, 4]));
    let own = choose(&json!({ "files": "own/items", "few_shot": { "count": 0 } }));
    assert_eq!(run(json!([own]), &[("choose", four)]), Ok(vec![2]));
    assert_eq!(run(json!([first]), &[]), Err("there is no data for the task `choose`".into()));
    let several = run(json!([first]), &[("a", four), ("b", three)]);
    assert_eq!(several, Err("the data of the task `choose` may be any of `a`, `b`".into()));
    let more = choose(&json!({ "few_shot": { "count": 9 } }));
    assert_eq!(
        run(json!([more]), &[("a", four)]),
        Err("task `choose`: 9 examples are wanted, and there are 3".into())
    );
    let wrong = choose(&json!({ "target": "t + 2", "few_shot": { "count": 0 } }));
    assert_eq!(
        run(json!([wrong]), &[("a", four)]),
        Err("task `choose`, `target`: 2 is none of the 2 choices".into())
    );
}

#[test]
fn items_are_read_from_whatever_holds_them() {
    let place = Place::new();
    let rows = |glob: &str, columns: &[String], most| {
        let root = place.path().join("data");
        crate::rows::Rows { root: &root, glob, columns, most }.read()
    };
    place.write("data/a.jsonl", "{\"q\": 1}\n\n{\"q\": [1, {\"x\": null}]}\n");
    place.write("data/b.json", "[{\"q\": \"い\"}, {\"q\": 2.5}]");
    place.write("data/sub/c.csv", "\u{feff}q,t\n\"a, b\",\"1\n2\"\n");
    place.write("data/README.md", "no items");
    place.write("data/.hidden/d.jsonl", "{");
    let all: Vec<Value> = rows("**", &[], 99).unwrap().into_iter().map(Value::Object).collect();
    assert_eq!(
        all,
        [
            json!({ "q": 1, "file": "a" }),
            json!({ "q": [1, { "x": null }], "file": "a" }),
            json!({ "q": "い", "file": "b" }),
            json!({ "q": 2.5, "file": "b" }),
            json!({ "q": "a, b", "t": "1\n2", "file": "c" }),
        ]
    );
    assert_eq!(rows("*.json", &[], 1).unwrap().len(), 1);
    let names = ["x".to_owned(), "y".to_owned()];
    assert_eq!(
        Value::Object(rows("**/c.csv", &names, 9).unwrap().remove(0)),
        json!({ "x": "q", "y": "t", "file": "c" })
    );
    let none = rows("*.parquet", &[], 9).unwrap_err().to_string();
    assert_eq!(none, "no file with items is called `*.parquet`; there are: a.jsonl, b.json, sub/c.csv");
    let mut writer = zip::ZipWriter::new(fs::File::create(place.path().join("data/z.zip")).unwrap());
    for (name, text) in [("in/e.csv", "9,8\n"), ("in/f.txt", "no"), ("__MACOSX/in/e.csv", "no")] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let zipped = rows("in/*.csv", &names, 9).unwrap();
    assert_eq!(Value::Object(zipped[0].clone()), json!({ "x": "9", "y": "8", "file": "e" }));
    place.write("data/a.jsonl", "{\"q\": 1}\n{\"q\"");
    assert!(rows("a.jsonl", &[], 9).unwrap_err().to_string().contains("no JSON"));
}

#[test]
fn held_out_text_is_measured_the_same_as_tokens_as_a_corpus_and_as_lines() {
    let place = Place::new();
    let tokenizer = Tokenizer::open(&place.path().join("in/model/tokenizer")).unwrap();
    let long = TEXTS.join(" ").repeat(4);
    let texts = [TEXTS[0], TEXTS[1], &long];
    place.write("in/lines/text.jsonl", texts.map(|text| json!({ "text": text }).to_string()).join("\n"));
    let mut writer = CorpusWriter::create(&place.path().join("in/corpus")).unwrap();
    texts.iter().for_each(|text| writer.push(&Document::text(*text, "s").borrow()).unwrap());
    writer.finish(json!({})).unwrap();
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    pack(&place.path().join("in/tokens"), &tokenizer, &ids);
    let params = json!({ "tasks": [{ "name": "held_out", "kind": "perplexity", "target": "text" }] });
    let mut first: Option<Vec<Value>> = None;
    for data in ["in/lines/text.jsonl", "in/corpus", "in/tokens"] {
        let _ = fs::remove_dir_all(place.path().join("resume"));
        assert_eq!(place.run(&params, &[("data", data)], |_| false), StageEvent::Done, "{data}");
        let measured: Vec<Value> = place.records().iter().map(|record| record["measured"].clone()).collect();
        assert_eq!(measured.len(), 3);
        assert_eq!(
            (&measured[0]["tokens"], &measured[0]["bytes"]),
            (&json!(ids[0].len()), &json!(TEXTS[0].len()))
        );
        assert!(measured.iter().all(|one| one["likelihood"].as_f64().unwrap() < -1.0));
        assert_eq!(*first.get_or_insert_with(|| measured.clone()), measured, "{data}");
    }
}

/// Documents as the validation side of packed tokens.
fn pack(folder: &Path, tokenizer: &Tokenizer, documents: &[Vec<u32>]) {
    fs::create_dir_all(folder).unwrap();
    let end = tokenizer.end_of_text().unwrap();
    let side = |split, documents: &[Vec<u32>]| -> SplitMeta {
        let mut writer = StreamWriter::create(folder, split, TokenType::U16, false).unwrap();
        let mut block = Block::new(TokenType::U16, false);
        let mut pieces = Vec::new();
        let mut start = 0;
        for ids in documents {
            let ids = [ids.as_slice(), &[end]].concat();
            block.push(&ids, None);
            let length = ids.len() as u32;
            pieces.push(Piece { start, length });
            start += u64::from(length);
        }
        writer.append(&block).unwrap();
        let mut layout = writer.finish().unwrap().lay_out(512).unwrap();
        pieces.iter().for_each(|piece| layout.push(&[*piece]).unwrap());
        layout.finish().unwrap()
    };
    let meta = Meta {
        format: 1,
        dtype: TokenType::U16,
        context: 512,
        strategy: "concat".into(),
        loss: Loss::All,
        train: side(Split::Train, &documents[..1]),
        validation: side(Split::Validation, documents),
        vocab_size: tokenizer.vocab_size() as u32,
        end_of_text: end,
        tokenizer: tokenizer.digest().to_owned(),
    };
    meta.write(folder).unwrap();
}
