//! Byte-level BPE, the quick way: the ids that the tokenizers crate gives, without its objects for every word.
//!
//! A word is first looked up whole (most are one token), then among words that were met before, and only then merged:
//! again and again the pair that was learned first, the leftmost where there are several.
use rustc_hash::FxHashMap;

/// Words up to so many bytes are remembered; longer ones hardly come twice.
const REMEMBERED: usize = 64;
/// Bytes of words and ids that a thread remembers before it starts anew.
const MEMORY: usize = 16 << 20;
/// Words with more parts than this are merged by a heap instead of looking at all pairs each time.
const MANY: usize = 128;
/// The rank of a pair that never merges.
const NEVER: u32 = u32::MAX;

/// Merges by rank over byte tokens.
pub(super) struct Merges {
    /// The token of each single byte.
    bytes: [u32; 256],
    /// Rank and result of each pair.
    pairs: FxHashMap<u64, (u32, u32)>,
    /// Words that are one token, by their bytes.
    whole: FxHashMap<Box<[u8]>, u32>,
}

/// What one thread works with.
#[derive(Default)]
pub(super) struct Scratch {
    known: FxHashMap<Box<[u8]>, (u32, u32)>,
    ids: Vec<u32>,
    remembered: usize,
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    id: u32,
    /// Rank of the pair of this part and the next.
    rank: u32,
    /// What that pair becomes.
    merged: u32,
}

fn pair(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

impl Merges {
    /// From the token of each byte, the merges in their order with what they become, and all tokens by bytes.
    pub(super) fn new(
        bytes: [u32; 256],
        merges: impl Iterator<Item = (u32, u32, u32)>,
        tokens: impl Iterator<Item = (Box<[u8]>, u32)>,
    ) -> Self {
        let pairs = merges.zip(0..NEVER).map(|((left, right, to), rank)| (pair(left, right), (rank, to)));
        let mut made = Self { bytes, pairs: pairs.collect(), whole: FxHashMap::default() };
        let (mut scratch, mut ids) = (Scratch::default(), Vec::new());
        // A token that its own merges do not lead to is none that a word becomes.
        let reached = tokens.filter(|(word, id)| {
            ids.clear();
            made.merge(word, &mut scratch.parts, &mut ids);
            ids == [*id]
        });
        made.whole = reached.collect();
        made
    }

    /// Adds the ids of one word.
    pub(super) fn word(&self, word: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
        if let [byte] = word {
            return ids.push(self.bytes[usize::from(*byte)]);
        }
        if let Some(id) = self.whole.get(word) {
            return ids.push(*id);
        }
        if word.len() > REMEMBERED {
            return self.merge(word, &mut scratch.parts, ids);
        }
        if let Some(&(from, to)) = scratch.known.get(word) {
            return ids.extend_from_slice(&scratch.ids[from as usize..to as usize]);
        }
        let from = ids.len();
        self.merge(word, &mut scratch.parts, ids);
        let made = &ids[from..];
        scratch.remembered += word.len() + 4 * made.len() + 64;
        if scratch.remembered > MEMORY {
            scratch.known.clear();
            scratch.ids.clear();
            scratch.remembered = 0;
        }
        let at = scratch.ids.len() as u32;
        scratch.ids.extend_from_slice(made);
        scratch.known.insert(word.into(), (at, scratch.ids.len() as u32));
    }

    /// Merges one word from its bytes.
    fn merge(&self, word: &[u8], parts: &mut Vec<Part>, ids: &mut Vec<u32>) {
        if word.len() > MANY {
            return self.merge_many(word, ids);
        }
        parts.clear();
        let byte = |byte: &u8| Part { id: self.bytes[usize::from(*byte)], rank: NEVER, merged: 0 };
        parts.extend(word.iter().map(byte));
        for at in 0..parts.len().saturating_sub(1) {
            self.rate(parts, at);
        }
        loop {
            // The first of the lowest.
            let mut best = (NEVER, 0);
            for (at, part) in parts.iter().enumerate() {
                if part.rank < best.0 {
                    best = (part.rank, at);
                }
            }
            let (rank, at) = best;
            if rank == NEVER {
                break;
            }
            parts[at].id = parts[at].merged;
            parts.remove(at + 1);
            self.rate(parts, at);
            if at > 0 {
                self.rate(parts, at - 1);
            }
        }
        ids.extend(parts.iter().map(|part| part.id));
    }

    /// Looks up what a part and the next become.
    fn rate(&self, parts: &mut [Part], at: usize) {
        let found = parts.get(at + 1).and_then(|next| self.pairs.get(&pair(parts[at].id, next.id)));
        (parts[at].rank, parts[at].merged) = found.copied().unwrap_or((NEVER, 0));
    }

    /// The same for a word of any length: parts in a linked list, pairs in a heap.
    fn merge_many(&self, word: &[u8], ids: &mut Vec<u32>) {
        use std::cmp::Reverse;
        use std::collections::BinaryHeap;
        const GONE: u32 = u32::MAX;
        let count = word.len();
        let mut parts: Vec<u32> = word.iter().map(|byte| self.bytes[usize::from(*byte)]).collect();
        let mut next: Vec<usize> = (1..=count).collect();
        let mut before: Vec<usize> = (0..count).map(|at| at.wrapping_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let look = |heap: &mut BinaryHeap<_>, parts: &[u32], at: usize, to: usize| {
            if let Some(&(rank, merged)) = self.pairs.get(&pair(parts[at], parts[to])) {
                heap.push(Reverse((rank, at, to, parts[at], parts[to], merged)));
            }
        };
        (1..count).for_each(|to| look(&mut heap, &parts, to - 1, to));
        while let Some(Reverse((_, at, to, left, right, merged))) = heap.pop() {
            // The pair may be no more.
            if parts[at] != left || parts[to] != right || next[at] != to {
                continue;
            }
            parts[at] = merged;
            parts[to] = GONE;
            next[at] = next[to];
            if next[at] < count {
                before[next[at]] = at;
                look(&mut heap, &parts, at, next[at]);
            }
            if before[at] < count {
                look(&mut heap, &parts, before[at], at);
            }
        }
        ids.extend(parts.iter().filter(|part| **part != GONE));
    }
}
