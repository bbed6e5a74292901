//! Unigram: from many candidates those stay without which the text would be least likely.
//!
//! Candidates are the tokens of a byte-pair training that goes on four times as far. Then, again and again: the most likely
//! cut of every word into candidates is counted, the counts make new probabilities, and the quarter goes whose loss costs
//! least. Single bytes always stay. Sums are made in an order that no thread changes, with logarithms that are the same on
//! every machine.
use crate::bpe::{self, Limits, Merge, Vocabulary, Words};
use crate::count::Table;
use crate::letters::{letters, spell};
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use rustc_hash::{FxHashMap, FxHashSet};
use std::convert::Infallible;

/// The score of tokens that stand for no text.
pub(crate) const NEVER: f64 = -1e6;
/// Candidates for each piece that is wanted.
const CANDIDATES: usize = 4;
/// How often probabilities are made anew before candidates go.
const ROUNDS: usize = 2;
/// Words longer than this are cut.
const LONGEST_WORD: usize = 256;
/// Words are counted in so many parts.
const PARTS: usize = 64;
/// What a piece that stands nowhere counts, so that its score is a number.
const SELDOM: f64 = 0.1;

/// Bytes that may be a token, and how likely they are.
#[derive(Clone)]
struct Piece {
    bytes: Vec<u8>,
    score: f64,
}

/// Pieces by their bytes, one byte after the other.
struct Trie {
    /// From a node and a byte to the next node.
    steps: FxHashMap<u64, u32>,
    /// The piece that ends at a node.
    ends: Vec<Option<u32>>,
}

/// Pieces and their scores, the most likely first: at most `room`, all bytes among them, as their letters.
pub(crate) fn learn(
    context: &mut Context,
    words: Table,
    room: usize,
    limits: &Limits,
) -> Result<Vec<(String, f64)>, StageError> {
    let mut words: Vec<(Box<[u8]>, u64)> = words.into_iter().collect();
    words.sort_unstable();
    let mut pieces = candidates(context, &words, room, limits)?;
    let most = pieces.len();
    loop {
        let mut counts = Vec::new();
        for _ in 0..ROUNDS {
            counts = count(context, &words, &pieces)?;
            score(&mut pieces, &counts);
        }
        let gone = most.saturating_sub(pieces.len()) as u64;
        context.progress(gone, Some(most.saturating_sub(room) as u64), "candidates left out");
        if pieces.len() <= room {
            let mut met = counts.iter().map(|count| *count > 0.0);
            pieces.retain(|piece| met.next() == Some(true) || piece.bytes.len() == 1);
            break;
        }
        pieces = without_the_least(pieces, &counts, room);
    }
    let letters = letters();
    // Rounded, so that it reads the same everywhere.
    let rounded = |piece: Piece| (spell(&letters, &piece.bytes), (piece.score * 1e6).round() / 1e6);
    let mut pieces: Vec<_> = pieces.into_iter().map(rounded).collect();
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(pieces)
}

/// Single bytes, and what a byte-pair training makes of them.
fn candidates(
    context: &Context,
    words: &[(Box<[u8]>, u64)],
    room: usize,
    limits: &Limits,
) -> Result<Vec<Piece>, StageError> {
    let mut vocabulary = Vocabulary::default();
    let letters = letters();
    letters.iter().for_each(|letter| _ = vocabulary.push(letter.to_string()));
    let mut counted = Words::default();
    let mut counts = vec![0.0; letters.len()];
    for (word, count) in words {
        word.iter().for_each(|byte| counts[usize::from(*byte)] += *count as f64);
        counted.push(word.iter().map(|byte| u32::from(*byte)), *count);
    }
    let size = letters.len() + room.saturating_sub(letters.len()).saturating_mul(CANDIDATES);
    let limits = Limits { size, closed: limits.closed.clone(), ..*limits };
    let merges = bpe::learn(counted, &mut vocabulary, &limits, |_| context.go_on())?;
    let mut pieces: Vec<Piece> = (0..=255).map(|byte| Piece { bytes: vec![byte], score: 0.0 }).collect();
    for Merge { left, right, merged, count } in merges {
        if merged as usize == pieces.len() {
            let bytes = [left, right].map(|id| pieces[id as usize].bytes.as_slice()).concat();
            pieces.push(Piece { bytes, score: 0.0 });
            counts.push(count as f64);
        }
    }
    score(&mut pieces, &counts);
    Ok(pieces)
}

/// How often each piece stands in the most likely cuts of all words.
fn count(context: &Context, words: &[(Box<[u8]>, u64)], pieces: &[Piece]) -> Result<Vec<f64>, StageError> {
    let trie = Trie::new(pieces);
    let work = |words: &[(Box<[u8]>, u64)]| {
        let mut counts = vec![0_u64; pieces.len()];
        let mut cut = Vec::new();
        for (word, count) in words {
            for part in word.chunks(LONGEST_WORD) {
                trie.cut(part, pieces, None, &mut cut);
                cut.iter().for_each(|piece| counts[*piece as usize] += count);
            }
        }
        Ok::<_, Infallible>(counts)
    };
    let mut sum = vec![0.0; pieces.len()];
    let part = words.len().div_ceil(PARTS).max(1);
    let Ok(()) = in_order(context.threads(), words.chunks(part), work, |counts| {
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count as f64);
        Ok(())
    });
    context.go_on()?;
    Ok(sum)
}

/// Probabilities from counts.
fn score(pieces: &mut [Piece], counts: &[f64]) {
    let all = libm::log(counts.iter().sum::<f64>() + SELDOM * counts.len() as f64);
    for (piece, count) in pieces.iter_mut().zip(counts) {
        piece.score = libm::log(count + SELDOM) - all;
    }
}

/// Leaves out a quarter, or as many as are more than `room`: those whose words are hardly less likely without them.
fn without_the_least(pieces: Vec<Piece>, counts: &[f64], room: usize) -> Vec<Piece> {
    let trie = Trie::new(&pieces);
    let keep = room.max(pieces.len() * 3 / 4);
    let mut cut = Vec::new();
    let mut losses: Vec<(f64, u32)> = Vec::with_capacity(pieces.len());
    for (id, piece) in (0..).zip(&pieces) {
        let loss = if piece.bytes.len() == 1 {
            f64::INFINITY
        } else {
            trie.cut(&piece.bytes, &pieces, Some(id), &mut cut);
            let others: f64 = cut.iter().map(|other| pieces[*other as usize].score).sum();
            counts[id as usize] * (piece.score - others)
        };
        losses.push((loss, id));
    }
    losses.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let kept: FxHashSet<u32> = losses.into_iter().take(keep).map(|(_, id)| id).collect();
    let mut id = 0..;
    pieces.into_iter().filter(|_| id.next().is_some_and(|id| kept.contains(&id))).collect()
}

impl Trie {
    fn new(pieces: &[Piece]) -> Self {
        let mut trie = Self { steps: FxHashMap::default(), ends: vec![None] };
        for (id, piece) in (0..).zip(pieces) {
            let mut node = 0_u32;
            for byte in &piece.bytes {
                let next = u32::try_from(trie.ends.len()).unwrap_or(u32::MAX);
                node = *trie.steps.entry(step(node, *byte)).or_insert(next);
                if node == next {
                    trie.ends.push(None);
                }
            }
            trie.ends[node as usize] = Some(id);
        }
        trie
    }

    /// The most likely cut of some bytes into pieces other than `but`; of equal ones that with the longer last piece.
    fn cut(&self, bytes: &[u8], pieces: &[Piece], but: Option<u32>, cut: &mut Vec<u32>) {
        // For each place the best score up to it, and the piece that ends there.
        let mut best = vec![(f64::NEG_INFINITY, 0_u32); bytes.len() + 1];
        best[0].0 = 0.0;
        for start in 0..bytes.len() {
            let before = best[start].0;
            let mut node = 0;
            for (at, byte) in bytes.iter().enumerate().skip(start) {
                let Some(next) = self.steps.get(&step(node, *byte)) else { break };
                node = *next;
                if let Some(id) = self.ends[node as usize].filter(|id| Some(*id) != but) {
                    let score = before + pieces[id as usize].score;
                    if score > best[at + 1].0 {
                        best[at + 1] = (score, id);
                    }
                }
            }
        }
        cut.clear();
        let mut end = bytes.len();
        while end > 0 {
            let piece = best[end].1;
            cut.push(piece);
            end = end.saturating_sub(pieces[piece as usize].bytes.len());
        }
    }
}

fn step(node: u32, byte: u8) -> u64 {
    u64::from(node) << 8 | u64::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_likely_cut_is_found() {
        let mut pieces: Vec<Piece> =
            (0..=255).map(|byte| Piece { bytes: vec![byte], score: -10.0 }).collect();
        for (text, score) in [("ab", -3.0), ("bc", -4.0), ("abc", -14.0), ("c", -9.0)] {
            pieces.push(Piece { bytes: text.into(), score });
        }
        let trie = Trie::new(&pieces);
        let mut cut = Vec::new();
        let mut texts = |text: &str, but| {
            trie.cut(text.as_bytes(), &pieces, but, &mut cut);
            cut.iter()
                .rev()
                .map(|id| String::from_utf8_lossy(&pieces[*id as usize].bytes))
                .collect::<Vec<_>>()
                .join("|")
        };
        assert_eq!(texts("abc", None), "ab|c");
        assert_eq!(texts("abc", Some(256)), "abc");
        assert_eq!(texts("xabbc", None), "x|ab|bc");
        assert_eq!(texts("", None), "");
    }

    #[test]
    fn what_costs_least_goes_first_and_bytes_stay() {
        let mut pieces: Vec<Piece> =
            (0..=255).map(|byte| Piece { bytes: vec![byte], score: -10.0 }).collect();
        for text in ["ab", "cd", "abcd", "ef"] {
            pieces.push(Piece { bytes: text.into(), score: -5.0 });
        }
        let mut counts = vec![1.0; pieces.len()];
        // `abcd` is nearly as good as `ab` and `cd`; nothing but bytes is there for `ef`, but nobody writes it.
        counts[256..].copy_from_slice(&[50.0, 40.0, 60.0, 1.0]);
        let left = without_the_least(pieces, &counts, 259);
        let texts: Vec<_> = left[256..].iter().map(|piece| String::from_utf8_lossy(&piece.bytes)).collect();
        assert_eq!((left.len(), texts.concat()), (259, "abcdabcd".into()));
    }
}
