//! The input files of all wanted stages: found once for each pattern, hashed once for each file.
use crate::diagnostic::Diagnostic;
use crate::document::{FileInput, FileSet, Pipeline};
use crate::key::{FileEntry, files_digest};
use muse_store::{Digest, Hashed, Store};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A set of input files with their content's digests.
#[derive(Debug)]
pub struct ResolvedFiles {
    found: Arc<FileSet>,
    hashes: Vec<Hashed>,
    /// The digest of the whole.
    pub digest: Digest,
}

/// One input file.
#[derive(Clone, Copy, Debug)]
pub struct ResolvedFile<'a> {
    /// Its name below the fixed part of the glob.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a Path,
    /// Its content.
    pub digest: Digest,
    /// Its executable bit.
    pub executable: bool,
    /// Its size.
    pub bytes: u64,
}

impl ResolvedFiles {
    fn new(found: Arc<FileSet>, hashes: Vec<Hashed>) -> Self {
        let mut set = Self { found, hashes, digest: Digest::of_bytes(b"") };
        let entries = set.files().map(|file| FileEntry {
            name: if set.single() { "" } else { file.name },
            executable: file.executable,
            digest: file.digest,
        });
        set.digest = files_digest(set.single(), entries);
        set
    }

    /// One file, not a folder of them.
    pub fn single(&self) -> bool {
        self.found.single
    }

    /// The files, sorted by name.
    pub fn files(&self) -> impl ExactSizeIterator<Item = ResolvedFile<'_>> {
        self.found.files.iter().zip(&self.hashes).map(|((name, path), hash)| ResolvedFile {
            name,
            path,
            digest: hash.digest,
            executable: hash.executable,
            bytes: hash.bytes,
        })
    }
}

/// For each wanted stage its sets by name.
#[derive(Default)]
pub struct FileSets {
    sets: HashMap<usize, Vec<(String, Arc<ResolvedFiles>)>>,
    /// How many files were read, where the stat index did not vouch for them.
    pub hashed: usize,
    /// How many files there are.
    pub total: usize,
}

impl FileSets {
    /// Finds and hashes the input files of `stages`.
    pub fn resolve(pipeline: &Pipeline, stages: &[usize], store: &Store) -> Result<Self, Vec<Diagnostic>> {
        // Stages that name the same pattern share one set.
        let mut patterns: Vec<&FileInput> = Vec::new();
        let mut numbers: HashMap<(&Path, &str), usize> = HashMap::new();
        for input in stages.iter().flat_map(|&stage| &pipeline.stages[stage].files) {
            numbers.entry((&input.folder, &input.text)).or_insert_with(|| {
                patterns.push(input);
                patterns.len() - 1
            });
        }
        let found: Vec<_> = patterns.par_iter().map(|input| input.expand()).collect();
        let mut problems = Vec::new();
        let mut expanded = Vec::new();
        for set in found {
            set.map_or_else(|problem| problems.push(problem), |set| expanded.push(set));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let paths: Vec<&PathBuf> =
            expanded.iter().flat_map(|set| set.files.iter().map(|(_, path)| path)).collect();
        let read: Vec<_> = paths.par_iter().with_min_len(32).map(|path| store.index().digest(path)).collect();
        let (mut read, total) = (read.into_iter(), paths.len());
        let mut hashed = 0;
        let mut resolved = Vec::with_capacity(expanded.len());
        for (set, input) in expanded.into_iter().zip(&patterns) {
            let mut hashes = Vec::with_capacity(set.files.len());
            for hash in read.by_ref().take(set.files.len()) {
                match hash {
                    Ok(hash) => {
                        hashed += usize::from(hash.hashed_now);
                        hashes.push(hash);
                    }
                    Err(error) => {
                        let message = format!("cannot read an input file: {error}");
                        problems.push(Diagnostic::at(input.place.clone(), message));
                    }
                }
            }
            resolved.push(Arc::new(ResolvedFiles::new(set, hashes)));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut sets: HashMap<usize, Vec<(String, Arc<ResolvedFiles>)>> = HashMap::new();
        for &stage in stages {
            for input in &pipeline.stages[stage].files {
                let number = numbers[&(input.folder.as_path(), input.text.as_str())];
                sets.entry(stage).or_default().push((input.name.clone(), Arc::clone(&resolved[number])));
            }
        }
        Ok(Self { sets, hashed, total })
    }

    /// The sets of one stage by name.
    pub fn of(&self, stage: usize) -> impl Iterator<Item = (&str, &Arc<ResolvedFiles>)> {
        self.sets.get(&stage).into_iter().flatten().map(|(name, set)| (name.as_str(), set))
    }
}
