//! A muse folder speaks: logits of some ids, then the most likely tokens one after the other, as JSON. For tests/by_hand/export.py.
//!
//! `speak FOLDER HOW_MANY IDS…` prints `{"logits": [[…], …], "tokens": […]}`; `speak FOLDER template MESSAGES.json` the ids of a
//! list of conversations; `speak FOLDER encode TEXTS.json` those of texts.
#![expect(clippy::print_stdout, reason = "a program")]

use muse_artifacts::checkpoint::Checkpoint;
use muse_artifacts::corpus::MessageRef;
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::config::Model;
use muse_model::decode::{Cpu, Decoder, Kept, More, Room, Wanted};
use muse_model::net::Weight;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, what, rest @ ..] = arguments.as_slice() else { return Err("FOLDER and what to do".into()) };
    let folder = Path::new(folder);
    let said = match (what.as_str(), rest) {
        ("template", [path]) => conversations(folder, Path::new(path))?,
        ("encode", [path]) => texts(folder, Path::new(path))?,
        (count, ids) => spoken(folder, count.parse()?, ids)?,
    };
    println!("{said}");
    Ok(())
}

fn spoken(folder: &Path, count: usize, ids: &[String]) -> Result<Value, Box<dyn Error>> {
    let checkpoint = Checkpoint::open(folder)?;
    let model: Model = serde_json::from_value(checkpoint.about().config.clone())?;
    let mut ids: Vec<u32> = ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
    let room = Room { slots: 1, context: ids.len() + count };
    let read =
        |weight: &Weight, rows| Ok::<_, Box<dyn Error>>(checkpoint.model().read_rows(&weight.name, rows)?);
    let mut decoder = Decoder::new(&model, room, Cpu::new(Kept::F32), read)?;
    let mut logits = decoder.run(&[More { slot: 0, ids: &ids, wanted: Wanted::All }])?;
    let rows: Vec<Vec<f32>> = logits.chunks(decoder.vocabulary()).map(<[f32]>::to_vec).collect();
    let mut tokens = Vec::new();
    for _ in 0..count {
        let last = &logits[logits.len() - decoder.vocabulary()..];
        let best = last.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at as u32);
        tokens.push(best);
        ids = vec![best];
        logits = decoder.run(&[More { slot: 0, ids: &ids, wanted: Wanted::Last }])?;
    }
    Ok(json!({ "logits": rows, "tokens": tokens }))
}

fn conversations(folder: &Path, path: &Path) -> Result<Value, Box<dyn Error>> {
    let tokenizer = Tokenizer::open(&folder.join("tokenizer"))?;
    let all: Vec<Vec<Value>> = serde_json::from_slice(&std::fs::read(path)?)?;
    let ids = all.iter().map(|messages| {
        let text = |message: &'_ Value, field: &str| message[field].as_str().unwrap_or_default().to_owned();
        let texts: Vec<_> = messages.iter().map(|one| (text(one, "role"), text(one, "content"))).collect();
        let messages: Vec<_> =
            texts.iter().map(|(role, content)| MessageRef { role, content, extra: None }).collect();
        tokenizer.encode_prompt(&messages)
    });
    Ok(json!(ids.collect::<Result<Vec<_>, _>>()?))
}

fn texts(folder: &Path, path: &Path) -> Result<Value, Box<dyn Error>> {
    let tokenizer = Tokenizer::open(&folder.join("tokenizer"))?;
    let all: Vec<String> = serde_json::from_slice(&std::fs::read(path)?)?;
    Ok(json!(all.iter().map(|text| tokenizer.encode(text)).collect::<Result<Vec<_>, _>>()?))
}
