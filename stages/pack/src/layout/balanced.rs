//! Sequences that cost the same: attention costs the square of a piece's length, so a sequence of one long document takes
//! longer than one of many short ones, and whoever trains on several devices waits for the longest.
//!
//! Two things even it out. Each piece, longest first, goes to the cheapest sequence that has room, so long documents are
//! spread and short ones fill up beside them. And sequences of similar cost become neighbours: blocks of them, in an
//! order of chance, so that the batches of one block are even among devices while the run as a whole is mixed.
use crate::mix::{mix, shuffle};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many neighbours are alike: a multiple of the batches that people take.
const BLOCK: usize = 64;

pub(super) fn pack(lengths: &[u32], length: u32) -> Vec<u32> {
    let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    let fewest = total.div_ceil(length.into()) as u32;
    let mut open = Open::new(length);
    (0..fewest).for_each(|sequence| open.put(length, 0, sequence));
    let mut count = fewest;
    let place = |wanted: &u32| {
        let (room, cost, sequence) = open.take(*wanted).unwrap_or_else(|| {
            count += 1;
            (length, 0, count - 1)
        });
        open.put(room - wanted, cost + u64::from(*wanted).pow(2), sequence);
        sequence
    };
    lengths.iter().map(place).collect()
}

/// Sequences that have room, by how much, and for each amount the cheapest first. A tree over the amounts knows the
/// cheapest of any range.
struct Open {
    by_room: Vec<BinaryHeap<Reverse<(u64, u32)>>>,
    /// The cheapest below each node; leaves are the amounts of room, in the second half.
    tree: Vec<Option<(u64, u32)>>,
}

impl Open {
    fn new(length: u32) -> Self {
        let rooms = length as usize + 1;
        let by_room = (0..rooms).map(|_| BinaryHeap::new()).collect();
        Self { by_room, tree: vec![None; 2 * rooms.next_power_of_two()] }
    }

    fn put(&mut self, room: u32, cost: u64, sequence: u32) {
        if room > 0 {
            self.by_room[room as usize].push(Reverse((cost, sequence)));
            self.update(room as usize);
        }
    }

    /// Takes out the cheapest that has room for so much.
    fn take(&mut self, wanted: u32) -> Option<(u32, u64, u32)> {
        let leaves = self.tree.len() / 2;
        let (mut low, mut high) = (leaves + wanted as usize, self.tree.len());
        let mut best: Option<((u64, u32), usize)> = None;
        while low < high {
            let mut look = |node: usize| {
                if let Some(cheapest) = self.tree[node]
                    && best.is_none_or(|(best, _)| cheapest < best)
                {
                    best = Some((cheapest, node));
                }
            };
            if low % 2 == 1 {
                look(low);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                look(high);
            }
            (low, high) = (low / 2, high / 2);
        }
        let ((cost, sequence), mut node) = best?;
        while node < leaves {
            node = if self.tree[2 * node] == Some((cost, sequence)) { 2 * node } else { 2 * node + 1 };
        }
        let room = node - leaves;
        self.by_room[room].pop();
        self.update(room);
        Some((room as u32, cost, sequence))
    }

    fn update(&mut self, room: usize) {
        let mut node = self.tree.len() / 2 + room;
        self.tree[node] = self.by_room[room].peek().map(|Reverse(cheapest)| *cheapest);
        while node > 1 {
            node /= 2;
            let (left, right) = (self.tree[2 * node], self.tree[2 * node + 1]);
            self.tree[node] = [left, right].into_iter().flatten().min();
        }
    }
}

/// By cost, in blocks; the blocks, and sequences within one, by chance.
pub(super) fn order(costs: &[u64], seed: u64) -> Vec<u32> {
    let mut sorted: Vec<u32> = (0..).take(costs.len()).collect();
    sorted.sort_unstable_by_key(|sequence| (costs[*sequence as usize], *sequence));
    let mut blocks: Vec<Vec<u32>> = sorted.chunks(BLOCK).map(<[u32]>::to_vec).collect();
    for (number, block) in blocks.iter_mut().enumerate() {
        shuffle(block, mix(seed ^ mix(number as u64)));
    }
    // The last block may be smaller; at the end it shifts no other.
    let whole = sorted.len() / BLOCK;
    shuffle(&mut blocks[..whole], seed);
    blocks.concat()
}
