//! What an earlier run told of the same work: who goes on from its checkpoint sees its part of the curve too.
use super::row::Row;
use super::trail::Trail;
use crate::run::file_name;
use crate::view::history;
use muse_store::Store;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Puts what an earlier run told of the steps before `step` on a trail. One that went on from another has that one's
/// lines too, so one is enough.
pub(super) fn carry_over(lines: &Path, step: u64, trail: &mut Trail) {
    for (row, line) in rows(lines, step) {
        trail.keep(&row, &line);
    }
}

/// How far these lines reach before `step`.
pub(super) fn reach(lines: &Path, step: u64) -> Option<u64> {
    rows(lines, step).map(|(row, _)| row.step).max()
}

fn rows(lines: &Path, step: u64) -> impl Iterator<Item = (Row, Vec<u8>)> {
    let lines = File::open(lines).into_iter().flat_map(|file| BufReader::new(file).split(b'\n'));
    lines.map_while(Result::ok).filter_map(move |mut line| {
        let row = Row::read(&line).filter(|row| row.step < step)?;
        line.push(b'\n');
        Some((row, line))
    })
}

/// The lines of the newest run before `run` in which the stage had this key: it was interrupted, or killed.
pub(super) fn of_key(store: &Store, run: &str, stage: &str, key: &str) -> Option<PathBuf> {
    let names = history::names(store).ok()?;
    names.into_iter().filter(|name| name.as_str() < run).find_map(|name| {
        let lines = lines(store, &(name.clone(), stage.to_owned()));
        let same = |told: &history::StageHistory| told.stage == stage && told.key.as_deref() == Some(key);
        (lines.is_file() && history::read(store, &name)?.stages.iter().any(same)).then_some(lines)
    })
}

/// Where a stage of a run has its lines.
pub(super) fn lines(store: &Store, (run, stage): &(String, String)) -> PathBuf {
    store.root().join("runs").join(run).join(file_name(stage)).join("metrics.jsonl")
}
