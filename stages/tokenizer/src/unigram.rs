//! Unigram by the tokenizers crate, over the letters of bytes, so that no text is without tokens. It is made to give the
//! same result every time, which by itself it does not.
use crate::count::Table;
use crate::letters::letters;
use crate::train::spelled;
use muse_stage::{Context, StageError};
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};

/// The score of tokens that stand for no text.
pub(crate) const NEVER: f64 = -1e6;
/// Words longer than this are cut: the time that they take grows with the square of it.
const LONGEST_WORD: usize = 256;
/// The library counts in 32 bits.
const MOST: u64 = u32::MAX as u64 / 2;
/// What the library adds to the score of one letter after another that no text was left for.
const STEP: f64 = 0.0001;

/// Pieces and their scores, the best first; at most `room`, and all letters among them.
pub(crate) fn learn(
    context: &mut Context,
    tables: Vec<Table>,
    room: usize,
    longest: usize,
    closed: &BTreeSet<&str>,
) -> Result<Vec<(String, f64)>, StageError> {
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    for (word, count) in spelled(tables) {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(LONGEST_WORD) {
            *words.entry(part.iter().collect()).or_default() += count;
        }
    }
    let met: BTreeSet<char> = words.keys().flat_map(|word| word.chars()).collect();
    let all = letters();
    let unmet = all.iter().filter(|letter| !met.contains(letter));
    let room = room.saturating_sub(all.len() - met.len());
    // Counts are made smaller together, where there is more text than the library can count.
    let sum: u64 = words.iter().map(|(word, count)| count.saturating_mul(word.len() as u64)).sum();
    let shrink = sum / MOST + 1;
    let words: Vec<(String, u32)> = words
        .into_iter()
        .map(|(word, count)| (word, u32::try_from(count.div_ceil(shrink)).unwrap_or(u32::MAX)))
        .collect();
    context.go_on()?;
    let mut pieces = if room > met.len() && !words.is_empty() {
        in_one_thread(words, room, longest)?
    } else {
        met.iter().map(|letter| (letter.to_string(), -1.0)).collect()
    };
    settle(&mut pieces);
    pieces.retain(|(text, _)| !closed.contains(text.as_str()));
    let least = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    pieces.extend(unmet.map(|letter| (letter.to_string(), least - 1.0)));
    for (_, score) in &mut pieces {
        *score = (*score * 1e6).round() / 1e6;
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(pieces)
}

/// The library adds floating-point numbers in an order that depends on the number of threads.
fn in_one_thread(
    words: Vec<(String, u32)>,
    room: usize,
    longest: usize,
) -> Result<Vec<(String, f64)>, StageError> {
    let failed = |error: &dyn std::fmt::Display| StageError::new(format!("unigram training failed: {error}"));
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(u32::try_from(room).unwrap_or(u32::MAX))
        .max_piece_length(longest)
        .build()
        .map_err(|error| failed(&error))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| failed(&error))?;
    let mut model = Unigram::default();
    pool.install(|| trainer.do_train(words, &mut model)).map_err(|error| failed(&error))?;
    Ok(model.iter().cloned().collect())
}

/// Letters that training dropped get scores by the order of a hash table: give them out by the order of the letters.
fn settle(pieces: &mut [(String, f64)]) {
    let least = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let mut steps = BTreeSet::new();
    let mut penalty = 0.0;
    for _ in 0..pieces.len().min(crate::params::BYTES) {
        steps.insert((least + penalty).to_bits());
        penalty += STEP;
    }
    let mut dropped: Vec<_> = pieces
        .iter_mut()
        .filter(|(text, score)| text.chars().nth(1).is_none() && steps.contains(&score.to_bits()))
        .collect();
    let mut scores: Vec<f64> = dropped.iter().map(|(_, score)| *score).collect();
    scores.sort_by(f64::total_cmp);
    dropped.sort_by(|a, b| a.0.cmp(&b.0));
    for ((_, place), score) in dropped.into_iter().zip(scores) {
        *place = score;
    }
}
