//! The first reading: what the rules say of each document, and the keys by which copies are found.
use crate::fate::Fate;
use crate::inputs::{Bar, Inputs, Item};
use crate::judge::{Judge, said};
use crate::params::{Dedup, Params};
use crate::same::{self, Copies, Same};
use crate::similar::Similar;
use crate::sketch::{Bands, Sketcher, marks};
use muse_artifacts::corpus::{BodyRef, Document, DocumentRef};
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// What is known once all was read.
pub(crate) struct Survey {
    /// Of each document.
    pub(crate) fates: Vec<Fate>,
    /// The bytes of each document, four each, where there is a mix.
    pub(crate) sizes: Option<PathBuf>,
    /// For some copies, what they are copies of.
    pub(crate) copies: Copies,
}

/// What is known of some documents that follow each other. The last three hold what belongs to those that are kept.
#[derive(Default)]
struct Known {
    first: u32,
    bytes: u64,
    fates: Vec<Fate>,
    sizes: Vec<u32>,
    hashes: Vec<[u8; 16]>,
    keys: Vec<u64>,
    marks: Vec<u8>,
}

/// Where copies are looked for.
enum Search {
    Nothing,
    Same(Same),
    Similar(Similar),
}

/// Reads all, and finds the copies.
pub(crate) fn survey(
    context: &mut Context,
    params: &Params,
    inputs: &Inputs,
    bar: &mut Bar,
) -> Result<Survey, StageError> {
    let mut search = match params.dedup {
        Dedup::None => Search::Nothing,
        Dedup::Exact => Search::Same(Same::create(context, inputs.documents)?),
        Dedup::Minhash => Search::Similar(Similar::create(context, &params.minhash, inputs.documents)?),
    };
    let mut sizes = if params.weights.is_empty() { None } else { Some(Sizes::create(context)?) };
    let mut fates: Vec<Fate> = Vec::new();
    let bands = match &search {
        Search::Similar(similar) => Some(similar.bands()),
        _ => None,
    };
    let work = |item: Item<'_>| known(params, bands, item);
    in_order(context.threads(), inputs.items(|_| 1), work, |known: Known| {
        context.go_on()?;
        let first = fates.len();
        if known.first as usize != first {
            let message = "the corpora do not have as many documents as their files say";
            return Err(StageError::new(message).help("one of the parquet files is damaged: make it again"));
        }
        fates.extend(&known.fates);
        if let Some(sizes) = &mut sizes {
            sizes.push(&known.sizes)?;
        }
        match &mut search {
            Search::Nothing => {}
            Search::Same(same) => {
                let kept = known.fates.iter().zip(first..).filter(|(fate, _)| **fate == Fate::Kept);
                for ((_, document), hash) in kept.zip(&known.hashes) {
                    same.push(document as u32, *hash)?;
                }
            }
            Search::Similar(similar) => {
                let bands = similar.bands().bands as usize;
                let places = params.minhash.permutations as usize;
                for (keys, marks) in known.keys.chunks_exact(bands).zip(known.marks.chunks_exact(places)) {
                    similar.push(keys, marks)?;
                }
            }
        }
        bar.add(context, known.bytes);
        Ok(())
    })?;
    let copies = match search {
        Search::Nothing => Copies::new(),
        Search::Same(same) => same.drop_copies(context, &mut fates)?,
        Search::Similar(similar) => similar.drop_copies(context, &mut fates)?,
    };
    let sizes = sizes.map(Sizes::finish).transpose()?;
    Ok(Survey { fates, sizes, copies })
}

fn known(params: &Params, bands: Option<Bands>, item: Item<'_>) -> Result<Known, StageError> {
    let judge = Judge::new(params);
    let mut sketcher = bands.map(|_| Sketcher::new(params.minhash.permutations, params.minhash.ngram));
    let mut known = Known { first: item.first, bytes: item.bytes(), ..Known::default() };
    for batch in item.batches()? {
        let batch = batch?;
        for document in batch.iter() {
            let changed = params.normalize.document(&document);
            let document = changed.as_ref().map_or(document, Document::borrow);
            known.sizes.push(u32::try_from(document.bytes()).unwrap_or(u32::MAX));
            if let Some(failed) = judge.failed(&said(&document)) {
                known.fates.push(Fate::Dropped(failed.rule));
                continue;
            }
            known.fates.push(Fate::Kept);
            if let (Some(sketcher), Some(bands)) = (&mut sketcher, bands) {
                let signature = sketcher.sketch(spoken(&document));
                known.keys.extend(bands.keys(signature));
                known.marks.extend(marks(signature));
            } else if params.dedup == Dedup::Exact {
                known.hashes.push(same::hash(&document));
            }
        }
    }
    Ok(known)
}

/// What documents are compared by: what was said, and of a chat also what else stands beside it, such as calls of
/// tools.
fn spoken<'a>(document: &'a DocumentRef<'a>) -> impl Iterator<Item = &'a str> {
    let messages = match &document.body {
        BodyRef::Text(_) => [].as_slice(),
        BodyRef::Chat(messages) => messages,
    };
    document.texts().chain(messages.iter().filter_map(|message| message.extra))
}

/// Writes the bytes of each document.
struct Sizes {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Sizes {
    fn create(context: &Context) -> Result<Self, StageError> {
        let path = context.work().join("sizes");
        let file = File::create_new(&path).map_err(StageError::io(&path))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    fn push(&mut self, sizes: &[u32]) -> Result<(), StageError> {
        let mut write = || sizes.iter().try_for_each(|size| self.file.write_all(&size.to_le_bytes()));
        write().map_err(StageError::io(&self.path))
    }

    fn finish(mut self) -> Result<PathBuf, StageError> {
        self.file.flush().map_err(StageError::io(&self.path))?;
        Ok(self.path)
    }
}
