//! Reads the text once, by all threads: counts its words, and keeps some of it for the report.
use crate::sample::Sample;
use muse_artifacts::corpus::Piece;
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// About so many bytes of memory may hold words. Text that is not cut by spaces, or by `split`, has ever new ones.
const ROOM: usize = 400 << 20;
/// What a word costs beside its letters, and what each letter costs, here and while merges are learned.
const WORD_COST: usize = 100;
const LETTER_COST: usize = 12;
/// Longer words, such as ten megabytes without a space, are counted in parts: each merge looks at all of a word.
const LONGEST_WORD: usize = 1024;
/// About so many bytes of text are kept to measure on.
const KEEP: u64 = 2 << 20;
/// And of each text no more than this.
const KEEP_OF_EACH: usize = 4096;

/// Different words and how often each was met.
pub(crate) type Table = FxHashMap<Box<[u8]>, u64>;

/// What was read.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) words: Table,
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
    /// There were so many different words that the rest was not read.
    pub(crate) full: bool,
}

/// What one piece gives.
#[derive(Default)]
struct Part {
    words: Table,
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
    count_within(ROOM, context, sample, cut)
}

fn count_within(
    room: usize,
    context: &mut Context,
    sample: &Sample,
    cut: impl Fn(&str, &mut dyn FnMut(&[u8])) -> Result<(), StageError> + Sync,
) -> Result<Counted, StageError> {
    let keep_every = (sample.bytes() / KEEP).max(1);
    let full = AtomicBool::new(false);
    let work = |piece: &(usize, Piece)| {
        let mut part = Part { bytes: piece.1.bytes, ..Part::default() };
        if full.load(Ordering::Relaxed) {
            return Ok(part);
        }
        let mut sources: FxHashMap<String, (u64, u64)> = FxHashMap::default();
        let mut failed = None;
        sample.read(piece, |source, text| {
            let each = &mut |mut word: &[u8]| {
                part.read.words += 1;
                while !word.is_empty() {
                    let (head, rest) = word.split_at(end_of_part(word));
                    match part.words.get_mut(head) {
                        Some(count) => *count += 1,
                        None => _ = part.words.insert(head.into(), 1),
                    }
                    word = rest;
                }
            };
            if failed.is_none() {
                failed = cut(text, each).err();
            }
            part.read.texts += 1;
            part.read.bytes += text.len() as u64;
            keep(&mut sources, &mut part.kept, source, text, keep_every);
        })?;
        failed.map_or(Ok(part), Err)
    };
    let mut counted = Counted::default();
    let (mut done, mut cost) = (0, 0);
    // In the order of the pieces, so that it is the same text that fills the room, whatever thread is quicker.
    in_order(context.threads(), sample.pieces(), work, |part: Part| {
        done += part.bytes;
        context.progress(done, Some(sample.bytes()), "bytes read");
        context.go_on()?;
        if full.load(Ordering::Relaxed) {
            counted.read.full = true;
            return Ok(());
        }
        counted.read.texts += part.read.texts;
        counted.read.bytes += part.read.bytes;
        counted.read.words += part.read.words;
        counted.kept.extend(part.kept);
        for (word, count) in part.words {
            let length = word.len();
            let sum = counted.words.entry(word).or_insert_with(|| {
                cost += WORD_COST + LETTER_COST * length;
                0
            });
            *sum += count;
        }
        full.store(cost > room, Ordering::Relaxed);
        Ok::<_, StageError>(())
    })?;
    counted.read.different_words = counted.words.len() as u64;
    Ok(counted)
}

/// Where a word ends, or its first part, before a character.
fn end_of_part(word: &[u8]) -> usize {
    match word.get(..LONGEST_WORD) {
        Some(head) if word.len() > LONGEST_WORD => {
            let starts = |at: &usize| word.get(*at).is_some_and(|byte| byte & 0xc0 != 0x80);
            (1..=head.len()).rev().find(starts).unwrap_or(head.len())
        }
        _ => word.len(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{context, corpus};

    #[test]
    fn a_word_of_megabytes_is_counted_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        corpus(folder.path(), [("あ".repeat(1 << 20), "test".into())]);
        let sample = Sample::plan([folder.path().to_owned()], u64::MAX).unwrap();
        let mut context = context(folder.path(), 1);
        let counted = count(&mut context, &sample, |text, each| {
            each(text.as_bytes());
            Ok(())
        });
        let words: Vec<_> = counted.unwrap().words.into_iter().collect();
        assert!(
            words.iter().all(|(word, _)| word.len() <= LONGEST_WORD && std::str::from_utf8(word).is_ok())
        );
        assert_eq!(words.iter().map(|(word, count)| word.len() as u64 * count).sum::<u64>(), 3 << 20);
    }

    #[test]
    fn the_same_text_fills_the_room_for_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        let texts = (0..30_u32).map(|text| {
            let words = (0..800).map(|word| format!("{text}-{word}{} ", "x".repeat(800)));
            words.collect::<String>()
        });
        corpus(folder.path(), texts.map(|text| (text, "test".into())));
        let sample = Sample::plan([folder.path().to_owned()], u64::MAX).unwrap();
        assert!(sample.pieces().count() > 1);
        let read = |room, threads| {
            let mut context = context(folder.path(), threads);
            let cut = |text: &str, each: &mut dyn FnMut(&[u8])| {
                text.split(' ').for_each(|word| each(word.as_bytes()));
                Ok(())
            };
            count_within(room, &mut context, &sample, cut).unwrap()
        };
        let all = read(usize::MAX, 2);
        assert!(!all.read.full && all.read.texts == 30);
        let some = read(1 << 20, 1);
        assert!(some.read.full && some.read.texts < 30, "{:?}", some.read);
        assert_eq!(some.words, read(1 << 20, 7).words);
        assert_eq!((some.read.bytes, some.kept), (read(1 << 20, 3).read.bytes, read(1 << 20, 2).kept));
    }
}
