//! Best-fit decreasing: each piece, longest first, goes where it leaves the least room.
use crate::mix::shuffle;
use std::collections::BTreeMap;

pub(super) fn pack(lengths: &[u32], length: u32) -> Vec<u32> {
    // Sequences that have room, by how much. There are no more keys than lengths.
    let mut rooms: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut count = 0;
    let place = |wanted: &u32| {
        let fits = rooms.range(wanted..).next().map(|(room, _)| *room);
        let sequence = fits.and_then(|room| rooms.get_mut(&room)?.pop());
        if let Some(room) = fits.filter(|room| rooms.get(room).is_some_and(Vec::is_empty)) {
            rooms.remove(&room);
        }
        let sequence = sequence.unwrap_or_else(|| {
            count += 1;
            count - 1
        });
        let left = fits.unwrap_or(length) - wanted;
        if left > 0 {
            rooms.entry(left).or_default().push(sequence);
        }
        sequence
    };
    lengths.iter().map(place).collect()
}

/// By chance: the longest would come first otherwise.
pub(super) fn order(costs: &[u64], seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).take(costs.len()).collect();
    shuffle(&mut order, seed);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_room_is_taken() {
        let lengths = [500, 400, 250, 200, 150, 150, 100, 100];
        let of = pack(&lengths, 512);
        // Four are the fewest there can be: 500 stands alone, and 400 with 100, where 112 is less room than 212.
        assert_eq!(of, [0, 1, 2, 2, 3, 3, 1, 3]);
    }
}
