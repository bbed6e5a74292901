//! The order of sequences: for every epoch another permutation, which is computed and not kept, so that it takes no memory
//! however many there are, and any place in it can be asked for. It is part of every result: never change it.
use crate::chance::draw;

/// What its keys are drawn for.
const ORDER: u64 = 1;
/// Rounds of the network: four make an order that one cannot tell from chance, the others make up for short words.
const ROUNDS: u64 = 8;

/// The order of the sequences of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    seed: u64,
    sequences: u64,
    /// Bits of half a word. Words of two halves count past the last sequence, but not past four times as many.
    half: u32,
}

impl Order {
    /// The order of so many sequences by `seed`. It does not depend on how long a training takes.
    pub fn new(seed: u64, sequences: u64) -> Self {
        let bits = u64::BITS - sequences.saturating_sub(1).leading_zeros();
        Self { seed, sequences, half: bits.div_ceil(2) }
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// The sequence at a place of an epoch. Places past the last are none.
    pub fn at(&self, epoch: u64, place: u64) -> Option<u64> {
        if place >= self.sequences {
            return None;
        }
        let key = draw(self.seed, ORDER, epoch);
        // Walks on through the words until it meets a sequence. It does, since the way leads back to the place itself.
        let mut word = place;
        loop {
            word = self.permuted(key, word);
            if word < self.sequences {
                return Some(word);
            }
        }
    }

    /// A permutation of all words: a Feistel network, which turns one half by a hash of the other, again and again.
    fn permuted(&self, key: u64, word: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (word >> self.half, word & mask);
        for round in 0..ROUNDS {
            let turn = draw(key, round, right) & mask;
            (left, right) = (right, left ^ turn);
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epoch(order: &Order, epoch: u64) -> Vec<u64> {
        (0..order.sequences()).map(|place| order.at(epoch, place).unwrap()).collect()
    }

    #[test]
    fn the_order_never_changes() {
        let order = Order::new(1, 10);
        assert_eq!(epoch(&order, 0), [9, 4, 5, 8, 1, 0, 2, 7, 3, 6]);
        assert_eq!(epoch(&order, 1), [9, 2, 7, 4, 3, 8, 1, 6, 5, 0]);
        assert_eq!(Order::new(7, 1_000_000_007).at(3, 5), Some(599_793_050));
    }

    #[test]
    fn small_and_large_numbers_of_sequences() {
        assert_eq!(Order::new(1, 0).at(0, 0), None);
        assert_eq!((Order::new(1, 1).at(9, 0), Order::new(1, 1).at(9, 1)), (Some(0), None));
        let huge = Order::new(1, u64::MAX);
        assert!(huge.at(0, u64::MAX - 1).is_some_and(|sequence| sequence < u64::MAX));
    }

    /// Over many epochs each sequence stands at each place about equally often, and behind each other one.
    #[test]
    fn one_cannot_tell_it_from_chance() {
        for sequences in [5_u64, 16, 100] {
            let order = Order::new(3, sequences);
            let cells = (sequences * sequences) as usize;
            let (mut places, mut pairs) = (vec![0_u64; cells], vec![0_u64; cells]);
            let epochs = 200 * sequences;
            for number in 0..epochs {
                let all = epoch(&order, number);
                for (place, sequence) in all.iter().enumerate() {
                    places[(place as u64 * sequences + sequence) as usize] += 1;
                }
                for pair in all.windows(2) {
                    pairs[(pair[0] * sequences + pair[1]) as usize] += 1;
                }
            }
            // A cell holds 200 on average, ±14 by chance; the largest of ten thousand strays by four times as much.
            assert!(places.iter().all(|count| count.abs_diff(200) < 75), "{sequences}: {places:?}");
            let mut others = (0..cells).filter(|cell| cell % (sequences as usize + 1) != 0);
            assert!(others.all(|cell| pairs[cell].abs_diff(200) < 75), "{sequences}: {pairs:?}");
        }
    }

    #[test]
    fn another_seed_or_epoch_is_another_order() {
        let orders: Vec<Vec<u64>> = (0..4)
            .flat_map(|seed| (0..4).map(move |number| epoch(&Order::new(seed, 1000), number)))
            .collect();
        for (at, one) in orders.iter().enumerate() {
            for other in &orders[..at] {
                let same = one.iter().zip(other).filter(|(a, b)| a == b).count();
                assert!(same < 12, "{same} of 1000 places hold the same");
            }
        }
    }

    proptest! {
        #[test]
        fn every_sequence_stands_at_one_place(sequences in 0_u64..3000, seed: u64, number: u64) {
            let order = Order::new(seed, sequences);
            let mut all = epoch(&order, number);
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..sequences));
        }

        #[test]
        fn large_words_turn_back(sequences in 1_u64 << 40.., seed: u64, places: [u64; 8]) {
            let order = Order::new(seed, sequences);
            let places: std::collections::BTreeSet<u64> = places.iter().map(|place| place % sequences).collect();
            let found: std::collections::BTreeSet<u64> =
                places.iter().map(|place| order.at(0, *place).unwrap()).collect();
            prop_assert_eq!(found.len(), places.len());
            prop_assert!(found.iter().all(|sequence| *sequence < sequences));
        }
    }
}
