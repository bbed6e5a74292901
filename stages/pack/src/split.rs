//! Which documents are held back: a matter of seed and number alone, so that threads and order of work cannot change it.
use crate::mix::mix;
use muse_stage::StageError;

/// Holds back the documents whose hash is below a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chooser {
    seed: u64,
    below: u64,
}

/// What was seen of documents' hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) documents: u64,
    pub(crate) held_back: u64,
    least: u64,
    most: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { documents: 0, held_back: 0, least: u64::MAX, most: 0 }
    }
}

impl Seen {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            documents: self.documents + other.documents,
            held_back: self.held_back + other.held_back,
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }
}

impl Chooser {
    pub(crate) fn new(seed: u64, share: f64) -> Self {
        // Two to the 64th; a float that is too large becomes the largest number.
        Self { seed, below: (share * 18_446_744_073_709_551_616.0) as u64 }
    }

    /// Whether to hold back a document, by its number among all that come in.
    pub(crate) fn holds_back(self, number: u64, seen: &mut Seen) -> bool {
        // A permutation of all numbers, so no two documents have the same hash.
        let hash = mix(number ^ mix(self.seed));
        let chosen = hash < self.below;
        let this = Seen { documents: 1, held_back: u64::from(chosen), least: hash, most: hash };
        *seen = seen.and(this);
        chosen
    }

    /// The chooser that has a document on each side, where this one has none on one of them. It can only be known
    /// afterwards, because documents without text do not count; there are few documents where it happens.
    pub(crate) fn mended(self, share: f64, seen: &Seen) -> Result<Option<Self>, StageError> {
        if share == 0.0 {
            return Ok(None);
        }
        if seen.documents < 2 {
            let said = "one document cannot be shared between training and validation";
            return Err(StageError::new(said).help(
                "`validation: { tail: 0.1 }` holds back the end of its text; `validation: 0` holds back nothing",
            ));
        }
        Ok(match seen.held_back {
            0 => Some(Self { below: seen.least.saturating_add(1), ..self }),
            all if all == seen.documents => Some(Self { below: seen.most, ..self }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(chooser: Chooser, documents: u64) -> (Vec<bool>, Seen) {
        let mut seen = Seen::default();
        ((0..documents).map(|number| chooser.holds_back(number, &mut seen)).collect(), seen)
    }

    #[test]
    fn a_share_of_the_documents_by_the_seed() {
        for share in [0.01, 0.1, 0.5] {
            let (chosen, seen) = choose(Chooser::new(1, share), 100_000);
            let found = seen.held_back as f64 / 1e5;
            assert!((found - share).abs() < 0.005, "{found} for {share}");
            assert_ne!(chosen, choose(Chooser::new(2, share), 100_000).0);
            assert_eq!(chosen, choose(Chooser::new(1, share), 100_000).0);
        }
    }

    #[test]
    fn one_at_least_on_each_side() {
        for (share, documents) in [(1e-9, 100), (1e-300, 2), (0.1, 2), (0.999_999, 50), (0.5, 3)] {
            for seed in 0..20 {
                let chooser = Chooser::new(seed, share);
                let (_, seen) = choose(chooser, documents);
                let chooser = chooser.mended(share, &seen).unwrap().unwrap_or(chooser);
                let (_, seen) = choose(chooser, documents);
                assert!(seen.held_back >= 1 && seen.held_back < documents, "{share} {documents} {seed}");
                assert_eq!(chooser.mended(share, &seen).unwrap(), None);
            }
        }
        let (_, one) = choose(Chooser::new(0, 0.1), 1);
        let said = Chooser::new(0, 0.1).mended(0.1, &one).unwrap_err();
        assert!(matches!(said, StageError::Failed { help: Some(help), .. } if help.contains("tail")));
        assert_eq!(Chooser::new(0, 0.0).mended(0.0, &one).unwrap(), None);
    }
}
