//! Reads packed tokens: sequences for training, documents for people and tests.
use super::index::Index;
use super::map::Map;
use super::meta::{AGAIN, Loss, Meta, SplitMeta};
use super::{Dtype, Segment, Sequence, Split};
use crate::{ArtifactError, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Packed tokens that can be read, from any number of threads.
pub struct Tokens {
    folder: PathBuf,
    meta: Meta,
    train: Side,
    validation: Side,
}

/// A document that was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentTokens {
    /// Its tokens, with its end of text.
    pub ids: Vec<u32>,
    /// Whether each carries loss.
    pub learned: Vec<bool>,
}

/// One side of the split.
struct Side {
    bin: Map,
    mask: Option<Map>,
    index: Index,
    dtype: Dtype,
    vocab_size: u32,
}

impl Tokens {
    /// Opens a folder and checks that sizes and bounds are right. Tokens themselves are checked as they are read.
    pub fn open(folder: &Path) -> Result<Self> {
        let meta = Meta::read(folder)?;
        let side = |split: Split, counts: SplitMeta| -> Result<Side> {
            let bin = Map::open(split.file(folder, "bin"))?;
            bin.must_have(counts.tokens.checked_mul(meta.dtype.bytes() as u64))?;
            let mask = match meta.loss {
                Loss::All => None,
                Loss::Mask => Some(Map::open(split.file(folder, "mask"))?),
            };
            if let Some(mask) = &mask {
                mask.must_have(Some(counts.tokens.div_ceil(8)))?;
            }
            let index = Index::open(split.file(folder, "idx"), meta.context, counts)?;
            Ok(Side { bin, mask, index, dtype: meta.dtype, vocab_size: meta.vocab_size })
        };
        let (train, validation) =
            (side(Split::Train, meta.train)?, side(Split::Validation, meta.validation)?);
        Ok(Self { folder: folder.to_owned(), meta, train, validation })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What they were made with.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Refuses a tokenizer, by its digest, that these tokens were not made with.
    pub fn check_tokenizer(&self, digest: &str) -> Result<()> {
        if digest == self.meta.tokenizer {
            return Ok(());
        }
        let said = format!(
            "its tokens were made by the tokenizer {}, and here is {}: their ids mean other texts",
            short(&self.meta.tokenizer),
            short(digest)
        );
        Err(ArtifactError::format(&self.folder, said)
            .help("take the tokenizer that `pack` took, or pack again with this one"))
    }

    /// How many sequences there are.
    pub fn sequences(&self, split: Split) -> u64 {
        self.side(split).index.counts.sequences
    }

    /// How many documents there are.
    pub fn documents(&self, split: Split) -> u64 {
        self.side(split).index.counts.documents
    }

    /// One sequence, as long as the context.
    pub fn sequence(&self, split: Split, number: u64) -> Result<Sequence> {
        let side = self.side(split);
        let context = self.meta.context as usize;
        let mut sequence = Sequence::new(context);
        for (segment, whole) in self.parts(split, number)? {
            let start = whole.start + segment.offset;
            // One more than the inputs, for the last label, where the document goes on.
            let read = start..whole.end.min(start + segment.length as u64 + 1);
            sequence.push(segment, &side.tokens(read.clone())?, &side.learned(read));
        }
        sequence.fill(context, self.meta.end_of_text);
        Ok(sequence)
    }

    /// The documents that a sequence is made of, and how long each is. Reads no tokens.
    pub fn segments(&self, split: Split, number: u64) -> Result<Vec<(Segment, u64)>> {
        let parts = self.parts(split, number)?.into_iter();
        Ok(parts.map(|(segment, whole)| (segment, whole.end - whole.start)).collect())
    }

    fn parts(&self, split: Split, number: u64) -> Result<Vec<(Segment, Range<u64>)>> {
        let side = self.side(split);
        side.must_be("sequence", number, side.index.counts.sequences)?;
        let (mut parts, mut start) = (Vec::new(), 0);
        for piece in side.index.sequence(number) {
            let (mut at, end) = (piece.start, piece.start + u64::from(piece.length));
            let mut document = side.index.document_of(at);
            while at < end {
                let whole = side.index.document(document);
                let stop = whole.end.min(end);
                // Not more than the context, which is a u32.
                let length = (stop - at) as usize;
                parts.push((Segment { document, offset: at - whole.start, start, length }, whole));
                (at, document, start) = (stop, document + 1, start + length);
            }
        }
        Ok(parts)
    }

    /// One document.
    pub fn document(&self, split: Split, number: u64) -> Result<DocumentTokens> {
        let (side, place) = (self.side(split), self.place(split, number)?);
        Ok(DocumentTokens { ids: side.tokens(place.clone())?, learned: side.learned(place) })
    }

    /// Where a document stands in its file, in tokens.
    pub fn place(&self, split: Split, number: u64) -> Result<Range<u64>> {
        let side = self.side(split);
        side.must_be("document", number, side.index.counts.documents)?;
        Ok(side.index.document(number))
    }

    /// How many positions have a label: tokens that carry loss, but for the first of each document.
    pub fn carry_loss(&self, split: Split) -> u64 {
        let side = self.side(split);
        let counts = &side.index.counts;
        let Some(mask) = &side.mask else { return counts.tokens - counts.documents };
        let learned: u64 = mask.bytes().iter().map(|byte| u64::from(byte.count_ones())).sum();
        let first = |document| side.index.document(document).start;
        let unseen = (0..counts.documents).filter(|document| bit(mask, first(*document))).count();
        learned.saturating_sub(unseen as u64)
    }

    fn side(&self, split: Split) -> &Side {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        }
    }
}

fn bit(mask: &Map, token: u64) -> bool {
    let byte = usize::try_from(token / 8).ok().and_then(|at| mask.bytes().get(at));
    byte.is_some_and(|byte| byte >> (token % 8) & 1 == 1)
}

fn short(digest: &str) -> &str {
    digest.get(..15).unwrap_or(digest)
}

impl Side {
    fn must_be(&self, what: &str, number: u64, count: u64) -> Result<()> {
        if number < count {
            return Ok(());
        }
        Err(ArtifactError::format(self.bin.path(), format!("there is no {what} {number}: it has {count}")))
    }

    /// Tokens whose place the index vouches for.
    fn tokens(&self, place: Range<u64>) -> Result<Vec<u32>> {
        let width = self.dtype.bytes() as u64;
        let byte = |token: u64| usize::try_from(token * width).unwrap_or(usize::MAX);
        let bytes = self.bin.bytes().get(byte(place.start)..byte(place.end)).unwrap_or_default();
        let ids: Vec<u32> = self.dtype.tokens(bytes).collect();
        if let Some(at) = ids.iter().position(|id| *id >= self.vocab_size) {
            let said = format!(
                "token {} is {}, and the vocabulary ends at {}",
                place.start + at as u64,
                ids[at],
                self.vocab_size
            );
            return Err(ArtifactError::format(self.bin.path(), said).help(AGAIN));
        }
        Ok(ids)
    }

    fn learned(&self, place: Range<u64>) -> Vec<bool> {
        let Some(mask) = &self.mask else {
            return vec![true; usize::try_from(place.end - place.start).unwrap_or_default()];
        };
        place.map(|token| bit(mask, token)).collect()
    }
}
