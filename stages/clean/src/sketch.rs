//! Signatures: the share of n-grams that two documents have in common, told by a few numbers for each.
//!
//! This is *fast similarity sketching* (Dahlgaard, Knudsen, Thorup, 2017). MinHash takes, for each of `t` hash
//! functions, the least value over all n-grams: `t` hashes an n-gram. Here one hash throws an n-gram into one of
//! `t` places, and each place keeps its least value. As long as places are empty, the next round throws all
//! n-grams again by the next hash, and a value of a later round is greater than any of an earlier one; from round
//! `t` on, round `t + i` throws all into place `i`, so that every place fills. Two documents agree in a place
//! with a probability of exactly their Jaccard similarity, as with MinHash, and the estimate varies no more than
//! there. A text of some hundred n-grams takes one or two hashes for each, not 128.
use crate::hash::mix;
use crate::units::{Grams, units};

/// The low bits of a value are hash, those above them the round.
const HASH_BITS: u32 = 52;

/// Makes signatures, one after the other.
pub(crate) struct Sketcher {
    grams: Grams,
    /// The n-grams of this document.
    runs: Vec<u64>,
    places: Vec<u64>,
    /// What tells rounds apart.
    rounds: Vec<u64>,
}

impl Sketcher {
    pub(crate) fn new(permutations: u32, ngram: u32) -> Self {
        let places = permutations as usize;
        let rounds =
            (0..2 * u64::from(permutations)).map(|round| mix(round ^ 0x5bd1_e995_0000_0000)).collect();
        Self { grams: Grams::new(ngram), runs: Vec::new(), places: vec![u64::MAX; places], rounds }
    }

    /// The signature of a document that consists of `texts`, one behind the other.
    pub(crate) fn sketch<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> &[u64] {
        self.grams.clear();
        self.runs.clear();
        for text in texts {
            units(text, |unit, _| self.runs.extend(self.grams.push(unit)));
        }
        self.runs.extend(self.grams.short());
        self.places.fill(u64::MAX);
        let many = self.places.len() as u64;
        let mut empty = self.places.len();
        for (round, salt) in self.rounds.iter().enumerate() {
            let above = (round as u64) << HASH_BITS;
            for run in &self.runs {
                let hash = mix(run ^ salt);
                let thrown = (u128::from(hash) * u128::from(many)) >> 64;
                let place =
                    if round < self.places.len() { thrown as usize } else { round - self.places.len() };
                // The place is told by the high bits, the value by the low ones.
                let value = above | (hash & ((1 << HASH_BITS) - 1));
                let least = &mut self.places[place];
                empty -= usize::from(*least == u64::MAX);
                *least = value.min(*least);
            }
            if empty == 0 {
                break;
            }
            if round == 0 && self.runs.len() > 4 * self.places.len() {
                // So many, and yet places are empty: most are the same.
                self.runs.sort_unstable();
                self.runs.dedup();
            }
        }
        &self.places
    }
}

/// A byte for each value, to compare documents by: values that differ have one byte in 1 of 256 cases.
pub(crate) fn marks(signature: &[u64]) -> impl Iterator<Item = u8> {
    signature.iter().map(|value| (mix(*value) >> 56) as u8)
}

/// How many of `places` marks must agree, so that the similarity is told to be `threshold`: those that agree by
/// chance are taken off.
pub(crate) fn agreeing(threshold: f64, places: u32) -> u32 {
    let share = 1.0 / 256.0 + threshold * 255.0 / 256.0;
    (share * f64::from(places)).ceil() as u32
}

/// How a signature is cut into bands, so that documents that agree in a whole band are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bands {
    /// How many there are.
    pub(crate) bands: u32,
    /// Values in each.
    pub(crate) rows: u32,
}

/// So many of the pairs that are just as similar as the threshold are found, at least.
const FOUND: f64 = 0.9;

impl Bands {
    /// The longest bands, so that the fewest pairs are compared in vain, that find what is to be found.
    pub(crate) fn choose(threshold: f64, places: u32) -> Self {
        let cut = |rows: u32| Self { bands: places / rows, rows };
        (1..=places).rev().map(cut).find(|bands| bands.finds(threshold) >= FOUND).unwrap_or(cut(1))
    }

    /// How probable it is that a pair of this similarity agrees in a band.
    pub(crate) fn finds(self, similarity: f64) -> f64 {
        let exponent = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        1.0 - (1.0 - similarity.powi(exponent(self.rows))).powi(exponent(self.bands))
    }

    /// The key of each band.
    pub(crate) fn keys(self, signature: &[u64]) -> impl Iterator<Item = u64> {
        signature.chunks_exact(self.rows as usize).take(self.bands as usize).zip(0u64..).map(|(band, at)| {
            band.iter().fold(mix(at ^ 0x6261_6e64), |key, value| mix(key.rotate_left(17) ^ value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::draw;

    fn text(words: impl Iterator<Item = u64>) -> String {
        words.map(|word| format!("w{} ", draw(1, 2, word))).collect()
    }

    /// Mean and mean square of the error over pairs of a known similarity, in units of what MinHash's would be.
    fn error(common: u64, own: u64, places: u32) -> (f64, f64) {
        const PAIRS: u64 = 400;
        let truth = common as f64 / (common + 2 * own) as f64;
        let mut sketcher = Sketcher::new(places, 1);
        let (mut sum, mut squares) = (0.0, 0.0);
        for pair in 0..PAIRS {
            let base = pair * 1_000_000;
            let one = text(base..base + common + own);
            let other = text((base..base + common).chain(base + 500_000..base + 500_000 + own));
            let first = sketcher.sketch([one.as_str()].into_iter()).to_vec();
            let second = sketcher.sketch([other.as_str()].into_iter());
            let same = first.iter().zip(second).filter(|(a, b)| a == b).count();
            let error = same as f64 / f64::from(places) - truth;
            sum += error;
            squares += error * error;
        }
        let variance = truth * (1.0 - truth) / f64::from(places);
        (sum / PAIRS as f64 / (variance / PAIRS as f64).sqrt(), squares / PAIRS as f64 / variance)
    }

    #[test]
    fn the_estimate_is_right_and_varies_no_more_than_minhash() {
        for (common, own) in [(1, 1), (4, 1), (18, 6), (80, 10), (300, 30), (300, 300), (2000, 250)] {
            let (bias, spread) = error(common, own, 128);
            assert!(bias.abs() < 4.0, "{common} of {own}: {bias} standard errors off");
            assert!(spread < 1.3, "{common} of {own}: {spread} times the variance of minhash");
        }
    }

    #[test]
    fn every_place_fills() {
        let mut sketcher = Sketcher::new(128, 5);
        for text in ["", "a", "日本", &"ab ".repeat(100_000)] {
            assert!(sketcher.sketch([text].into_iter()).iter().all(|value| *value != u64::MAX));
        }
    }

    #[test]
    fn bands_find_what_is_similar_and_little_else() {
        let bands = Bands::choose(0.8, 128);
        assert_eq!(bands, Bands { bands: 16, rows: 8 });
        assert!(bands.finds(0.8) > 0.94 && bands.finds(0.9) > 0.999 && bands.finds(0.3) < 0.002);
        for places in [16, 100, 128, 1024] {
            for threshold in [0.1, 0.5, 0.8, 0.95, 1.0] {
                let bands = Bands::choose(threshold, places);
                assert!(bands.bands * bands.rows <= places, "{bands:?}");
                assert!(bands.finds(threshold) >= FOUND || bands.rows == 1, "{bands:?}");
            }
        }
        assert_eq!((agreeing(0.8, 128), agreeing(1.0, 128), agreeing(0.1, 16)), (103, 128, 2));
    }
}
