//! Real tokenizers and real models, both small: what is written side by side is what each text would be alone.
mod packed;
mod scoring;
mod speech;
mod threads;
mod writing;

use crate::{Engine, InferenceError, Kept, Order, Room, Sampling};
use burn::backend::Flex;
use muse_artifacts::tokenizer::{CHATML, Tokenizer};
use muse_model::config::{Mixer, Model};
use muse_model::decode::{Cpu, Decoder, rows_of};
use muse_model::net::{Net, Weight};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::AddedToken;

pub(super) const LINES: [&str; 3] = [
    "むかしむかし、あるところにおじいさんとおばあさんがいました。",
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind.",
    "emoji 👩‍👩‍👧‍👦 🇯🇵 and half-width ｶﾀｶﾅ",
];

/// The folder of a small byte-level tokenizer.
pub(super) fn folder() -> TempDir {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.with_decoder(Some(bytes));
    let special = |text: &str| AddedToken::from(text, true);
    let trainer = BpeTrainer::builder()
        .vocab_size(300)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(special).to_vec())
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), LINES.repeat(3).into_iter()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path().join("tokenizer.json"), false).unwrap();
    fs::write(folder.path().join("chat_template.jinja"), CHATML).unwrap();
    folder
}

pub(super) static TOKENIZER: LazyLock<Arc<Tokenizer>> =
    LazyLock::new(|| Arc::new(Tokenizer::open(folder().path()).unwrap()));

/// A model whose logits are far apart, with a vocabulary larger than the tokenizer's.
pub(super) fn config(context: usize) -> Model {
    let mut model = Model { kv_heads: Some(2), init_std: 0.5, ..Model::new(2, 16, 4, 24) };
    (model.vocab_size, model.context) = (Some(320), Some(context));
    model
}

/// The same, but what its first block keeps of a text goes along it, and cannot be cut.
pub(super) fn along(context: usize) -> Model {
    Model { mixers: Some(vec![Mixer::Ttt, Mixer::Attention].try_into().unwrap()), ..config(context) }
}

pub(super) fn engine(slots: usize, context: usize) -> Box<dyn Engine> {
    engine_of(&config(context), slots)
}

pub(super) fn engine_of(model: &Model, slots: usize) -> Box<dyn Engine> {
    let context = model.context.unwrap();
    let shape = model.shape(1, context);
    let (weights, flat) =
        (Weight::all(&shape), Net::<Flex>::new(model, &shape, 7, &Default::default()).flat());
    let read = |weight: &Weight, rows| {
        let at = weights.iter().position(|one| one == weight).unwrap();
        Ok::<_, InferenceError>(rows_of(weight, &flat[at].to_data().to_vec::<f32>().unwrap(), rows))
    };
    let room = Room { slots, context };
    Box::new(Decoder::new(model, room, Cpu::new(Kept::F32), read).unwrap())
}

/// A checkpoint of that model, with its tokenizer, as `export` leaves one.
pub(super) fn exported(place: &Path, context: usize) {
    use muse_artifacts::ArtifactError;
    use muse_artifacts::checkpoint::{CheckpointWriter, Dtype, Facts, Tensor};
    let model = config(context);
    let shape = model.shape(1, context);
    let (weights, flat) =
        (Weight::all(&shape), Net::<Flex>::new(&model, &shape, 7, &Default::default()).flat());
    let layout: Vec<Tensor> =
        weights.iter().map(|weight| Tensor::new(&weight.name, Dtype::F32, weight.shape.clone())).collect();
    let mut writer = CheckpointWriter::create(place).unwrap();
    let give = |tensor: &Tensor| {
        let at = weights.iter().position(|weight| weight.name == tensor.name).unwrap();
        Ok::<_, ArtifactError>(flat[at].to_data().as_bytes().to_vec())
    };
    writer.model(&layout, give).unwrap();
    let config = serde_json::to_value(&model).unwrap();
    let tokenizer = Some(TOKENIZER.digest().to_owned());
    writer.finish(Facts { config, tokenizer, ..Default::default() }).unwrap();
    let (from, to) = (folder(), place.join("tokenizer"));
    fs::create_dir(&to).unwrap();
    for name in ["tokenizer.json", "chat_template.jinja"] {
        fs::copy(from.path().join(name), to.join(name)).unwrap();
    }
}

/// An order by its text, greedy or by chance.
pub(super) fn order(text: &str, most: usize, temperature: f64) -> Order {
    let sampling = Sampling { temperature, seed: 5, ..Default::default() };
    Order { sampling, ..Order::new(TOKENIZER.encode(text).unwrap(), most) }
}
