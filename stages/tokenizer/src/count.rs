//! Reads the text once, by all threads: counts its words, and keeps some of it for the report.
use crate::sample::Sample;
use muse_artifacts::corpus::Piece;
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::Serialize;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

/// Words are counted in so many tables, so that threads seldom wait for each other.
const TABLES: usize = 64;
/// Words of a text go to the tables when there are about so many.
const GATHER: usize = 1 << 16;
/// About so many bytes of text are kept to measure on.
const KEEP: u64 = 2 << 20;
/// And of each text no more than this.
const KEEP_OF_EACH: usize = 4096;

/// Different words and how often each was met.
pub(crate) type Table = FxHashMap<Box<[u8]>, u64>;

/// What was read.
pub(crate) struct Counted {
    pub(crate) tables: Vec<Table>,
    pub(crate) read: Read,
    /// Texts to measure on: their source and what they say.
    pub(crate) kept: Vec<(String, String)>,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Read {
    /// Texts: documents, turns of chats, parts of long documents.
    pub(crate) texts: u64,
    /// In UTF-8.
    pub(crate) bytes: u64,
    /// With repetition.
    pub(crate) words: u64,
    /// Without.
    pub(crate) different_words: u64,
}

/// What one piece gives.
#[derive(Default)]
struct Part {
    read: Read,
    kept: Vec<(String, String)>,
    bytes: u64,
}

/// Reads the sample. `cut` hands the words of a text to its second argument.
pub(crate) fn count(
    context: &mut Context,
    sample: &Sample,
    cut: impl Fn(&str, &mut dyn FnMut(&[u8])) -> Result<(), StageError> + Sync,
) -> Result<Counted, StageError> {
    let tables: Vec<Mutex<Table>> = (0..TABLES).map(|_| Mutex::default()).collect();
    let keep_every = (sample.bytes() / KEEP).max(1);
    let mut counted = Counted { tables: Vec::new(), read: Read::default(), kept: Vec::new() };
    let mut done = 0;
    let work = |piece: &(usize, Piece)| {
        let mut part = Part { bytes: piece.1.bytes, ..Part::default() };
        let mut words = Gathered { tables: &tables, words: Table::default() };
        let mut sources: FxHashMap<String, (u64, u64)> = FxHashMap::default();
        let mut failed = None;
        sample.read(piece, |source, text| {
            let each = &mut |word: &[u8]| {
                part.read.words += 1;
                words.add(word);
            };
            if failed.is_none() {
                failed = cut(text, each).err();
            }
            part.read.texts += 1;
            part.read.bytes += text.len() as u64;
            keep(&mut sources, &mut part.kept, source, text, keep_every);
        })?;
        words.flush();
        failed.map_or(Ok(part), Err)
    };
    in_order(context.threads(), sample.pieces(), work, |part: Part| {
        done += part.bytes;
        context.progress(done, Some(sample.bytes()), "bytes read");
        counted.read.texts += part.read.texts;
        counted.read.bytes += part.read.bytes;
        counted.read.words += part.read.words;
        counted.kept.extend(part.kept);
        context.go_on()
    })?;
    counted.tables =
        tables.into_iter().map(|table| table.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    counted.read.different_words = counted.tables.iter().map(|table| table.len() as u64).sum();
    Ok(counted)
}

/// Keeps the first text of a source in this piece, and then so many that they are one byte of `every`.
fn keep(
    sources: &mut FxHashMap<String, (u64, u64)>,
    kept: &mut Vec<(String, String)>,
    source: &str,
    text: &str,
    every: u64,
) {
    if !sources.contains_key(source) {
        sources.insert(source.to_owned(), (0, 0));
    }
    let Some((taken, seen)) = sources.get_mut(source) else { return };
    if taken.saturating_mul(every) <= *seen {
        let text = &text[..text.floor_char_boundary(KEEP_OF_EACH)];
        *taken += text.len() as u64;
        kept.push((source.to_owned(), text.to_owned()));
    }
    *seen += text.len() as u64;
}

/// Words that one thread met lately.
struct Gathered<'a> {
    tables: &'a [Mutex<Table>],
    words: Table,
}

impl Gathered<'_> {
    #[inline]
    fn add(&mut self, word: &[u8]) {
        if let Some(count) = self.words.get_mut(word) {
            *count += 1;
            return;
        }
        if self.words.len() >= GATHER {
            self.flush();
        }
        self.words.insert(word.into(), 1);
    }

    fn flush(&mut self) {
        let mut by_table: Vec<Vec<(Box<[u8]>, u64)>> = (0..TABLES).map(|_| Vec::new()).collect();
        for (word, count) in self.words.drain() {
            let hash = FxBuildHasher.hash_one(&word);
            // Bits from the middle: a table itself goes by those at both ends.
            by_table[(hash >> 40) as usize % TABLES].push((word, count));
        }
        for (table, words) in self.tables.iter().zip(by_table) {
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            for (word, count) in words {
                *table.entry(word).or_default() += count;
            }
        }
    }
}
