//! Makes a corpus of any size to measure on, from real text recombined by a seed, with planted near-copies.
//!
//! `make_corpus TEXTS OUT BYTES [PEER_BYTES]`: TEXTS is a folder with `ja/wiki_paragraphs.jsonl`. OUT gets
//! `corpus/`, and of its first PEER_BYTES `peer.jsonl`, one text a line, and `planted.json`: which of these is a
//! near-copy of which.
use muse_artifacts::corpus::{CorpusWriter, Document};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// One document of so many is a near-copy of an earlier one.
const PLANTED: u64 = 10;
/// In a near-copy one of so many characters is another one; so are 1 of 16 in any document, for the sentences are
/// few.
const ALTERED: [u64; 4] = [60, 100, 200, 1000];

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

fn draw(number: u64, at: u64) -> u64 {
    mix(mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ at)
}

struct Maker {
    sentences: Vec<String>,
    letters: Vec<char>,
}

impl Maker {
    fn read(texts: &Path) -> Result<Self, Box<dyn Error>> {
        let mut sentences = Vec::new();
        for line in fs::read_to_string(texts.join("ja/wiki_paragraphs.jsonl"))?.lines() {
            let value: Value = serde_json::from_str(line)?;
            let text = value["text"].as_str().unwrap_or_default();
            sentences.extend(text.split_inclusive(['。', '\n']).map(str::to_owned));
        }
        let letters =
            sentences.iter().flat_map(|text| text.chars()).filter(|one| !one.is_whitespace()).collect();
        Ok(Self { sentences, letters })
    }

    /// The text with one of `each` characters another one.
    fn altered(&self, text: &str, seed: u64, each: u64) -> String {
        let alter = |(at, letter): (u64, char)| {
            let drawn = draw(seed, at);
            let other = self.letters[(drawn >> 20) as usize % self.letters.len()];
            if drawn.is_multiple_of(each) { other } else { letter }
        };
        (0..).zip(text.chars()).map(alter).collect()
    }

    fn original(&self, number: u64) -> String {
        let long = 3 + draw(number, 0) % 12;
        let sentence = |at| self.sentences[draw(number, at) as usize % self.sentences.len()].as_str();
        let text: String = (1..=long).map(sentence).collect();
        self.altered(&text, number ^ 1 << 40, 16)
    }

    /// A document, and which it is a near-copy of.
    fn document(&self, number: u64) -> (String, Option<u64>) {
        let planted = |number: u64| number > 0 && draw(number, 1 << 50).is_multiple_of(PLANTED);
        if !planted(number) {
            return (self.original(number), None);
        }
        let drawn = draw(number, 1 << 51) % number;
        let of = (0..=drawn).rev().find(|at| !planted(*at)).unwrap_or_default();
        let each = ALTERED[(number % 4) as usize];
        (self.altered(&self.original(of), number ^ 1 << 41, each), Some(of))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [texts, out, bytes, more @ ..] = arguments.as_slice() else {
        return Err("make_corpus TEXTS OUT BYTES [PEER_BYTES]".into());
    };
    let (bytes, peer): (u64, u64) = (bytes.parse()?, more.first().map_or(Ok(0), |peer| peer.parse())?);
    let (maker, out) = (Maker::read(Path::new(texts))?, Path::new(out));
    let mut writer = CorpusWriter::create(&out.join("corpus"))?;
    let mut lines = BufWriter::new(File::create(out.join("peer.jsonl"))?);
    let mut planted = Vec::new();
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        let (text, of) = maker.document(number);
        if written < peer {
            writeln!(lines, "{}", Value::from(text.as_str()))?;
            planted.extend(of.map(|of| json!([number, of])));
        }
        written += text.len() as u64;
        number += 1;
        writer.push(&Document::text(text, "recombined").borrow())?;
    }
    writer.finish(json!({}))?;
    lines.flush()?;
    Ok(fs::write(out.join("planted.json"), Value::from(planted).to_string())?)
}
