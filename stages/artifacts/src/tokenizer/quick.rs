//! Whether a tokenizer is byte-level BPE as muse trains it, and if so its quick way from text to ids.
use super::merges::{Merges, Scratch};
use super::split::Split;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Split, then merge.
pub(super) struct Quick {
    split: Split,
    merges: Merges,
    /// What threads worked with, for the next that comes.
    scratch: Mutex<Vec<Scratch>>,
}

impl Quick {
    /// From a `tokenizer.json`; `None` where there is anything in it that this does not do.
    pub(super) fn new(json: &Value) -> Option<Self> {
        let split = split(json)?;
        let plain = |name: &str| json.get(name).is_none_or(Value::is_null);
        // An added token that is not special would be found in the text before it is split.
        let added = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
        let all_special = added.into_iter().all(|token| token.get("special") == Some(&Value::Bool(true)));
        let model = json.get("model")?;
        let off =
            |name: &str| model.get(name).is_none_or(|value| value.is_null() || value == false || value == "");
        let simple = ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"]
            .into_iter()
            .chain(["fuse_unk", "byte_fallback", "ignore_merges"])
            .all(off);
        if !plain("normalizer") || !all_special || model.get("type")? != "BPE" || !simple {
            return None;
        }
        let vocab = model.get("vocab")?.as_object()?;
        let id = |token: &str| u32::try_from(vocab.get(token)?.as_u64()?).ok();
        let letters = letters();
        let mut bytes = [0; 256];
        for (letter, byte) in &letters {
            *bytes.get_mut(usize::from(*byte))? = id(letter.encode_utf8(&mut [0; 4]))?;
        }
        let mut merges = Vec::new();
        for merge in model.get("merges")?.as_array()? {
            let (left, right) = match merge {
                Value::String(text) => text.split_once(' ')?,
                pair => (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?),
            };
            merges.push((id(left)?, id(right)?, id(&format!("{left}{right}"))?));
        }
        let word =
            |token: &str| token.chars().map(|letter| letters.get(&letter).copied()).collect::<Option<_>>();
        // A special token's text may be no word of bytes.
        let tokens = vocab.keys().filter_map(|token| Some((word(token)?, id(token)?)));
        let tokens: Vec<_> = tokens.filter(|(word, _): &(Box<[u8]>, u32)| word.len() > 1).collect();
        let merges = Merges::new(bytes, merges.into_iter(), tokens.into_iter());
        Some(Self { split, merges, scratch: Mutex::default() })
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        for piece in self.split.pieces(text) {
            self.merges.word(piece.as_bytes(), &mut scratch, ids);
        }
        pool().push(scratch);
    }
}

/// The one pre-tokenizer that this knows: a split by a pattern of ours, then bytes.
fn split(json: &Value) -> Option<Split> {
    let steps = json.get("pre_tokenizer").filter(|step| step.get("type") == Some(&"Sequence".into()))?;
    let [first, second] = steps.get("pretokenizers")?.as_array()?.as_slice() else { return None };
    let good = first.get("type")? == "Split"
        && first.get("behavior")? == "Isolated"
        && first.get("invert")? == false
        && second.get("type")? == "ByteLevel"
        && second.get("add_prefix_space")? == false
        && second.get("use_regex")? == false;
    if !good {
        return None;
    }
    Split::from_pattern(first.get("pattern")?.get("Regex")?.as_str()?)
}

/// The letter that byte-level tokenizers write for each byte: itself where it can be seen, else one from U+0100 on.
pub(super) fn letters() -> FxHashMap<char, u8> {
    let mut next = 256;
    let letter = |byte: u8| {
        let seen = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let letter = if seen { u32::from(byte) } else { next };
        next += u32::from(!seen);
        (char::from_u32(letter).unwrap_or_default(), byte)
    };
    (0..=255).map(letter).collect()
}
