//! `*.idx`: where documents end, and which runs of tokens make each sequence.
//!
//! A header of 48 bytes, then three tables; all numbers little-endian:
//! magic `muse.idx`, version u32, context u32, then tokens, documents, sequences, pieces as u64;
//! documents: where each ends, in tokens, u64; sequences: where each ends, in pieces, u64;
//! pieces: first token u64, tokens u32.
use super::map::Map;
use super::meta::{AGAIN, SplitMeta};
use crate::{ArtifactError, Result};
use std::path::PathBuf;

pub(super) const MAGIC: &[u8; 8] = b"muse.idx";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER: u64 = 48;
/// Bytes of a piece.
const PIECE: u64 = 12;

/// A run of tokens in a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// Its first token, counted from the first of the file.
    pub start: u64,
    /// How many tokens it has.
    pub length: u32,
}

impl Piece {
    pub(super) fn to_bytes(self) -> [u8; PIECE as usize] {
        let mut bytes = [0; PIECE as usize];
        let (start, length) = bytes.split_at_mut(8);
        start.copy_from_slice(&self.start.to_le_bytes());
        length.copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

pub(super) fn header(context: u32, counts: &SplitMeta) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(context.to_le_bytes());
    for count in [counts.tokens, counts.documents, counts.sequences, counts.pieces] {
        bytes.extend(count.to_le_bytes());
    }
    bytes
}

/// An index that can be asked.
pub(super) struct Index {
    map: Map,
    pub(super) counts: SplitMeta,
    context: u32,
}

impl Index {
    /// Opens an index and looks at all of it: nothing that it says leads out of the tokens.
    pub(super) fn open(path: PathBuf, context: u32, counts: SplitMeta) -> Result<Self> {
        let index = Self { map: Map::open(path)?, counts, context };
        let bytes = index.map.bytes();
        if !bytes.starts_with(MAGIC) {
            return Err(index.wrong("it is no index of packed tokens"));
        }
        if !bytes.starts_with(&header(context, &counts)) {
            return Err(index.wrong("it does not belong to this `meta.json`"));
        }
        index.map.must_have(index.ends_at())?;
        index.check()?;
        Ok(index)
    }

    fn wrong(&self, said: impl Into<String>) -> ArtifactError {
        ArtifactError::format(self.map.path(), said).help(AGAIN)
    }

    /// How many bytes there are, where a number can say it.
    fn ends_at(&self) -> Option<u64> {
        let SplitMeta { documents, sequences, pieces, .. } = self.counts;
        let ends = documents.checked_add(sequences)?.checked_mul(8)?;
        ends.checked_add(pieces.checked_mul(PIECE)?)?.checked_add(HEADER)
    }

    fn check(&self) -> Result<()> {
        let SplitMeta { tokens, documents, sequences, pieces } = self.counts;
        let mut last = 0;
        for document in 0..documents {
            let end = self.document_end(document);
            if end <= last || end > tokens {
                return Err(self.wrong(format!("document {document} ends at token {end}, behind {last}")));
            }
            last = end;
        }
        if last != tokens {
            return Err(self.wrong(format!("the documents end at token {last} of {tokens}")));
        }
        let (mut held, mut last) = (0_u64, 0);
        for sequence in 0..sequences {
            let end = self.sequence_end(sequence);
            if end <= last || end > pieces {
                return Err(self.wrong(format!("sequence {sequence} ends at piece {end}, behind {last}")));
            }
            let mut length = 0_u64;
            for piece in (last..end).map(|at| self.piece(at)) {
                let fits = piece.start.checked_add(piece.length.into()).is_some_and(|end| end <= tokens);
                if !fits || piece.length == 0 {
                    return Err(self.wrong(format!("sequence {sequence} holds tokens that are not there")));
                }
                length += u64::from(piece.length);
            }
            if length > self.context.into() {
                return Err(self.wrong(format!("sequence {sequence} has {length} tokens")));
            }
            (held, last) = (held + length, end);
        }
        if last != pieces || held != tokens {
            return Err(self.wrong(format!("the sequences hold {held} tokens of {tokens}")));
        }
        Ok(())
    }

    /// A number of the tables; they were measured when the index was opened.
    fn number(&self, at: u64) -> u64 {
        let bytes = usize::try_from(at).ok().and_then(|at| self.map.bytes().get(at..));
        bytes.and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn document_end(&self, document: u64) -> u64 {
        self.number(HEADER + 8 * document)
    }

    fn sequence_end(&self, sequence: u64) -> u64 {
        self.number(HEADER + 8 * (self.counts.documents + sequence))
    }

    fn piece(&self, piece: u64) -> Piece {
        let at = HEADER + 8 * (self.counts.documents + self.counts.sequences) + PIECE * piece;
        let bytes = usize::try_from(at).ok().and_then(|at| self.map.bytes().get(at + 8..));
        let length = bytes.and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Piece { start: self.number(at), length }
    }

    /// First token of a document, and the one behind its last.
    pub(super) fn document(&self, document: u64) -> std::ops::Range<u64> {
        let start = if document == 0 { 0 } else { self.document_end(document - 1) };
        start..self.document_end(document)
    }

    /// The document that holds a token.
    pub(super) fn document_of(&self, token: u64) -> u64 {
        let (mut low, mut high) = (0, self.counts.documents);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.document_end(middle) <= token { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(super) fn sequence(&self, sequence: u64) -> impl Iterator<Item = Piece> + '_ {
        let first = if sequence == 0 { 0 } else { self.sequence_end(sequence - 1) };
        (first..self.sequence_end(sequence)).map(|at| self.piece(at))
    }
}
