//! Files beside the pipeline, as the engine laid them out.
use super::tell_origin;
use crate::gather::{Gather, Item};
use crate::names::{ending, file_name, stem};
use crate::params::{Documents, Format, Output, Params};
use crate::read::Place;
use muse_stage::{Context, StageError};
use serde_json::{Map, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The source of documents whose file stands in no folder, or has no name.
const UNNAMED: &str = "file";

/// A file that was found.
struct Found {
    /// Its name below the folder that `paths` names.
    name: String,
    /// The source of its documents, as far as its name says.
    source: String,
    path: PathBuf,
}

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    tell_origin(context, json!("file"), None);
    let mut all = Vec::new();
    for (at, files) in params.paths.iter().enumerate() {
        let path = context.work().join(files.path());
        let mut found = Vec::new();
        walk(&path, String::new(), &mut found)?;
        if found.is_empty() {
            return Err(StageError::new(format!("`paths` number {} names a folder without files", at + 1)));
        }
        found.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        all.extend(found.into_iter().map(|(name, path)| {
            let source = source_of(&name, params);
            // A single file is laid out without its name.
            let name = if name.is_empty() { format!("file {}", at + 1) } else { name };
            Found { name, source, path }
        }));
    }
    if params.output == Output::Files {
        return keep(context, &all);
    }
    let mut items = Vec::new();
    for Found { name, source, path } in all {
        let bytes = fs::metadata(&path).map_err(StageError::io(&path))?.len();
        let source = params.name.clone().unwrap_or(source);
        items.push(Item { name, source, bytes, place: Place::Disk(path) });
    }
    Gather::new(context, params)?.files(items, params, Map::from_iter([("source".into(), json!("file"))]))
}

/// The source of a file's documents: of files that are one document each, the folder they stand in.
fn source_of(name: &str, params: &Params) -> String {
    if name.is_empty() {
        return UNNAMED.into();
    }
    let text = match params.format {
        Format::Auto => {
            !matches!(ending(name), Some("parquet" | "jsonl" | "ndjson" | "json" | "csv" | "tsv" | "zip"))
        }
        format => format == Format::Text,
    };
    if text && params.documents == Documents::File {
        return match name.rsplit_once('/') {
            Some((folder, _)) => file_name(folder).to_owned(),
            None => UNNAMED.into(),
        };
    }
    stem(name)
}

/// All files below a path, by name.
fn walk(path: &Path, name: String, found: &mut Vec<(String, PathBuf)>) -> Result<(), StageError> {
    if !path.is_dir() {
        found.push((name, path.to_owned()));
        return Ok(());
    }
    let mut inner = Vec::new();
    for entry in fs::read_dir(path).map_err(StageError::io(path))? {
        let entry = entry.map_err(StageError::io(path))?;
        let Ok(file) = entry.file_name().into_string() else {
            return Err(StageError::new(format!("{}: its name is no UTF-8", entry.path().display())));
        };
        inner.push((if name.is_empty() { file } else { format!("{name}/{file}") }, entry.path()));
    }
    for (name, path) in inner {
        walk(&path, name, found)?;
    }
    Ok(())
}

fn keep(context: &mut Context, found: &[Found]) -> Result<(), StageError> {
    let out = context.output("files");
    fs::create_dir_all(&out).map_err(StageError::io(&out))?;
    for (at, Found { name, path, .. }) in found.iter().enumerate() {
        context.go_on()?;
        let to = out.join(name);
        if to.symlink_metadata().is_ok() {
            let message = format!("two of `paths` hold a file `{name}`");
            return Err(StageError::new(message).help("make a stage for each"));
        }
        // Inputs may be lent: an output must be a file of its own.
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(StageError::io(parent))?;
        }
        fs::copy(path, &to).map_err(StageError::io(&to))?;
        context.progress(at as u64 + 1, Some(found.len() as u64), "files");
    }
    Ok(())
}
