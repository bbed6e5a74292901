//! The first pass over tokens that users have: flat files, with or without an index of documents.
use crate::run::{Rules, Sides};
use crate::tally::{Part, Tally};
use muse_artifacts::tokens::Dtype;
use muse_artifacts::tokens::raw::{Flat, muse_lengths};
use muse_stage::{Context, StageError};
use std::fs;
use std::path::{Path, PathBuf};

/// A flat file and its index, where it has one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Brought {
    bin: PathBuf,
    idx: Option<PathBuf>,
    dtype: Dtype,
}

/// A file, or every `*.bin` of a folder, by name.
pub(crate) fn find(path: &Path, dtype: Dtype) -> Result<Vec<Brought>, StageError> {
    if path.is_file() {
        return Ok(vec![Brought { bin: path.to_owned(), idx: None, dtype }]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(StageError::io(&folder))? {
            let path = entry.map_err(StageError::io(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "bin") {
                let idx = path.with_extension("idx");
                found.push(Brought { idx: idx.is_file().then_some(idx), bin: path, dtype });
            }
        }
    }
    found.sort_by(|a, b| a.bin.cmp(&b.bin));
    if found.is_empty() {
        let said = "`tokens` names a folder without a file `*.bin`";
        return Err(StageError::new(said).help("name flat files of tokens, such as `data/*.bin`"));
    }
    Ok(found)
}

/// Writes all files' documents.
pub(crate) fn bring(
    context: &mut Context,
    files: &[Brought],
    rules: &Rules,
    sides: &mut Sides,
) -> Result<Tally, StageError> {
    let open = |file: &Brought| Flat::open(&file.bin, file.dtype);
    let flats = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let (mut done, total) = (0, flats.iter().map(Flat::tokens).sum());
    let mut taker = Taker { rules, sides, tally: Tally::default(), number: 0, open: None };
    for (file, mut flat) in files.iter().zip(flats) {
        let mut progress = |read: usize| {
            done += read as u64;
            context.progress(done, Some(total), "tokens");
            context.go_on()
        };
        match &file.idx {
            Some(idx) => taker.indexed(&mut flat, idx, &mut progress)?,
            None => taker.ended(&mut flat, &mut progress)?,
        }
    }
    Ok(taker.tally)
}

/// Takes tokens in any portions, so that a document may be larger than memory.
struct Taker<'a> {
    rules: &'a Rules,
    sides: &'a mut Sides,
    tally: Tally,
    /// How many documents came, empty ones too.
    number: u64,
    open: Option<Open>,
}

/// A document that is being written.
struct Open {
    held_back: bool,
    tokens: u64,
    last: Option<u32>,
}

type Progress<'p> = dyn FnMut(usize) -> Result<(), StageError> + 'p;

impl Taker<'_> {
    /// Documents are what an index says.
    fn indexed(
        &mut self,
        flat: &mut Flat,
        idx: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<(), StageError> {
        for length in muse_lengths(idx, flat.tokens())? {
            let length = length?;
            let mut left = length;
            while left > 0 {
                let ids = flat.read(left, self.rules.vocab_size)?;
                left -= ids.len() as u64;
                if length > 1 || ids.first() != Some(&self.rules.end_of_text) {
                    self.tokens(&ids)?;
                }
                progress(ids.len())?;
            }
            self.end()?;
        }
        Ok(())
    }

    /// Documents end behind each end of text, and with the file.
    fn ended(&mut self, flat: &mut Flat, progress: &mut Progress<'_>) -> Result<(), StageError> {
        let end_of_text = self.rules.end_of_text;
        while flat.done() < flat.tokens() {
            let ids = flat.read(u64::MAX, self.rules.vocab_size)?;
            for part in ids.split_inclusive(|id| *id == end_of_text) {
                let ends = part.last() == Some(&end_of_text);
                if !ends || part.len() > 1 || self.open.is_some() {
                    self.tokens(part)?;
                }
                if ends {
                    self.end()?;
                }
            }
            progress(ids.len())?;
        }
        if self.open.is_some() { self.end() } else { Ok(()) }
    }

    fn tokens(&mut self, ids: &[u32]) -> Result<(), StageError> {
        let (rules, number, seen) = (self.rules, self.number, &mut self.tally.seen);
        let begin = || Open { held_back: rules.chooser.holds_back(number, seen), tokens: 0, last: None };
        let open = self.open.get_or_insert_with(begin);
        open.tokens += ids.len() as u64;
        open.last = ids.last().copied().or(open.last);
        Ok(self.sides.side(open.held_back).tokens(ids)?)
    }

    /// Ends the document that is open; without one it was empty.
    fn end(&mut self) -> Result<(), StageError> {
        self.number += 1;
        let Some(mut open) = self.open.take() else {
            self.tally.empty += 1;
            return Ok(());
        };
        let side = self.sides.side(open.held_back);
        if open.last != Some(self.rules.end_of_text) {
            side.tokens(&[self.rules.end_of_text])?;
            open.tokens += 1;
        }
        side.end()?;
        self.tally.document("tokens", &Part { documents: 1, tokens: open.tokens, ..Part::default() });
        Ok(())
    }
}
