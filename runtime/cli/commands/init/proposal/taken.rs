//! How much of a text is taken.
use super::rules;
use crate::commands::init::data::{Source, What};

/// A text, and how much of it is taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) source: Source,
    /// Its share of the mix.
    pub(crate) share: f64,
    /// The most documents; all of them, where there is no number.
    pub(crate) documents: Option<u64>,
}

impl Taken {
    /// How much of a text is taken for so many bytes.
    pub(super) fn of(source: Source, share: f64, bytes: f64) -> Self {
        let wants = |each: u64| rules::rounded((bytes / each as f64).ceil().max(1.0) as u64, 2);
        let documents = match (&source.what, source.set) {
            (What::Synthetic, _) => Some(wants(rules::STORY).clamp(1_000, 500_000)),
            (What::Files(_), _) => None,
            (What::Hub(..), Some(set)) => {
                Some(wants(set.each).max(1_000)).filter(|wants| *wants < set.documents)
            }
            (What::Hub(..), None) => Some(wants(2_000).max(1_000)),
        };
        Self { source, share, documents }
    }

    /// How much text is taken, about.
    pub(super) fn bytes(&self, tokens: u64) -> f64 {
        let each = self.source.set.map_or(2_000, |set| set.each);
        let each = if self.source.what == What::Synthetic { rules::STORY } else { each };
        let taken = self.documents.map(|documents| documents.saturating_mul(each));
        let all = self.source.bytes.or(taken);
        all.map_or(tokens as f64, |all| all.min(taken.unwrap_or(u64::MAX)) as f64)
    }
}
