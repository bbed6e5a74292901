//! What an earlier run told of the same work: who goes on from its checkpoint sees its part of the curve too.
use super::row::Row;
use super::trail::Trail;
use crate::run::file_name;
use crate::view::history;
use muse_store::Store;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Puts what the newest earlier run at `key` told of the steps before `step` on a trail. A run that went on from
/// another one has that one's lines too, so one run is enough.
pub(super) fn carry_over(store: &Store, run: &str, stage: &str, key: &str, step: u64, trail: &mut Trail) {
    let Some(lines) = lines_of(store, run, stage, key) else { return };
    let Ok(file) = File::open(lines) else { return };
    for mut line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        if let Some(row) = Row::read(&line).filter(|row| row.step < step) {
            line.push(b'\n');
            trail.keep(&row, &line);
        }
    }
}

fn lines_of(store: &Store, run: &str, stage: &str, key: &str) -> Option<PathBuf> {
    let names = history::names(store).ok()?;
    names.into_iter().filter(|name| name.as_str() < run).find_map(|name| {
        let lines = store.root().join("runs").join(&name).join(file_name(stage)).join("metrics.jsonl");
        let told = lines.is_file()
            && history::read(store, &name)?
                .stages
                .iter()
                .any(|told| told.stage == stage && told.key.as_deref() == Some(key));
        told.then_some(lines)
    })
}
