//! Folders of Hugging Face's, as others write them.
use crate::Import;
use muse_artifacts::checkpoint::{Checkpoint, Dtype, Tensor, write_weights};
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::config::{Model, RopeScaling, ScalingKind};
use muse_model::exchange::hf::{self, Roles};
use muse_model::net::Weight;
use muse_stage::{Above, Context, Given, Job, JobInput, JobMode, StageError, StageEvent, StageKind, run_job};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A folder with a model in `in/folder`.
struct Bench(TempDir);

fn small() -> Model {
    let mut model = Model::new(2, 16, 2, 24);
    (model.vocab_size, model.context, model.kv_heads, model.head_width) =
        (Some(270), Some(32), Some(2), Some(8));
    model
}

fn tensors(model: &Model, dtype: Dtype) -> Vec<Tensor> {
    let all = Weight::all(&model.shape(0, 0)).into_iter();
    all.map(|weight| Tensor::new(weight.name, dtype, weight.shape)).collect()
}

fn numbers(tensor: &Tensor) -> Result<Vec<u8>, StageError> {
    Ok((0..tensor.bytes().unwrap()).map(|at| (at * 31 + tensor.name.len()) as u8).collect())
}

impl Bench {
    fn new(model: &Model, tensors: &[Tensor], shard_bytes: Option<u64>) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let folder = bench.folder();
        fs::create_dir_all(&folder).unwrap();
        write_weights(&folder, tensors, shard_bytes, numbers).unwrap();
        let config = hf::config(model, &Roles::default(), "bfloat16").unwrap();
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let mut vocab = Map::new();
        (0..256).for_each(|byte| _ = vocab.insert(format!("<0x{byte:02X}>"), json!(byte)));
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
            "pre_tokenizer": null, "decoder": null, "added_tokens": [],
            "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                       "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true, "ignore_merges": false,
                       "vocab": vocab, "merges": [] },
        });
        fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        fs::write(folder.join("tokenizer_config.json"), "{}").unwrap();
        fs::write(folder.join("LICENSE"), "none of ours").unwrap();
        bench
    }

    fn usual() -> Self {
        Self::new(&small(), &tensors(&small(), Dtype::BF16), None)
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("in/folder")
    }

    fn change_config(&self, change: impl Fn(&mut Value)) {
        let path = self.folder().join("config.json");
        let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(path, config.to_string()).unwrap();
    }

    fn run_with(&self, params: Value, connected: bool) -> StageEvent {
        let _ = fs::remove_dir_all(self.0.path().join("out"));
        fs::create_dir_all(self.0.path().join("out")).unwrap();
        let inputs: &[_] = if connected { &[("folder", "in/folder")] } else { &[] };
        self.run_kind(&Import, params, inputs)
    }

    fn run_kind(&self, kind: &dyn StageKind, params: Value, inputs: &[(&str, &str)]) -> StageEvent {
        let input = |(port, path): &(&str, &str)| {
            let path = PathBuf::from(path);
            let input = JobInput { path: path.clone(), list: false, entries: vec![(String::new(), path)] };
            ((*port).to_owned(), input)
        };
        let outputs = kind.describe().outputs.into_iter();
        let job = Job {
            job: 1,
            mode: JobMode::Run,
            kind: kind.name().into(),
            plugin: None,
            version: 1,
            stage: "imported".into(),
            key: "b3:0".into(),
            attempt: 1,
            params,
            work: self.0.path().to_owned(),
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.map(|output| (output.name, output.kind)).collect(),
            resume: None,
            offer: None,
            story: None,
            threads: 1,
            gpus: vec![],
            pins: [].into(),
            secrets: vec![],
        };
        run_job(kind, &mut Context::new(job, Arc::new(AtomicBool::new(false)), |_| ()))
    }

    fn run(&self) -> StageEvent {
        self.run_with(json!({}), true)
    }

    fn made(&self) -> Checkpoint {
        Checkpoint::open(&self.0.path().join("out/checkpoint")).unwrap()
    }

    /// What is said of a folder that is refused, and what to do.
    fn refused(&self) -> (String, String) {
        match self.run() {
            StageEvent::Failed { message, help } => (message, help.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_folder_becomes_a_checkpoint_and_a_tokenizer() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        for shard_bytes in [None, Some(4_000)] {
            let all = tensors(&small(), dtype);
            let bench = Bench::new(&small(), &all, shard_bytes);
            assert_eq!(bench.folder().join("model.safetensors").exists(), shard_bytes.is_none());
            assert_eq!(bench.run(), StageEvent::Done);
            let made = bench.made();
            made.verify().unwrap();
            for tensor in &all {
                assert_eq!(made.model().get(&tensor.name), Some(tensor), "as it was stored");
                assert_eq!(made.model().read(&tensor.name).unwrap(), numbers(tensor).unwrap());
            }
            assert_eq!(serde_json::from_value::<Model>(made.about().config.clone()).unwrap(), small());
            let tokenizer = Tokenizer::open(&bench.0.path().join("out/tokenizer")).unwrap();
            assert_eq!(made.about().tokenizer.as_deref(), Some(tokenizer.digest()));
            assert!(!bench.0.path().join("out/tokenizer/LICENSE").exists());
        }
    }
}

#[test]
fn what_is_exported_again_is_what_it_was() {
    let (small, dtype) = (small(), Dtype::BF16);
    let mut window = small.clone();
    (window.window, window.tied) = (Some(8), true);
    let mut llama = small.clone();
    (llama.qk_norm, llama.rope.theta) = (false, 5e5);
    let mut scaled = llama.clone();
    scaled.rope.scaling = RopeScaling {
        kind: ScalingKind::Llama3,
        factor: 8.0,
        original_context: Some(16),
        beta_fast: 4.0,
        ..RopeScaling::default()
    };
    for model in [small, window, llama, scaled] {
        // Numbers that are numbers, for whatever reads them.
        let give = |tensor: &Tensor| Ok::<_, StageError>([0x10, 0x3f].repeat(tensor.numbers().unwrap()));
        let bench = Bench::new(&model, &[], None);
        fs::remove_file(bench.folder().join("model.safetensors")).unwrap();
        write_weights(&bench.folder(), &tensors(&model, dtype), None, give).unwrap();
        assert_eq!(bench.run(), StageEvent::Done);
        let inputs = [("model", "out/checkpoint"), ("tokenizer", "out/tokenizer")];
        assert_eq!(bench.run_kind(&muse_stage_export::Export, json!({}), &inputs), StageEvent::Done);
        let read = |folder: &str, name: &str| fs::read(bench.0.path().join(folder).join(name)).unwrap();
        for name in ["model.safetensors", "tokenizer.json"] {
            assert!(read("in/folder", name) == read("out/folder", name), "{name}");
        }
        let config = |folder| serde_json::from_slice::<Value>(&read(folder, "config.json")).unwrap();
        assert_eq!(config("in/folder"), config("out/folder"));
    }
}

#[test]
fn a_folder_of_ones_own_is_named_by_its_path() {
    assert_eq!(Bench::usual().run_with(json!({ "path": "in/folder" }), false), StageEvent::Done);
    let given = |port: &str, connected: bool| {
        let given = Given { kind: "download", output: "files", params: json!({}), above: Above::nothing() };
        (connected && port == "folder").then_some(given).into_iter().collect::<Vec<_>>()
    };
    let wrong = |params: Value, connected: bool| {
        Import
            .fits_json(&params, &Above::new(move |port| given(port, connected)))
            .err()
            .map(|error| error.pointer)
    };
    assert_eq!(wrong(json!({ "path": "x" }), false), None);
    assert_eq!(wrong(json!({}), true), None);
    assert_eq!(wrong(json!({ "path": "x" }), true).as_deref(), Some("/path"));
    assert_eq!(wrong(json!({}), false).as_deref(), Some(""));
}

#[test]
fn a_head_that_is_the_embedding_is_kept_once() {
    let mut model = small();
    model.tied = true;
    let mut all = tensors(&model, Dtype::F32);
    // Names as long as these have the same numbers here.
    all.push(Tensor::new("lm_head.weight", Dtype::F32, [270, 16]));
    all.push(Tensor::new("model.layers.0.self_attn.rotary_emb.inv_freq", Dtype::F32, [4]));
    let bench = Bench::new(&model, &[], None);
    let give = |tensor: &Tensor| {
        let name = if tensor.name == "lm_head.weight" { "model.embed_tokens.weight" } else { &tensor.name };
        numbers(&Tensor::new(name, tensor.dtype, tensor.shape.clone()))
    };
    fs::remove_file(bench.folder().join("model.safetensors")).unwrap();
    write_weights(&bench.folder(), &all, None, give).unwrap();
    assert_eq!(bench.run(), StageEvent::Done);
    assert_eq!(bench.made().model().iter().count(), all.len() - 2);
    let other = Bench::new(&model, &all, None);
    assert!(other.refused().0.contains("`lm_head.weight` is another"));
}

#[test]
fn what_muse_would_compute_otherwise_is_refused() {
    let said = |bench: &Bench, what: &str| {
        let (message, help) = bench.refused();
        assert!(message.contains(what) && !help.is_empty(), "{message}: {help}");
    };
    let bench = Bench::usual();
    bench.change_config(|config| config["hidden_act"] = json!("gelu"));
    said(&bench, "config.json: muse cannot read this model: `hidden_act` is `gelu`");
    let bench = Bench::usual();
    bench.change_config(|config| config["num_hidden_layers"] = json!(3));
    said(&bench, "there is no tensor `model.layers.2.input_layernorm.weight`");
    let bench = Bench::usual();
    bench.change_config(|config| config["num_hidden_layers"] = json!(1));
    said(&bench, "tensor `model.layers.1.");
    let bench = Bench::usual();
    bench.change_config(|config| config["intermediate_size"] = json!(25));
    said(&bench, "is [24, 16], and by `config.json` [25, 16]");
    let bench = Bench::usual();
    bench.change_config(|config| config["vocab_size"] = json!(100));
    said(&bench, "its tokenizer has 256 tokens, and its model 100");
    said(&Bench::new(&small(), &tensors(&small(), Dtype::F64), None), "is of F64");
    let mut biased = tensors(&small(), Dtype::F32);
    biased.push(Tensor::new("model.layers.0.self_attn.q_proj.bias", Dtype::F32, [16]));
    said(&Bench::new(&small(), &biased, None), "q_proj.bias` is a bias");
}

#[test]
fn folders_that_lack_something_are_told_what() {
    let without = |file: &str| {
        let bench = Bench::usual();
        fs::remove_file(bench.folder().join(file)).unwrap();
        bench
    };
    let (message, _) = without("config.json").refused();
    assert!(message.contains("no model: there is no `config.json`"), "{message}");
    let (message, help) = without("tokenizer.json").refused();
    assert!(message.contains("no `tokenizer.json`") && help.contains("save_pretrained"), "{message}: {help}");
    let bench = without("model.safetensors");
    assert!(bench.refused().0.contains("neither `model.safetensors` nor"));
    fs::write(bench.folder().join("pytorch_model.bin"), "").unwrap();
    let (message, help) = bench.refused();
    assert!(
        message.contains("pickled (`pytorch_model.bin`)") && help.contains("safetensors"),
        "{message}: {help}"
    );
    let index = bench.folder().join("model.safetensors.index.json");
    fs::write(&index, json!({ "weight_map": { "x": "../x.safetensors" } }).to_string()).unwrap();
    assert!(bench.refused().0.contains("`../x.safetensors`"));
    fs::write(&index, "{}").unwrap();
    assert!(bench.refused().0.contains("which file holds what"));
}
