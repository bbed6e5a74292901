//! What an interrupted evaluation keeps: the finished items, in portions that are always the same.
use crate::record::Record;
use muse_stage::{Context, StageError};
use std::fs;
use std::path::PathBuf;

/// Items of a portion. They are asked together, so that what comes of them does not depend on where an attempt began.
pub(crate) const PORTION: usize = 32;

/// The folder of finished portions.
pub(crate) struct Keep {
    folder: PathBuf,
}

impl Keep {
    /// The resume folder of this stage.
    pub(crate) fn of(context: &mut Context) -> Result<Self, StageError> {
        Ok(Self { folder: context.resume()? })
    }

    /// A portion that was finished before. One that is not whole is none.
    pub(crate) fn get(&self, model: usize, task: usize, portion: usize, items: usize) -> Option<Vec<Record>> {
        let text = fs::read_to_string(self.path(model, task, portion)).ok()?;
        let records: Result<Vec<Record>, _> = text.lines().map(serde_json::from_str).collect();
        records.ok().filter(|records| records.len() == items)
    }

    /// Keeps a portion that is finished.
    pub(crate) fn put(
        &self,
        model: usize,
        task: usize,
        portion: usize,
        records: &[Record],
    ) -> Result<(), StageError> {
        let path = self.path(model, task, portion);
        let new = path.with_extension("new");
        fs::write(&new, lines(records)).map_err(StageError::io(&new))?;
        fs::rename(&new, &path).map_err(StageError::io(&path))
    }

    fn path(&self, model: usize, task: usize, portion: usize) -> PathBuf {
        self.folder.join(format!("{model}-{task}-{portion}.jsonl"))
    }
}

/// Records as lines of JSON.
pub(crate) fn lines(records: &[Record]) -> String {
    let line = |record: &Record| serde_json::to_string(record).unwrap_or_default() + "\n";
    records.iter().map(line).collect()
}
