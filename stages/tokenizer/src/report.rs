//! What `report.json` says: what was read, what was learned, how it does, and what to look at.
use crate::count::Read;
use crate::measure::Measured;
use crate::params::{Algorithm, Params};
use crate::sample::Sample;
use crate::train::Trained;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(crate) struct Report {
    format: u32,
    algorithm: Algorithm,
    vocabulary: Vocabulary,
    /// The text that was read.
    read: Read,
    min_frequency: u64,
    /// How it does on some of the text that was read.
    measured: Measured,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Vocabulary {
    /// All tokens.
    tokens: usize,
    /// How many were asked for.
    wanted: usize,
    /// Merges, pieces or characters that were learned from the text.
    learned: usize,
    special: BTreeMap<String, u32>,
}

impl Report {
    pub(crate) fn new(
        params: &Params,
        sample: &Sample,
        read: Read,
        trained: &Trained,
        measured: Measured,
    ) -> Self {
        let fixed = params.algorithm == Algorithm::Byte;
        let wanted = if fixed { trained.tokens } else { params.vocab_size() };
        let min_frequency = params.min_frequency();
        let mut warnings = Vec::new();
        if trained.tokens < wanted {
            let more = if sample.leaves_out() { "read more text (`sample`)" } else { "give it more text" };
            warnings.push(format!(
                "the vocabulary has {} tokens, not {wanted}: nothing more stands {min_frequency} times in the text; {more} or \
                 ask for less",
                trained.tokens
            ));
        }
        if read.full {
            warnings.push(format!(
                "{} of {} bytes were read: the text has more different words than fit into memory",
                read.bytes,
                sample.wanted()
            ));
        }
        if read.bytes == 0 {
            warnings.push("the corpus has no text".into());
        }
        if measured.total.changed > 0 {
            warnings.push(format!(
                "{} of {} texts do not come back from their tokens letter by letter",
                measured.total.changed, measured.total.texts
            ));
        }
        let vocabulary = Vocabulary {
            tokens: trained.tokens,
            wanted,
            learned: trained.learned,
            special: trained.specials.iter().cloned().collect(),
        };
        Self { format: 1, algorithm: params.algorithm, vocabulary, read, min_frequency, measured, warnings }
    }
}
