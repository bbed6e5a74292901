//! Trains a tokenizer without a base: counts in, model out.
use crate::bpe::{self, Limits, Vocabulary, Words};
use crate::count::Table;
use crate::files::{Way, pairs_model, tokenizer_json};
use crate::letters::letters;
use crate::params::{Algorithm, BYTES, Params};
use crate::unigram;
use muse_stage::{Context, StageError};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::cmp::Reverse;

/// A `tokenizer.json`, and what the report says of it.
pub(crate) struct Trained {
    pub(crate) json: Value,
    /// Tokens, special ones too.
    pub(crate) tokens: usize,
    /// Merges, pieces or characters that were learned from the text.
    pub(crate) learned: usize,
    /// Special tokens and their ids.
    pub(crate) specials: Vec<(String, u32)>,
}

/// Trains on words and how often each was met.
pub(crate) fn train(context: &mut Context, params: &Params, words: Table) -> Result<Trained, StageError> {
    let specials: Vec<(String, u32)> = params.specials().into_iter().zip(0..).collect();
    match params.algorithm {
        Algorithm::Bpe => pairs(context, params, words, specials),
        Algorithm::Byte => pairs(context, params, Table::default(), specials),
        Algorithm::Unigram => pieces(context, params, words, specials),
        Algorithm::Char => Ok(characters(params, &words, specials)),
    }
}

fn pairs(
    context: &mut Context,
    params: &Params,
    words: Table,
    specials: Vec<(String, u32)>,
) -> Result<Trained, StageError> {
    let letters = letters();
    let mut vocabulary = Vocabulary::default();
    let mut alphabet = letters;
    alphabet.sort_unstable();
    specials.iter().for_each(|(text, _)| _ = vocabulary.push(text.clone()));
    alphabet.iter().for_each(|letter| _ = vocabulary.push(letter.to_string()));
    let single = letters.map(|letter| vocabulary.id(letter.encode_utf8(&mut [0; 4])).unwrap_or_default());
    let mut counted = Words::default();
    for (word, count) in words {
        counted.push(word.iter().map(|byte| single[usize::from(*byte)]), count);
    }
    let limits = limits(params, &specials);
    let total = params.vocab_size.0;
    let merges = bpe::learn(counted, &mut vocabulary, &limits, |tokens| {
        context.progress(tokens as u64, Some(total), "tokens");
        context.go_on()
    })?;
    let spelled = merges.iter().map(|merge| [vocabulary.text(merge.left), vocabulary.text(merge.right)]);
    let model = pairs_model(vocabulary.iter(), spelled, false);
    let json = tokenizer_json(&Way::bytes(params), &model, &specials);
    Ok(Trained { json, tokens: vocabulary.len(), learned: merges.len(), specials })
}

fn pieces(
    context: &mut Context,
    params: &Params,
    words: Table,
    specials: Vec<(String, u32)>,
) -> Result<Trained, StageError> {
    let room = params.vocab_size().saturating_sub(specials.len());
    let pieces = unigram::learn(context, words, room, &limits(params, &specials))?;
    // A special token stands in the model for its id alone: no text is ever as unlikely as this.
    let special = specials.iter().map(|(text, _)| json!([text, unigram::NEVER]));
    let vocab: Vec<_> = special.chain(pieces.iter().map(|(text, score)| json!([text, score]))).collect();
    let tokens = vocab.len();
    let model = json!({ "type": "Unigram", "unk_id": null, "vocab": vocab, "byte_fallback": false });
    let json = tokenizer_json(&Way::bytes(params), &model, &specials);
    Ok(Trained { json, tokens, learned: pieces.len().saturating_sub(BYTES), specials })
}

fn characters(params: &Params, words: &Table, specials: Vec<(String, u32)>) -> Trained {
    let mut counts: FxHashMap<char, u64> = FxHashMap::default();
    for (word, count) in words {
        for letter in String::from_utf8_lossy(word).chars() {
            let sum = counts.entry(letter).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    let mut letters: Vec<_> =
        counts.into_iter().filter(|(_, count)| *count >= params.min_frequency()).collect();
    letters.sort_unstable_by_key(|(letter, count)| (Reverse(*count), *letter));
    letters.truncate(params.vocab_size().saturating_sub(specials.len() + BYTES));
    let bytes = (0..BYTES).map(|byte| format!("<0x{byte:02X}>"));
    let special = specials.iter().map(|(text, _)| text.clone());
    let tokens: Vec<String> =
        special.chain(bytes).chain(letters.iter().map(|(letter, _)| letter.to_string())).collect();
    let vocab = tokens.iter().enumerate().map(|(id, text)| (text.as_str(), id));
    let model = pairs_model(vocab, std::iter::empty(), true);
    let json = tokenizer_json(&Way::characters(params), &model, &specials);
    Trained { json, tokens: tokens.len(), learned: letters.len(), specials }
}

fn limits(params: &Params, specials: &[(String, u32)]) -> Limits {
    Limits {
        size: params.vocab_size(),
        min_frequency: params.min_frequency(),
        max_length: usize::try_from(params.max_token_length.0).unwrap_or(usize::MAX),
        closed: specials.iter().map(|(text, _)| text.clone()).collect(),
    }
}
