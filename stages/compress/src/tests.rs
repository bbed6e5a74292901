//! First weights and trained ones, in small forms: what is there, what it acts as, and what is said of it.
mod errors;
mod trained;

use crate::Compress;
use muse_artifacts::checkpoint::{Checkpoint, CheckpointWriter, Dtype, Facts, Tensor};
use muse_model::acting;
use muse_model::config::{Experts, Linear, Model, Round};
use muse_model::kernels::Rounding;
use muse_model::net::{Role, Start, Weight};
use muse_stage::{Context, Job, JobInput, JobMode, StageError, StageEvent, StageKind, run_job};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A folder in which the stage works, with a trained model in `in/model` where there is one.
struct Bench(TempDir);

/// A model of 2 blocks, whose sizes are no multiples of blocks of 32.
fn small() -> Model {
    let mut model = Model::new(2, 24, 2, 40);
    (model.vocab_size, model.context, model.tied) = (Some(50), Some(32), false);
    model
}

/// The same with experts, whose gates and biases nothing makes smaller.
fn with_experts() -> Model {
    Model { experts: Some(Experts { shared: 1, bias_rate: 1e-3, ..Experts::new(4, 2) }), ..small() }
}

fn config(model: &Model) -> Value {
    serde_json::to_value(model).unwrap()
}

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(bench.0.path().join("out")).unwrap();
        bench
    }

    /// With a model whose weights are as large as those of a trained one.
    fn trained(model: &Model, dtype: Dtype) -> Self {
        Self::trained_times(model, dtype, 8.0)
    }

    fn trained_times(model: &Model, dtype: Dtype, times: f32) -> Self {
        let bench = Self::new();
        let starts = Start::all(model, &model.shape(0, 0));
        let tensors: Vec<_> =
            starts.iter().map(|(weight, _)| Tensor::new(&weight.name, dtype, weight.shape.clone())).collect();
        let mut writer = CheckpointWriter::create(&bench.0.path().join("in/model")).unwrap();
        let give = |tensor: &Tensor| -> Result<Vec<u8>, StageError> {
            let (weight, start) = starts.iter().find(|(weight, _)| weight.name == tensor.name).unwrap();
            let numbers = start.numbers(weight, 77).into_iter().map(|x| x * times);
            Ok(match dtype {
                Dtype::BF16 => numbers.flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect(),
                _ => numbers.flat_map(f32::to_le_bytes).collect(),
            })
        };
        writer.model(&tensors, give).unwrap();
        let figures = [("loss".to_owned(), 1.5)].into();
        let tokenizer = Some("b3:1234".to_owned());
        writer.finish(Facts { config: config(model), tokenizer, step: 10, tokens: 640, figures }).unwrap();
        bench
    }

    fn source(&self) -> Checkpoint {
        Checkpoint::open(&self.0.path().join("in/model")).unwrap()
    }

    fn run(&self, params: Value, threads: u32) -> StageEvent {
        let _ = fs::remove_dir_all(self.0.path().join("out"));
        let _ = fs::remove_file(self.0.path().join("spool"));
        fs::create_dir_all(self.0.path().join("out")).unwrap();
        let path = PathBuf::from("in/model");
        let connected = self.0.path().join(&path).exists();
        let input = JobInput { path: path.clone(), list: false, entries: vec![(String::new(), path)] };
        let outputs = Compress.describe().outputs.into_iter();
        let job = Job {
            job: 1,
            mode: JobMode::Run,
            kind: "compress".into(),
            plugin: None,
            version: 1,
            stage: "small".into(),
            key: "b3:0".into(),
            attempt: 1,
            params,
            work: self.0.path().to_owned(),
            inputs: connected.then(|| ("model".to_owned(), input)).into_iter().collect(),
            outputs: outputs.map(|output| (output.name, output.kind)).collect(),
            resume: None,
            offer: None,
            story: None,
            threads,
            gpus: vec![],
            pins: [].into(),
            secrets: vec![],
        };
        run_job(&Compress, &mut Context::new(job, Arc::new(AtomicBool::new(false)), |_| ()))
    }

    fn made(&self, params: Value) -> Checkpoint {
        assert_eq!(self.run(params, 2), StageEvent::Done);
        let made = Checkpoint::open(&self.0.path().join("out/checkpoint")).unwrap();
        made.verify().unwrap();
        made
    }

    fn report(&self) -> Value {
        let text = fs::read(self.0.path().join("out/checkpoint/compress.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

/// What a checkpoint says that its model is.
fn model_of(checkpoint: &Checkpoint) -> Model {
    serde_json::from_value(checkpoint.about().config.clone()).unwrap()
}

/// What numbers of a weight act as.
fn acting(model: &Model, weight: &Weight, numbers: Vec<f32>) -> Vec<f32> {
    let core = matches!(weight.role, Role::Embedding | Role::Head) && weight.name.contains(".a.")
        || weight.name.contains("embed_tokens.b.")
        || weight.name.contains("lm_head.b.");
    let to = match weight.role {
        Role::Matrix => model.round(),
        _ if core => model.embedding.and_then(|embedding| embedding.round),
        _ => None,
    };
    let width = weight.shape.last().copied().unwrap();
    to.map_or(numbers.clone(), |to| acting::rounded(numbers, width, Rounding::from(to)))
}

fn distance(made: &[f32], right: &[f32]) -> f64 {
    let off: f64 = made.iter().zip(right).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (off / right.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()).sqrt()
}

#[test]
fn first_weights_are_those_that_a_training_would_begin_with() {
    let forms = [
        json!({}),
        json!({ "low_rank": 8 }),
        json!({ "ternary": true }),
        json!({ "int8": true }),
        json!({ "low_rank": 8, "ternary": true, "tensor_train": 3, "int8": true }),
        json!({ "low_rank": 8, "int8": true, "tensor_train": 3, "seed": 4 }),
    ];
    let models = [small(), with_experts()];
    for (form, model) in forms.iter().flat_map(|form| models.iter().map(move |model| (form, model))) {
        let mut params = form.clone();
        params["model"] = config(model);
        let bench = Bench::new();
        let made = bench.made(params);
        let model = model_of(&made);
        let seed = form["seed"].as_u64().unwrap_or(0);
        let starts = Start::all(&model, &model.shape(0, 0));
        let names: Vec<_> = starts.iter().map(|(weight, _)| weight.name.clone()).collect();
        let mut has: Vec<_> = made.model().iter().map(|tensor| tensor.name.clone()).collect();
        has.sort();
        assert_eq!(
            has,
            {
                let mut names = names;
                names.sort();
                names
            },
            "{form}"
        );
        for (weight, start) in starts {
            let drawn = acting(&model, &weight, start.numbers(&weight, seed));
            // What is read is a master again, and is rounded when it is used.
            let read = acting(&model, &weight, made.model().read_f32(&weight.name).unwrap());
            let off = read.iter().zip(&drawn).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            let largest = drawn.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!(off <= 1e-6 * largest, "{form} {}: {off} of {largest}", weight.name);
            assert_eq!(made.model().get(&weight.name).unwrap().shape, weight.shape);
        }
        let about = made.about();
        let parameters: usize = Weight::all(&model.shape(0, 0)).iter().map(Weight::len).sum();
        assert_eq!((about.parameters, about.step, about.tokenizer.as_deref()), (parameters as u64, 0, None));
    }
}

#[test]
fn few_bits_are_few_bytes() {
    let bench = Bench::new();
    let made = bench.made(json!({ "model": config(&small()), "ternary": true }));
    assert_eq!(model_of(&made).linear, Some(Linear { low_rank: None, round: Some(Round::Ternary) }));
    let report = bench.report();
    let gate = report["matrices"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "model.layers.1.mlp.gate_proj.weight");
    let gate = gate.unwrap();
    // 40 × 24 numbers in two bits each, and one size in f32.
    assert_eq!((&gate["dense"], &gate["trained"], &gate["bytes"]), (&json!(960), &json!(960), &json!(244)));
    assert_eq!(gate["form"], "whole, three values");
    assert!((gate["ratio"].as_f64().unwrap() - 1920.0 / 244.0).abs() < 1e-12);
    // Of normal numbers, three values at 0.8 of the deviation miss this share.
    let error = gate["error"].as_f64().unwrap();
    assert!((0.42..0.62).contains(&error), "{error}");
    bench.made(json!({ "model": config(&small()), "int8": true }));
    let report = bench.report();
    let rows = report["matrices"].as_array().unwrap();
    let gate = rows.iter().find(|one| one["name"] == "model.layers.1.mlp.gate_proj.weight").unwrap();
    // A scale of two bytes for each row of 24.
    assert_eq!(gate["bytes"], json!(960 + 80));
    assert!((1e-3..1e-2).contains(&gate["error"].as_f64().unwrap()), "{gate}");
}

#[test]
fn the_report_adds_up_and_flatters_nobody() {
    let bench = Bench::new();
    let params = json!({ "model": config(&small()), "low_rank": 8, "tensor_train": 3, "int8": true });
    let made = bench.made(params);
    let report = bench.report();
    let rows = report["matrices"].as_array().unwrap();
    let sum = |field: &str| rows.iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    let dense: usize = Weight::all(&small().shape(0, 0)).iter().map(Weight::len).sum();
    assert_eq!((sum("dense"), &report["total"]["dense"]), (dense as u64, &json!(dense)));
    assert_eq!(
        (sum("trained"), &report["total"]["trained"]),
        (made.about().parameters, &json!(made.about().parameters))
    );
    assert_eq!(sum("bytes"), report["total"]["bytes"].as_u64().unwrap());
    assert_eq!(report["file_bytes"], json!(made.about().bytes()));
    let heads = made.about().bytes() - sum("bytes");
    assert!(heads < 20_000, "{heads} bytes of heads");
    // A product is never said to be as many parameters as what it stands for.
    let query = rows.iter().find(|row| row["name"] == "model.layers.0.self_attn.q_proj.weight").unwrap();
    assert_eq!((&query["dense"], &query["trained"]), (&json!(24 * 24), &json!(8 * (24 + 24))));
    assert_eq!(query["tensors"].as_array().unwrap().len(), 4, "two matrices with scales");
    assert!(report["counted"].as_array().unwrap().len() > 3);
}

#[test]
fn the_same_bytes_come_twice_and_by_any_number_of_threads() {
    let bytes = |threads| {
        let bench = Bench::trained(&small(), Dtype::F32);
        let params = json!({ "low_rank": 6, "tensor_train": 3, "int8": true });
        assert_eq!(bench.run(params, threads), StageEvent::Done);
        ["checkpoint.json", "model.safetensors", "compress.json"]
            .map(|name| fs::read(bench.0.path().join("out/checkpoint").join(name)).unwrap())
    };
    let first = bytes(1);
    assert!([1, 2, 3].map(bytes).iter().all(|other| *other == first));
}
