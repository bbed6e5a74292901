//! Packed tokens that can be learned, and trainings on them. `sft` is tested with these too.
use muse_artifacts::tokens::{Block, Dtype, Loss, Meta, Piece, Split, SplitMeta, StreamWriter};
use muse_stage::{ArtifactType, Context, Job, JobInput, JobMode, Offer, StageEvent, StageKind, run_job};
use muse_stage_pretrain::Pretrain;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

pub(crate) const VOCABULARY: u32 = 17;
const CONTEXT: u32 = 16;

/// What a document is by its side and number: its tokens, and which of them carry loss. None is the usual one.
type Document = dyn Fn(Split, u32) -> Option<(Vec<u32>, Vec<bool>)>;

/// A folder for one attempt, with tokens at its port: what comes next follows from what was, mostly.
pub(crate) struct Place {
    pub(crate) threads: u32,
    pub(crate) folder: TempDir,
    pub(crate) kind: &'static dyn StageKind,
    pub(crate) params: fn(&Value) -> Value,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self::of(&Pretrain, params);
        place.pack(&|_, _| None);
        place
    }

    /// One with nothing in it, for a kind and its usual parameters.
    pub(crate) fn of(kind: &'static dyn StageKind, params: fn(&Value) -> Value) -> Self {
        Self { threads: 2, folder: tempfile::tempdir().unwrap(), kind, params }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path().join("out/checkpoint")
    }

    pub(crate) fn resume(&self) -> PathBuf {
        self.path().join("resume")
    }

    /// Packs tokens; `document` gives those of a document by its side and number, and which of them carry loss.
    pub(crate) fn pack(&self, document: &Document) {
        let folder = self.path().join("in/data");
        let masked = document(Split::Train, 0).is_some();
        fs::create_dir_all(&folder).unwrap();
        let side = |split, sequences: u32, from: u32| -> SplitMeta {
            let mut writer = StreamWriter::create(&folder, split, Dtype::U16, masked).unwrap();
            let mut block = Block::new(Dtype::U16, masked);
            for number in 0..sequences {
                if let Some((ids, mask)) = document(split, number) {
                    block.push(&ids, Some(&mask));
                    continue;
                }
                // A document a sequence: steps of one size, another size in each.
                let step = 1 + (number + from) % 5;
                let mut ids: Vec<u32> =
                    (0..CONTEXT - 1).map(|at| 1 + (number * 3 + at * step) % (VOCABULARY - 1)).collect();
                ids.push(0);
                block.push(&ids, None);
            }
            writer.append(&block).unwrap();
            let mut layout = writer.finish().unwrap().lay_out(CONTEXT).unwrap();
            for number in 0..u64::from(sequences) {
                layout.push(&[Piece { start: number * u64::from(CONTEXT), length: CONTEXT }]).unwrap();
            }
            layout.finish().unwrap()
        };
        let meta = Meta {
            format: 1,
            dtype: Dtype::U16,
            context: CONTEXT,
            strategy: "concat".into(),
            loss: if masked { Loss::Mask } else { Loss::All },
            train: side(Split::Train, 40, 0),
            validation: side(Split::Validation, 8, 2),
            vocab_size: VOCABULARY,
            end_of_text: 0,
            tokenizer: "b3:00".into(),
        };
        meta.write(&folder).unwrap();
    }

    /// The result of another training, as a longer one is offered it.
    pub(crate) fn offered(&self, shorter: &Self) -> PathBuf {
        let offer = self.path().join("offer");
        for (name, bytes) in bytes(&shorter.out()) {
            let path = offer.join("checkpoint").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        offer
    }

    /// Trains with these parameters on top of the usual ones.
    pub(crate) fn train(&self, fields: &Value) -> StageEvent {
        self.train_until(fields, u64::MAX, None).0
    }

    /// Trains until so many steps were told of, then it is told to stop. Gives all figures, too.
    pub(crate) fn train_until(
        &self,
        fields: &Value,
        steps: u64,
        offer: Option<(&Path, u64)>,
    ) -> (StageEvent, Vec<(u64, String, f64)>) {
        let params = (self.params)(fields);
        let said = self.kind.check_json(&params);
        assert!(said.is_ok(), "{said:?}");
        let _ = fs::remove_dir_all(self.path().join("out"));
        fs::create_dir_all(self.path().join("out")).unwrap();
        let input = |path: &str| JobInput {
            path: path.into(),
            list: false,
            entries: vec![(String::new(), path.into())],
        };
        let mut inputs = BTreeMap::from([("data".to_owned(), input("in/data"))]);
        if self.path().join("in/init").exists() {
            inputs.insert("init".into(), input("in/init"));
        }
        let job = Job {
            job: 1,
            mode: JobMode::Run,
            kind: self.kind.name().into(),
            plugin: None,
            version: self.kind.version(),
            stage: "base".into(),
            key: "b3:00".into(),
            attempt: 1,
            params,
            work: self.path().to_owned(),
            inputs,
            outputs: BTreeMap::from([("checkpoint".to_owned(), ArtifactType::Checkpoint)]),
            resume: Some(self.resume()),
            offer: offer.map(|(path, step)| Offer { path: path.to_owned(), step, key: "b3:01".into() }),
            story: None,
            threads: self.threads,
            gpus: Vec::new(),
            pins: BTreeMap::new(),
            secrets: Vec::new(),
        };
        let stop = Arc::new(AtomicBool::new(steps == 0));
        let heard = Arc::clone(&stop);
        let figures = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&figures);
        let tell = move |event: &StageEvent| {
            if let StageEvent::Metric { step, name, value } = event {
                told.lock().unwrap().push((*step, name.clone(), *value));
                heard.fetch_or(*step >= steps, Ordering::Relaxed);
            }
        };
        let end = run_job(self.kind, &mut Context::new(job, stop, tell));
        let figures = figures.lock().unwrap().clone();
        (end, figures)
    }
}

/// The usual parameters, with these on top.
pub(crate) fn params(fields: &Value) -> Value {
    let mut all = json!({
        "model": { "layers": 2, "width": 16, "heads": 2, "ffn": 24, "init_std": 0.1 },
        "steps": 12, "batch_tokens": 64, "lr": 0.01, "eval_every": 5, "checkpoint_every": 4,
        "schedule": { "kind": "cosine", "warmup": 2 }, "seed": 7,
    });
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

/// Every file below a folder with its bytes.
pub(crate) fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                all.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Changes a bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(path, &content).unwrap();
}

/// What a training without a break gives.
pub(crate) fn whole(fields: &Value) -> BTreeMap<String, Vec<u8>> {
    let place = Place::new();
    assert_eq!(place.train(fields), StageEvent::Done);
    bytes(&place.out())
}

#[track_caller]
pub(crate) fn same(got: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(got.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, bytes) in got {
        assert!(*bytes == right[name], "{name} has other bytes");
    }
}
