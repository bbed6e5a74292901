//! Sequences that cost the same: attention costs the square of a piece's length, so a sequence of one long document takes
//! longer than one of many short ones, and whoever trains on several devices waits for the longest.
//!
//! Two things even it out. Each piece, longest first, goes to the cheapest sequence that has room, so long documents are
//! spread and short ones fill up beside them. And sequences of similar cost become neighbours: blocks of them, in an
//! order of chance, so that the batches of one block are even among devices while the run as a whole is mixed.
use super::best_fit;
use crate::mix::{mix, shuffle};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many neighbours are alike: a multiple of the batches that people take.
const BLOCK: usize = 64;

/// What evenness may cost: one sequence more of so many. Where whole documents leave no choice, and to spread them would
/// cost more, the tightest packing is taken, and its neighbours are alike nevertheless.
const PRICE: usize = 100;

pub(super) fn pack(lengths: &[u32], length: u32) -> Vec<u32> {
    let count = |of: &[u32]| of.iter().max().map_or(0, |most| *most as usize + 1);
    let (even, tight) = (spread(lengths, length), best_fit::pack(lengths, length));
    if count(&even) <= count(&tight) + count(&tight) / PRICE { even } else { tight }
}

fn spread(lengths: &[u32], length: u32) -> Vec<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ones_are_spread_and_short_ones_stand_beside_them() {
        let lengths = [60, 60, 40, 40, 40, 40, 20, 20, 20, 20, 20, 20];
        // Four sequences of a hundred; best-fit would put three of the 20 beside a 40.
        let of = pack(&lengths, 100);
        let mut costs = [0; 4];
        of.iter().zip(lengths).for_each(|(sequence, length)| costs[*sequence as usize] += length * length);
        let tight = best_fit::pack(&lengths, 100);
        let mut others = [0; 4];
        tight
            .iter()
            .zip(lengths)
            .for_each(|(sequence, length)| others[*sequence as usize] += length * length);
        let spread = |costs: [u32; 4]| costs.iter().max().unwrap() - costs.iter().min().unwrap();
        assert!(spread(costs) < spread(others), "{costs:?} {others:?}");
    }

    #[test]
    fn evenness_has_a_price() {
        // Pairs that fill a sequence to the last place are torn by spreading, so they are not.
        let lengths: Vec<u32> =
            (0..1000).map(|at| 1300 + at % 97).chain((0..1000).map(|at| 748 - at % 97)).collect();
        let mut lengths = lengths;
        lengths.sort_unstable_by_key(|length| Reverse(*length));
        let count = |of: &[u32]| *of.iter().max().unwrap() as usize + 1;
        assert_eq!(count(&best_fit::pack(&lengths, 2048)), 1000);
        assert!(count(&pack(&lengths, 2048)) <= 1010);
    }

    #[test]
    fn the_cheapest_that_has_room_is_found() {
        let mut open = Open::new(10);
        for (room, cost, sequence) in [(3, 5, 0), (7, 9, 1), (7, 2, 2), (10, 4, 3), (0, 0, 4)] {
            open.put(room, cost, sequence);
        }
        assert_eq!(open.take(11 - 1), Some((10, 4, 3)));
        assert_eq!(open.take(3), Some((7, 2, 2)));
        assert_eq!(open.take(1), Some((3, 5, 0)));
        assert_eq!(open.take(8), None);
        assert_eq!(open.take(7), Some((7, 9, 1)));
        assert_eq!(open.take(1), None);
    }

    #[test]
    fn neighbours_cost_alike_and_blocks_come_by_chance() {
        let costs: Vec<u64> = (0..1000).map(|at| mix(at) % 5000).collect();
        let ordered = order(&costs, 1);
        let mut sorted = ordered.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        let of =
            |block: &[u32]| -> Vec<u64> { block.iter().map(|sequence| costs[*sequence as usize]).collect() };
        let ranges: Vec<_> = ordered
            .chunks(BLOCK)
            .map(|block| (*of(block).iter().min().unwrap(), *of(block).iter().max().unwrap()))
            .collect();
        assert!(ranges.iter().all(|(least, most)| most - least < 600), "{ranges:?}");
        assert!(ranges.windows(2).any(|two| two[0].0 > two[1].1), "{ranges:?}");
        assert_ne!(ordered, order(&costs, 2));
    }
}
