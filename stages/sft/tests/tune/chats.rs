//! Small chats, packed, and a model that was pretrained with their tokenizer.
use crate::support::{self, Place, VOCABULARY, bytes};
use muse_artifacts::tokens::Split;
use muse_stage::StageEvent;
use muse_stage_sft::Sft;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// How many tokens of a document are a person's: nobody could know them before.
const ASKED: usize = 8;

/// A folder for one attempt, with chats at `data` and the pretrained model at `init`.
pub(crate) fn place() -> Place {
    let place = Place::of(&Sft, params);
    place.pack(&|split, number| Some((chat(split, number), (0..16).map(|at| at >= ASKED).collect())));
    put(base(), &place.path().join("in/init"));
    place
}

/// The tokens of a chat: what was asked looks like chance, and the answer follows from its first token.
pub(crate) fn chat(split: Split, number: u32) -> Vec<u32> {
    let all = VOCABULARY - 1;
    let first = number % 8;
    let mut chance = u64::from(number) + if split == Split::Train { 1 } else { 1000 };
    let mut asked = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (chance >> 40) as u32 % all
    };
    let mut ids = vec![1 + first];
    ids.extend((1..ASKED).map(|_| asked()));
    ids.extend((0..7).map(|at| 1 + (first * 5 + at * 3) % all));
    ids.push(0);
    ids
}

/// Which tokens carry loss where it is those that a person wrote.
pub(crate) fn what_was_asked(split: Split, number: u32) -> Option<(Vec<u32>, Vec<bool>)> {
    Some((chat(split, number), (0..16).map(|at| at < ASKED).collect()))
}

/// What a pretraining made.
pub(crate) fn base() -> &'static BTreeMap<String, Vec<u8>> {
    static BASE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    BASE.get_or_init(|| support::whole(&json!({ "steps": 60 })))
}

/// Files as a folder.
pub(crate) fn put(files: &BTreeMap<String, Vec<u8>>, to: &Path) {
    for (name, bytes) in files {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The usual parameters, with these on top.
pub(crate) fn params(fields: &Value) -> Value {
    let mut all = json!({
        "batch_tokens": 64, "lr": 0.01, "eval_every": 5, "checkpoint_every": 4, "seed": 7,
        "schedule": { "kind": "cosine", "warmup": 2 },
    });
    if fields.get("epochs").is_none() {
        all["steps"] = json!(12);
    }
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

/// What a training without a break gives.
pub(crate) fn whole(fields: &Value) -> BTreeMap<String, Vec<u8>> {
    let place = place();
    assert_eq!(place.train(fields), StageEvent::Done);
    bytes(&place.out())
}
