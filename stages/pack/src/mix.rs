//! Chance by a seed: the same on every machine and for ever.

/// SplitMix64's last step: a permutation of all numbers that looks like chance.
pub(crate) fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A shuffle by a seed.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    for at in (1..items.len()).rev() {
        let chance = u128::from(mix(seed ^ mix(at as u64)));
        // The upper half of the product is even enough: a list has far fewer than 2^64 items.
        let other = (chance * (at as u128 + 1)) >> 64;
        items.swap(at, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        // The second value of SplitMix64 from 0, as published.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        let mut list: Vec<u32> = (0..10).collect();
        shuffle(&mut list, 7);
        let mut again: Vec<u32> = (0..10).collect();
        shuffle(&mut again, 7);
        assert_eq!(list, again);
        shuffle(&mut again, 8);
        assert_ne!(list, again);
        list.sort_unstable();
        assert_eq!(list, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0; 5]; 5];
        for seed in 0..20_000 {
            let mut list = [0, 1, 2, 3, 4];
            shuffle(&mut list, mix(seed));
            list.iter().enumerate().for_each(|(place, item)| counts[*item][place] += 1);
        }
        assert!(counts.iter().flatten().all(|count| (3800..4200).contains(count)), "{counts:?}");
    }
}
