//! Learns merges: the most frequent pair of neighbours becomes a token, again and again.
//!
//! It makes the merges that the trainer of the tokenizers crate makes, pair by pair (tests compare them), in a fraction
//! of the time, with counts that do not overflow, and it goes on from tokens that a base has.
mod vocabulary;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use vocabulary::Vocabulary;
pub(crate) use words::Words;

use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What bounds the learning.
pub(crate) struct Limits {
    /// How many tokens there shall be.
    pub(crate) size: usize,
    /// How often a pair must be met.
    pub(crate) min_frequency: u64,
    /// The most characters (of a model that is byte-level: bytes) of a token.
    pub(crate) max_length: usize,
    /// Tokens that no merge may make: special ones, and with a base all that it has.
    pub(crate) closed: FxHashSet<String>,
}

/// Two tokens that become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) merged: u32,
    /// How often the pair stood there.
    pub(crate) count: i64,
}

/// A pair in the queue, with the words in which it may stand.
#[derive(PartialEq, Eq)]
struct Waiting {
    count: i64,
    pair: u64,
    words: Vec<u32>,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.count, Reverse(self.pair)).cmp(&(other.count, Reverse(other.pair)))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn pair(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

/// Learns merges, adds their tokens to `vocabulary`, and answers them in their order. `step` hears how many tokens there
/// are now and then, and ends it by an error.
pub(crate) fn learn<E>(
    mut words: Words,
    vocabulary: &mut Vocabulary,
    limits: &Limits,
    mut step: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Merge>, E> {
    let mut lengths: Vec<usize> = vocabulary.lengths();
    let (mut counts, mut places) = count(&words);
    let mut queue = BinaryHeap::new();
    enqueue(&mut queue, &mut places, &counts);
    let mut merges = Vec::new();
    let mut changes = Vec::new();
    while vocabulary.len() < limits.size {
        let Some(mut top) = queue.pop() else { break };
        let now = counts.get(&top.pair).copied().unwrap_or_default();
        if now != top.count {
            // It was met less often since it was put there.
            if now > 0 {
                top.count = now;
                queue.push(top);
            }
            continue;
        }
        if u64::try_from(now).unwrap_or_default() < limits.min_frequency.max(1) {
            break;
        }
        let (left, right) = ((top.pair >> 32) as u32, top.pair as u32);
        let text = [vocabulary.text(left), vocabulary.text(right)].concat();
        if limits.closed.contains(&text) {
            continue;
        }
        let length = lengths[left as usize] + lengths[right as usize];
        let merged = vocabulary.push(text);
        if merged as usize == lengths.len() {
            lengths.push(length);
        }
        merges.push(Merge { left, right, merged, count: now });
        for at in &top.words {
            let fits = |other: u32| lengths[other as usize] + length <= limits.max_length;
            words.merge(*at, (left, right), merged, fits, &mut changes);
            for (pair, more) in changes.drain(..) {
                let change = words.count(*at).saturating_mul(if more { 1 } else { -1 });
                let count = counts.entry(pair).or_default();
                *count = count.saturating_add(change);
                if more {
                    let places = places.entry(pair).or_default();
                    if places.last() != Some(at) {
                        places.push(*at);
                    }
                }
            }
        }
        enqueue(&mut queue, &mut places, &counts);
        if merges.len() % 64 == 0 {
            step(vocabulary.len())?;
        }
    }
    // A pair that was learned again counts from then on.
    let last: FxHashMap<u64, usize> = merges
        .iter()
        .enumerate()
        .map(|(at, merge): (usize, &Merge)| (pair(merge.left, merge.right), at))
        .collect();
    let mut at = 0..;
    merges.retain(|merge| last.get(&pair(merge.left, merge.right)).copied() == at.next());
    Ok(merges)
}

/// How often each pair is met, and in which words.
fn count(words: &Words) -> (FxHashMap<u64, i64>, FxHashMap<u64, Vec<u32>>) {
    let mut counts: FxHashMap<u64, i64> = FxHashMap::default();
    let mut places: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
    for at in 0..words.len() {
        for two in words.word(at).windows(2) {
            let pair = pair(two[0], two[1]);
            let count = counts.entry(pair).or_default();
            *count = count.saturating_add(words.count(at));
            let places = places.entry(pair).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
    }
    (counts, places)
}

fn enqueue(
    queue: &mut BinaryHeap<Waiting>,
    places: &mut FxHashMap<u64, Vec<u32>>,
    counts: &FxHashMap<u64, i64>,
) {
    for (pair, words) in places.drain() {
        let count = counts.get(&pair).copied().unwrap_or_default();
        if count > 0 {
            queue.push(Waiting { count, pair, words });
        }
    }
}
