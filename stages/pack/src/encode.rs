//! The first pass over corpora: every document to tokens, by all threads, in the corpus's order.
use crate::run::{Rules, Sides};
use crate::tally::{Part, Tally};
use muse_artifacts::corpus::{Batch, BodyRef, Corpus, DocumentRef, Piece};
use muse_artifacts::tokens::Block;
use muse_artifacts::{ArtifactError, in_order};
use muse_stage::{Context, StageError};

/// Pieces up to so many bytes are read by the thread that encodes them. Larger ones, which others write, are read
/// batch by batch and shared among threads, so that no thread holds more than this.
const LARGE: u64 = 16 << 20;

/// Work for one thread, with the number of its first document.
enum Item<'c> {
    Piece(&'c Corpus, &'c Piece, u64),
    Batch(Box<Batch>, u64, u64),
}

/// What a thread made.
struct Encoded {
    train: Block,
    validation: Block,
    tally: Tally,
    bytes: u64,
}

type Items<'c> = Box<dyn Iterator<Item = Result<Item<'c>, ArtifactError>> + Send + 'c>;

pub(crate) fn encode(
    context: &mut Context,
    corpora: &[Corpus],
    rules: &Rules,
    sides: &mut Sides,
) -> Result<Tally, StageError> {
    let total = corpora.iter().flat_map(Corpus::pieces).map(|piece| piece.bytes).sum();
    let (mut done, mut tally) = (0, Tally::default());
    let threads = context.threads();
    let work = |item: Result<Item<'_>, ArtifactError>| encode_item(rules, item?);
    in_order(threads, items(corpora, LARGE), work, |encoded| {
        sides.train.append(&encoded.train)?;
        sides.validation.append(&encoded.validation)?;
        tally.add(encoded.tally);
        done += encoded.bytes;
        context.progress(done, Some(total), "bytes");
        context.go_on()
    })?;
    Ok(tally)
}

fn items(corpora: &[Corpus], large: u64) -> impl Iterator<Item = Result<Item<'_>, ArtifactError>> + Send {
    let pieces = corpora.iter().flat_map(|corpus| corpus.pieces().iter().map(move |piece| (corpus, piece)));
    let numbered = pieces.scan(0, |next, (corpus, piece)| {
        let first = *next;
        *next += piece.documents;
        Some((corpus, piece, first))
    });
    numbered.flat_map(move |(corpus, piece, first)| -> Items<'_> {
        if piece.bytes <= large {
            return Box::new(std::iter::once(Ok(Item::Piece(corpus, piece, first))));
        }
        let each = piece.bytes / piece.documents.max(1);
        match corpus.read(piece) {
            Ok(batches) => Box::new(batches.scan(first, move |next, batch| {
                Some(batch.map(|batch| {
                    let (first, documents) = (*next, batch.len() as u64);
                    *next += documents;
                    Item::Batch(Box::new(batch), first, documents * each)
                }))
            })),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    })
}

fn encode_item(rules: &Rules, item: Item<'_>) -> Result<Encoded, StageError> {
    let block = || Block::new(rules.dtype, rules.masked);
    let mut encoded = Encoded { train: block(), validation: block(), tally: Tally::default(), bytes: 0 };
    match item {
        Item::Piece(corpus, piece, mut number) => {
            encoded.bytes = piece.bytes;
            for batch in corpus.read(piece)? {
                let batch = batch?;
                encode_batch(rules, &batch, number, &mut encoded)?;
                number += batch.len() as u64;
            }
        }
        Item::Batch(batch, number, bytes) => {
            encoded.bytes = bytes;
            encode_batch(rules, &batch, number, &mut encoded)?;
        }
    }
    Ok(encoded)
}

fn encode_batch(rules: &Rules, batch: &Batch, first: u64, out: &mut Encoded) -> Result<(), StageError> {
    let (mut ids, mut learned) = (Vec::new(), Vec::new());
    for (number, document) in (first..).zip(batch.iter()) {
        ids.clear();
        let failed = |error| wrong(number, &document, error);
        let chat = match &document.body {
            BodyRef::Text(text) => {
                rules.tokenizer.encode_into(text, &mut ids).map_err(failed)?;
                false
            }
            BodyRef::Chat(messages) if messages.is_empty() => false,
            BodyRef::Chat(messages) => {
                let chat = rules.tokenizer.encode_chat(messages).map_err(failed)?;
                (ids, learned) = (chat.ids, chat.learned);
                true
            }
        };
        if ids.is_empty() {
            out.tally.empty += 1;
            continue;
        }
        if ids.last() != Some(&rules.end_of_text) {
            ids.push(rules.end_of_text);
            learned.push(false);
        }
        let held_back = rules.chooser.holds_back(number, &mut out.tally.seen);
        let block = if held_back { &mut out.validation } else { &mut out.train };
        block.push(&ids, chat.then_some(learned.as_slice()));
        out.tally.chats += u64::from(chat);
        let part = Part {
            documents: 1,
            tokens: ids.len() as u64,
            bytes: document.bytes() as u64,
            characters: document.characters(),
        };
        out.tally.document(document.source, &part);
    }
    Ok(())
}

fn wrong(number: u64, document: &DocumentRef<'_>, error: ArtifactError) -> StageError {
    match error {
        ArtifactError::Format { message, help, .. } => {
            let said = format!("document {number}, of `{}`: {message}", document.source);
            let error = StageError::new(said);
            match help {
                Some(help) => error.help(help),
                None => error,
            }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::{CorpusWriter, Document};

    #[test]
    fn large_pieces_are_shared_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let corpora: Vec<Corpus> = [20_000, 0, 3]
            .into_iter()
            .enumerate()
            .map(|(number, count)| {
                let path = folder.path().join(number.to_string());
                let mut writer = CorpusWriter::create(&path).unwrap();
                for at in 0..count {
                    writer.push(&Document::text(format!("{number} {at}"), "made").borrow()).unwrap();
                }
                writer.finish(serde_json::json!({})).unwrap();
                Corpus::open(&path).unwrap()
            })
            .collect();
        let numbered = |item: Result<Item<'_>, ArtifactError>| match item.unwrap() {
            Item::Piece(_, piece, first) => (first, piece.documents),
            Item::Batch(batch, first, _) => (first, batch.len() as u64),
        };
        let whole: Vec<_> = items(&corpora, u64::MAX).map(numbered).collect();
        assert_eq!(
            whole.iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(),
            [&(0, 20_000), &(20_000, 3)]
        );
        let parts: Vec<_> = items(&corpora, 0).map(numbered).collect();
        assert!(parts.len() > 3, "{parts:?}");
        let mut next = 0;
        for (first, count) in parts {
            assert_eq!(first, next);
            next += count;
        }
        assert_eq!(next, 20_003);
    }
}
