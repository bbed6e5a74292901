//! A small model with a tokenizer, at the ports of the stage.
use crate::Export;
use muse_artifacts::checkpoint::{CheckpointWriter, Dtype, Facts, Tensor};
use muse_artifacts::tokenizer::{CHATML, Tokenizer, split::Split};
use muse_model::config::Model;
use muse_model::net::{Role, Weight};
use muse_stage::{ArtifactType, Context, Job, JobInput, JobMode, StageError, StageEvent, StageKind, run_job};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A folder with a model and a tokenizer in `in/`.
pub(super) struct Bench {
    folder: TempDir,
    pub(super) model: Model,
    pub(super) weights: Vec<(Weight, Vec<f32>)>,
}

impl Bench {
    /// A model of two blocks, whose width of 40 is no whole number of blocks of 32.
    pub(super) fn new(change: impl Fn(&mut Model)) -> Self {
        Self::with_first(change, 0.5)
    }

    /// The same, and the first number of all.
    pub(super) fn with_first(change: impl Fn(&mut Model), first: f32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut model = Model::new(2, 40, 2, 64);
        (model.vocab_size, model.context, model.kv_heads, model.head_width) =
            (Some(270), Some(32), Some(1), Some(16));
        change(&mut model);
        let number = |at: usize, role: Role| match role {
            Role::Norm => 1.0 + at as f32 * 1e-3,
            _ => ((at * 7919) % 1999) as f32 / 999.5 - 1.0,
        };
        let mut weights: Vec<_> = Weight::all(&model.shape(0, 0))
            .into_iter()
            .map(|weight| {
                let numbers: Vec<f32> =
                    (0..weight.len()).map(|at| number(at + weight.name.len(), weight.role)).collect();
                (weight, numbers)
            })
            .collect();
        weights[0].1[0] = first;
        let bench = Self { folder, model, weights };
        bench.write_tokenizer();
        bench.write(&bench.model(), None);
        bench
    }

    pub(super) fn model(&self) -> PathBuf {
        self.folder.path().join("in/model")
    }

    pub(super) fn tokenizer(&self) -> PathBuf {
        self.folder.path().join("in/tokenizer")
    }

    pub(super) fn out(&self) -> PathBuf {
        self.folder.path().join("out/folder")
    }

    /// Better weights than the last, which begin with that number.
    pub(super) fn write_best(&self, first: f32) {
        self.write(&self.model().join("best"), Some(first));
    }

    fn write(&self, place: &Path, first: Option<f32>) {
        let tensors: Vec<_> = self
            .weights
            .iter()
            .map(|(weight, _)| Tensor::new(&weight.name, Dtype::F32, weight.shape.clone()))
            .collect();
        let mut writer = CheckpointWriter::create(place).unwrap();
        let give = |tensor: &Tensor| {
            let (_, numbers) = self.weights.iter().find(|(weight, _)| weight.name == tensor.name).unwrap();
            let mut numbers = numbers.clone();
            first.into_iter().for_each(|first| numbers[0] = first);
            Ok::<_, StageError>(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
        };
        writer.model(&tensors, give).unwrap();
        let tokenizer = Tokenizer::open(&self.tokenizer()).unwrap().digest().to_owned();
        let figures = [("loss".to_owned(), 2.5)].into();
        let config = serde_json::to_value(&self.model).unwrap();
        writer.finish(Facts { config, tokenizer: Some(tokenizer), step: 7, tokens: 70, figures }).unwrap();
    }

    fn write_tokenizer(&self) {
        let specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"];
        let mut vocab = Map::new();
        specials.iter().for_each(|special| _ = vocab.insert((*special).into(), json!(vocab.len())));
        let mut hidden = 256;
        for byte in 0..=255_u8 {
            let seen = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
            let letter = if seen { u32::from(byte) } else { hidden };
            hidden += u32::from(!seen);
            vocab.insert(char::from_u32(letter).unwrap().to_string(), json!(vocab.len()));
        }
        let special = |(id, text): (usize, &&str)| {
            json!({ "id": id, "content": text, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false })
        };
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
        let split = json!({ "type": "Split", "pattern": { "Regex": Split::Gpt4.pattern() }, "behavior": "Isolated",
                            "invert": false });
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
            "added_tokens": specials.iter().enumerate().map(special).collect::<Vec<_>>(),
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": [split, bytes.clone()] }, "decoder": bytes,
            "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                       "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                       "vocab": vocab, "merges": [] },
        });
        let folder = self.tokenizer();
        fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
        put("tokenizer.json", json.to_string());
        put("chat_template.jinja", CHATML.to_owned());
        put(
            "tokenizer_config.json",
            json!({ "eos_token": "<|endoftext|>", "pad_token": "<|pad|>" }).to_string(),
        );
        put("report.json", "{}".into());
    }

    /// Another tokenizer than the model learned.
    pub(super) fn change_tokenizer(&self, change: impl Fn(&mut Value)) {
        let path = self.tokenizer().join("tokenizer.json");
        let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut json);
        fs::write(path, json.to_string()).unwrap();
    }

    /// What the stage is handed; what an earlier run made goes.
    pub(super) fn context(&self, params: Value, stop: bool) -> Context {
        let checked = Export.check_json(&params);
        assert!(checked.is_ok(), "{checked:?}");
        let _ = fs::remove_dir_all(self.folder.path().join("out"));
        fs::create_dir_all(self.folder.path().join("out")).unwrap();
        let input = |port: &str| {
            let path = PathBuf::from("in").join(port);
            (
                port.to_owned(),
                JobInput { path: path.clone(), list: false, entries: vec![(String::new(), path)] },
            )
        };
        let job = Job {
            job: 1,
            mode: JobMode::Run,
            kind: "export".into(),
            plugin: None,
            version: 1,
            stage: "exported".into(),
            key: "b3:0".into(),
            attempt: 1,
            params,
            work: self.folder.path().to_owned(),
            inputs: [input("model"), input("tokenizer")].into(),
            outputs: [("folder".to_owned(), ArtifactType::Folder)].into(),
            resume: None,
            offer: None,
            story: None,
            threads: 1,
            gpus: vec![],
            pins: [].into(),
            secrets: vec![],
        };
        Context::new(job, Arc::new(AtomicBool::new(stop)), |_| ())
    }

    pub(super) fn run(&self, params: Value) -> StageEvent {
        run_job(&Export, &mut self.context(params, false))
    }

    /// The stage is told to stop from the beginning.
    pub(super) fn run_stopped(&self, params: Value) -> StageEvent {
        run_job(&Export, &mut self.context(params, true))
    }
}

/// What a failure says, and what to do.
pub(super) fn said(event: StageEvent) -> (String, String) {
    match event {
        StageEvent::Failed { message, help } => (message, help.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// All files below a folder.
pub(super) fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all.extend(content(&entry));
        } else {
            let bytes = fs::read(&entry).unwrap();
            all.insert(entry, bytes);
        }
    }
    all
}
