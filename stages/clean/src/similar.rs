//! Near-copies: documents that agree in a band of their signatures are compared, and the similar ones form
//! clusters.
//!
//! Band keys and marks stand on disk; in memory is a number for each document, the earlier one that it belongs
//! to. Bands are looked at in the order of their keys, so that nothing depends on how many parts or threads there
//! are.
use crate::fate::{Fate, Rule};
use crate::params::MinHash;
use crate::same::{COPIES, Copies};
use crate::scatter::{Part, Scatter};
use crate::sketch::{Bands, agreeing};
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Key and number.
const RECORD: usize = 8 + 4;
/// Of documents that agree in a band a new one is compared to so many that are not similar to each other, and no
/// more.
const LEADERS: usize = 16;

/// Takes signatures.
pub(crate) struct Similar {
    scatter: Scatter,
    path: PathBuf,
    marks: BufWriter<File>,
    places: usize,
    agreeing: u32,
    bands: Bands,
    count: u32,
}

impl Similar {
    pub(crate) fn create(context: &Context, minhash: &MinHash, documents: u64) -> Result<Self, StageError> {
        let bands = Bands::choose(minhash.threshold, minhash.permutations);
        let bytes = documents * u64::from(bands.bands) * RECORD as u64;
        let folder = context.work().join("similar");
        let scatter = Scatter::create(folder.clone(), bytes)?;
        let path = folder.join("marks");
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(StageError::io(&path))?;
        Ok(Self {
            scatter,
            path,
            marks: BufWriter::with_capacity(1 << 20, file),
            places: minhash.permutations as usize,
            agreeing: agreeing(minhash.threshold, minhash.permutations),
            bands,
            count: 0,
        })
    }

    pub(crate) fn bands(&self) -> Bands {
        self.bands
    }

    /// Takes the next document that no rule has dropped.
    pub(crate) fn push(&mut self, keys: &[u64], marks: &[u8]) -> Result<(), StageError> {
        let number = self.count;
        self.count += 1;
        self.marks.write_all(marks).map_err(StageError::io(&self.path))?;
        for key in keys {
            self.scatter.push(*key, |record| {
                record.extend(key.to_be_bytes());
                record.extend(number.to_be_bytes());
            })?;
        }
        Ok(())
    }

    /// Drops all but the first of each cluster.
    pub(crate) fn drop_copies(self, context: &Context, fates: &mut [Fate]) -> Result<Copies, StageError> {
        let file = self.marks.into_inner().map_err(|error| StageError::io(&self.path)(error.into_error()))?;
        let mut compare = Compare { file, path: self.path, places: self.places, agreeing: self.agreeing };
        let mut belongs = Belongs((0..self.count).collect());
        in_order(
            context.threads().min(2),
            self.scatter.finish()?.into_iter(),
            groups,
            |groups: Vec<Vec<u32>>| {
                context.go_on()?;
                groups.iter().try_for_each(|group| compare.group(group, &mut belongs))
            },
        )?;
        Ok(belongs.apply(fates))
    }
}

/// The documents of each band key that several have.
fn groups(part: Part) -> Result<Vec<Vec<u32>>, StageError> {
    let bytes = part.take()?;
    let (records, _) = bytes.as_chunks::<RECORD>();
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let mut records: Vec<(u64, u32)> =
        records.iter().map(|record| (number(&record[..8]), number(&record[8..]) as u32)).collect();
    records.sort_unstable();
    let groups = records.chunk_by(|one, next| one.0 == next.0).filter(|group| group.len() > 1);
    Ok(groups.map(|group| group.iter().map(|(_, document)| *document).collect()).collect())
}

/// Compares documents by their marks.
struct Compare {
    file: File,
    path: PathBuf,
    places: usize,
    agreeing: u32,
}

impl Compare {
    /// Joins the similar ones among documents that agree in a band.
    fn group(&mut self, group: &[u32], belongs: &mut Belongs) -> Result<(), StageError> {
        let mut leaders: Vec<(u32, Vec<u8>)> = Vec::new();
        for document in group {
            let known = belongs.to(*document);
            if leaders.iter().any(|(leader, _)| belongs.to(*leader) == known) {
                continue;
            }
            let mut marks = vec![0; self.places];
            let at = u64::from(*document) * self.places as u64;
            self.file.read_exact_at(&mut marks, at).map_err(StageError::io(&self.path))?;
            let mut alone = true;
            for (leader, other) in &leaders {
                let same: u32 = marks.iter().zip(other).map(|(a, b)| u32::from(a == b)).sum();
                if same >= self.agreeing {
                    belongs.join(*leader, *document);
                    alone = false;
                }
            }
            if alone && leaders.len() < LEADERS {
                leaders.push((*document, marks));
            }
        }
        Ok(())
    }
}

/// Clusters: each document names an earlier one of its cluster, the first names itself.
struct Belongs(Vec<u32>);

impl Belongs {
    /// The first of the cluster.
    fn to(&mut self, document: u32) -> u32 {
        let mut at = document as usize;
        loop {
            let above = self.0[at] as usize;
            if above == at {
                return at as u32;
            }
            // Halve the path on the way.
            self.0[at] = self.0[above];
            at = above;
        }
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.to(one), self.to(other));
        self.0[one.max(other) as usize] = one.min(other);
    }

    /// Drops what is not the first of its cluster. Numbers here are those of the documents that were kept so far.
    fn apply(mut self, fates: &mut [Fate]) -> Copies {
        let (mut copies, mut number) = (Copies::new(), 0);
        for (document, fate) in fates.iter_mut().enumerate().filter(|(_, fate)| **fate == Fate::Kept) {
            let first = self.to(number);
            if first != number {
                *fate = Fate::Dropped(Rule::Near);
                if copies.len() < COPIES {
                    copies.insert(document as u32, first);
                }
            }
            number += 1;
        }
        let here = |fate: &Fate| matches!(fate, Fate::Kept | Fate::Dropped(Rule::Near));
        let mut documents =
            fates.iter().zip(0u32..).filter(|(fate, _)| here(fate)).map(|(_, document)| document);
        let firsts: BTreeSet<u32> = copies.values().copied().collect();
        let mut last = None;
        let found: BTreeMap<u32, u32> = firsts
            .into_iter()
            .filter_map(|first| {
                let step = first - last.map_or(0, |last: u32| last + 1);
                last = Some(first);
                documents.nth(step as usize).map(|document| (first, document))
            })
            .collect();
        copies.values_mut().for_each(|first| *first = found.get(first).copied().unwrap_or_default());
        copies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_keep_their_first() {
        let mut belongs = Belongs((0..6).collect());
        for (one, other) in [(4, 5), (1, 3), (5, 3)] {
            belongs.join(one, other);
        }
        assert_eq!((0..6).map(|one| belongs.to(one)).collect::<Vec<_>>(), [0, 1, 2, 1, 1, 1]);
        let language = Fate::Dropped(Rule::Language);
        let near = Fate::Dropped(Rule::Near);
        let mut fates =
            [language, Fate::Kept, language, Fate::Kept, Fate::Kept, Fate::Kept, Fate::Kept, Fate::Kept];
        let copies = belongs.apply(&mut fates);
        assert_eq!(fates, [language, Fate::Kept, language, Fate::Kept, Fate::Kept, near, near, near]);
        assert_eq!(copies, Copies::from([(5, 3), (6, 3), (7, 3)]));
    }
}
