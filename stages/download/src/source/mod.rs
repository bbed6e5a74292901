//! The four places that data comes from.
pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod hub;
pub(crate) mod synthetic;

use muse_stage::{Context, StageError};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder for what is fetched: one that outlives attempts, where there is one.
fn fetched(context: &mut Context) -> Result<PathBuf, StageError> {
    if context.job().resume.is_some() { context.resume() } else { Ok(context.work().join("fetched")) }
}

/// Tells where the data is from and, where that is known, under which licence: facts of the result, whatever it is made
/// into later.
fn tell_origin(context: &mut Context, source: Value, licence: Option<&str>) {
    context.fact("source", source);
    if let Some(licence) = licence {
        context.fact("licence", licence);
    }
}

/// Puts a file into the output folder, without a second copy where the disk can do that.
fn place(from: &Path, to: &Path) -> Result<(), StageError> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(StageError::io(parent))?;
    }
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).map_err(StageError::io(to))?;
    }
    Ok(())
}
