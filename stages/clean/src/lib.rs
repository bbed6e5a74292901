//! The `clean` stage: from corpora to one corpus that is fit to train on.
//!
//! The survey reads every document once and gives it a fate: kept, or dropped by a rule. Where copies are looked
//! for it also writes their keys to disk, and they are found there, part by part. Then the documents are read
//! once more: those that stay are written, through buckets on disk where they are shuffled, and the report is
//! made of the others.
mod check;
mod fate;
mod hash;
mod inputs;
mod judge;
mod language;
mod mix;
mod normalize;
mod params;
mod quality;
mod report;
mod same;
mod scatter;
mod similar;
mod sketch;
mod spool;
mod survey;
mod units;
mod write;

#[cfg(test)]
mod tests;

use muse_stage::{ArtifactType, Context, FieldError, InputPort, OutputPort, Stage, StageError};
pub use params::Params;

/// The kind.
pub struct Clean;

impl Stage for Clean {
    type Params = Params;
    const KIND: &'static str = "clean";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Makes one corpus of several: mixed, filtered, without copies, shuffled.\n\n\
        Each document goes through normalisation, length, language and quality rules, the search for copies, and \
        the mix, in this order; the first that drops it is the one that the report names. A chat is judged by what \
        was said, all turns together, and stays or goes as a whole; normalisation changes what was said and nothing \
        else of it.\n\n\
        `report.json` tells what was dropped by which rule and from which source, with samples, and what the mix cost. \
        Memory stays the same however large the corpora are: 5 bytes a document, and what is looked for is on disk. \
        While it works, `shuffle` needs room on disk for all texts once more, and `dedup: minhash` 320 bytes a document.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::required("corpus", &[ArtifactType::Corpus]).many()]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("corpus", ArtifactType::Corpus)]
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        check::check(params)
    }

    fn idle(&self, params: &Params) -> Vec<&'static str> {
        check::idle(params)
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        write::run(context, &params)
    }
}
