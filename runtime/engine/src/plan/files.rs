//! The input files of all wanted stages: found once for each pattern, hashed once for each file.
use crate::diagnostic::Diagnostic;
use crate::document::{FileInput, Pipeline};
use crate::key::{FileEntry, files_digest};
use muse_store::{Digest, Store};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A set of input files with their content's digests.
#[derive(Debug)]
pub struct ResolvedFiles {
    /// One file, not a folder of them.
    pub single: bool,
    /// Name below the fixed part, place, digest, executable bit, size; sorted by name.
    pub files: Vec<ResolvedFile>,
    /// The digest of the whole.
    pub digest: Digest,
}

/// One input file.
#[derive(Debug)]
pub struct ResolvedFile {
    /// Its name below the fixed part of the glob.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its content.
    pub digest: Digest,
    /// Its executable bit.
    pub executable: bool,
    /// Its size.
    pub bytes: u64,
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
        let mut numbers: HashMap<(&std::path::Path, &str), usize> = HashMap::new();
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
        let paths: Vec<PathBuf> =
            expanded.iter().flat_map(|set| set.files.iter().map(|(_, path)| path.clone())).collect();
        let mut hashes = store.index().digests(&paths).into_iter();
        let (mut hashed, total) = (0, paths.len());
        let mut resolved = Vec::new();
        for (set, input) in expanded.into_iter().zip(&patterns) {
            let mut files = Vec::with_capacity(set.files.len());
            for ((name, path), hash) in set.files.iter().cloned().zip(&mut hashes) {
                match hash {
                    Ok(hash) => {
                        hashed += usize::from(hash.hashed_now);
                        let (digest, executable, bytes) = (hash.digest, hash.executable, hash.bytes);
                        files.push(ResolvedFile { name, path, digest, executable, bytes });
                    }
                    Err(error) => {
                        let message = format!("cannot read an input file: {error}");
                        problems.push(Diagnostic::at(input.place.clone(), message));
                    }
                }
            }
            let entries = files.iter().map(|file| FileEntry {
                name: if set.single { "" } else { &file.name },
                executable: file.executable,
                digest: file.digest,
            });
            let digest = files_digest(set.single, entries);
            resolved.push(Arc::new(ResolvedFiles { single: set.single, files, digest }));
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
