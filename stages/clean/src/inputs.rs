//! The corpora at the port, and their documents in pieces that fit in memory, numbered through.
use muse_artifacts::corpus::{Batch, Corpus, Piece};
use muse_artifacts::{ArtifactError, Result as ArtifactResult};
use muse_stage::{Context, StageError};
use std::ops::Range;

/// A piece that has more bytes is handed out batch by batch: not all who write parquet write small row groups.
const LARGE_PIECE: u64 = 64 << 20;

/// All corpora, in the pipeline's order.
pub(crate) struct Inputs {
    pub(crate) entries: Vec<Entry>,
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
    /// Larger pieces are handed out batch by batch.
    large: u64,
}

/// One of them.
pub(crate) struct Entry {
    /// The stage that it is from; empty where the port is no list.
    pub(crate) name: String,
    corpus: Corpus,
    /// About how many bytes it has.
    pub(crate) bytes: u64,
    /// The numbers of its documents.
    pub(crate) documents: Range<u32>,
}

/// Some documents that follow each other.
pub(crate) struct Item<'a> {
    pub(crate) entry: usize,
    /// 0 the first time that these documents come.
    pub(crate) round: u32,
    /// The number of the first.
    pub(crate) first: u32,
    part: ItemPart<'a>,
}

enum ItemPart<'a> {
    Piece(&'a Corpus, Piece),
    Batch(Box<ArtifactResult<Batch>>, u64),
}

impl Inputs {
    pub(crate) fn open(context: &Context) -> Result<Self, StageError> {
        let (mut entries, mut documents, mut bytes) = (Vec::new(), 0u64, 0u64);
        for (name, path) in context.entries("corpus") {
            let corpus = Corpus::open(&path)?;
            let end = documents + corpus.documents();
            let (Ok(start), Ok(stop)) = (u32::try_from(documents), u32::try_from(end)) else {
                return Err(StageError::new(format!(
                    "{end} documents are more than one `clean` can take, which is {}",
                    u32::MAX
                ))
                .help("clean the corpora in several stages, each by itself"));
            };
            let here = corpus.pieces().iter().fold(0u64, |sum, piece| sum.saturating_add(piece.bytes));
            bytes = bytes.saturating_add(here);
            documents = end;
            entries.push(Entry { name, corpus, bytes: here, documents: start..stop });
        }
        if documents == 0 {
            return Err(StageError::new("there is nothing to clean: the corpora have no documents"));
        }
        Ok(Self { entries, documents, bytes, large: LARGE_PIECE })
    }

    /// All documents; of an entry as many times as `rounds` says, the second time behind everything of the first.
    pub(crate) fn items(
        &self,
        rounds: impl Fn(usize) -> u32 + Send,
    ) -> impl Iterator<Item = Item<'_>> + Send {
        let most = (0..self.entries.len()).map(&rounds).max().unwrap_or_default();
        let turns = (0..most)
            .flat_map(|round| self.entries.iter().enumerate().map(move |(at, entry)| (round, at, entry)));
        turns
            .filter(move |(round, at, _)| *round < rounds(*at))
            .flat_map(|(round, at, entry)| entry.items(at, round, self.large))
    }
}

impl Entry {
    fn items(&self, entry: usize, round: u32, large: u64) -> impl Iterator<Item = Item<'_>> + Send {
        let mut next = self.documents.start;
        self.corpus.pieces().iter().flat_map(move |piece| {
            let first = next;
            next = next.saturating_add(u32::try_from(piece.documents).unwrap_or(u32::MAX));
            let item = move |first, part| Item { entry, round, first, part };
            if piece.bytes <= large {
                let one = item(first, ItemPart::Piece(&self.corpus, *piece));
                return Box::new(std::iter::once(one)) as Box<dyn Iterator<Item = Item<'_>> + Send>;
            }
            let each = piece.bytes / piece.documents.max(1);
            match self.corpus.read(piece) {
                Err(error) => {
                    Box::new(std::iter::once(item(first, ItemPart::Batch(Box::new(Err(error)), 0))))
                }
                Ok(batches) => {
                    let mut at = first;
                    Box::new(batches.map(move |batch| {
                        let documents = batch.as_ref().map_or(0, Batch::len);
                        let first = at;
                        at = at.saturating_add(u32::try_from(documents).unwrap_or(u32::MAX));
                        item(first, ItemPart::Batch(Box::new(batch), each * documents as u64))
                    }))
                }
            }
        })
    }
}

impl<'a> Item<'a> {
    /// About how many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.part {
            ItemPart::Piece(_, piece) => piece.bytes,
            ItemPart::Batch(_, bytes) => *bytes,
        }
    }

    /// Reads its documents.
    pub(crate) fn batches(
        self,
    ) -> Result<Box<dyn Iterator<Item = Result<Batch, ArtifactError>> + 'a>, StageError> {
        Ok(match self.part {
            ItemPart::Piece(corpus, piece) => Box::new(corpus.read(&piece)?),
            ItemPart::Batch(batch, _) => Box::new(std::iter::once(*batch)),
        })
    }
}

/// How far the stage is, in bytes read over all readings.
pub(crate) struct Bar {
    done: u64,
    total: u64,
}

impl Bar {
    pub(crate) fn new(total: u64) -> Self {
        Self { done: 0, total }
    }

    /// Changes how much there will be, now that more is known.
    pub(crate) fn expect(&mut self, total: u64) {
        self.total = total.max(self.done);
    }

    pub(crate) fn add(&mut self, context: &mut Context, bytes: u64) {
        // What a file says of its size is not to be trusted.
        self.done = self.done.saturating_add(bytes).min(self.total.saturating_sub(1));
        context.progress(self.done, Some(self.total), "bytes");
    }

    pub(crate) fn finish(self, context: &mut Context) {
        context.progress(self.total, Some(self.total), "bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::{CorpusWriter, Document};

    #[test]
    fn large_pieces_come_batch_by_batch_with_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = CorpusWriter::create(folder.path()).unwrap();
        for number in 0..20_000 {
            let text = format!("{number} ").repeat(200);
            writer.push(&Document::text(text, "s").borrow()).unwrap();
        }
        writer.finish(serde_json::json!({})).unwrap();
        let open = |large| {
            let corpus = Corpus::open(folder.path()).unwrap();
            let (documents, bytes) = (corpus.documents(), 0);
            let half = u32::try_from(documents).unwrap();
            let again = Entry {
                bytes,
                name: "b".into(),
                corpus: Corpus::open(folder.path()).unwrap(),
                documents: half..2 * half,
            };
            let entries = vec![Entry { name: "a".into(), corpus, bytes, documents: 0..half }, again];
            Inputs { entries, documents: 2 * documents, bytes, large }
        };
        for (large, least) in [(u64::MAX, 4), (0, 8)] {
            let inputs = open(large);
            let (mut items, mut next) = (0, 0);
            for item in inputs.items(|_| 1) {
                items += 1;
                assert_eq!(item.first, next);
                for batch in item.batches().unwrap() {
                    for document in batch.unwrap().iter() {
                        let number: u32 =
                            document.texts().next().unwrap().split(' ').next().unwrap().parse().unwrap();
                        assert_eq!(number, next % 20_000);
                        next += 1;
                    }
                }
            }
            assert!(next == 40_000 && items >= least, "{items} items");
            let rounds: Vec<(u32, usize)> =
                inputs.items(|entry| 1 + entry as u32).map(|item| (item.round, item.entry)).collect();
            assert!(rounds.is_sorted() && rounds.last() == Some(&(1, 1)) && !rounds.contains(&(1, 0)));
        }
    }
}
