//! What a repository or a file holds, for people who look before they download.
use crate::hub::{Hub, HubFile, Info, by_card, holds_documents, known_splits};
use crate::names::ending;
use crate::net::{Patience, Remote, Token};
use crate::params::{RepoKind, is_commit};
use crate::read::{Column, Input, Place, Plan, look, table_of};
use muse_stage::StageError;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Rows of a sample.
const SAMPLE: usize = 3;
/// Files that are listed.
const LISTED: usize = 50;
/// Values of a sample are cut behind so many characters.
const SHOWN: usize = 300;

/// What a repository of the hub holds: commit, licence, configurations, splits, files with their sizes, and of the first
/// file of documents its columns, what they would be read as, and some rows. Little is fetched: of parquet by ranges.
pub fn inspect_hub(
    repo: &str,
    kind: RepoKind,
    revision: &str,
    endpoint: Option<&str>,
    token: Option<&str>,
) -> Result<Value, StageError> {
    let patience = Patience::new(Arc::default());
    let endpoint = endpoint.unwrap_or(crate::environment::DEFAULT_ENDPOINT);
    let hub = Hub::new(repo, kind, revision, endpoint, token.map(Token::new), patience, false)?;
    inspect_by(&hub, repo, revision)
}

/// The same by a hub that is at hand.
pub(crate) fn inspect_by(hub: &Hub, repo: &str, revision: &str) -> Result<Value, StageError> {
    let info = hub.info(revision)?;
    let files = hub.files(&info.commit)?;
    let listed: Vec<Value> =
        files.iter().take(LISTED).map(|file| json!({ "path": file.path, "bytes": file.size })).collect();
    let mut found = json!({
        "repo": repo,
        "revision": revision,
        "commit": info.commit,
        "licence": info.card.licence(),
        "files": files.len(),
        "bytes": files.iter().map(|file| file.size).sum::<u64>(),
        "listed": listed,
    });
    let Some(object) = found.as_object_mut() else { return Ok(found) };
    object.extend(parts(&info, &files));
    if is_commit(revision) {
        object.remove("revision");
    }
    let first =
        files.iter().filter(|file| holds_documents(&file.path)).min_by_key(|file| !is_parquet(&file.path));
    if let Some(first) = first {
        let folder = tempfile::tempdir().map_err(StageError::io("a folder for what is fetched"))?;
        let target = hub.target(&info.commit, first)?;
        let remote = Remote::new(&hub.web, target, folder.path().join("file"));
        let shown = contents(&Place::Remote(remote.clone()), &first.path);
        let shown = shown.map_err(|error| remote.failure().unwrap_or(error))?;
        object.insert("first".into(), shown.unwrap_or(Value::Null));
        object.insert("bytes_fetched".into(), hub.web.fetched().into());
    }
    Ok(found)
}

/// Configurations with their splits, by the card; else the splits that the names of files tell of.
fn parts(info: &Info, files: &[HubFile]) -> serde_json::Map<String, Value> {
    let mut parts = serde_json::Map::new();
    let configs = info.card.configs();
    if configs.is_empty() {
        parts.insert("splits".into(), json!(known_splits(files)));
        return parts;
    }
    let mut shown = serde_json::Map::new();
    for config in configs {
        let mut splits = serde_json::Map::new();
        for (split, globs) in &config.splits {
            let chosen = by_card(files, globs);
            let bytes: u64 = chosen.iter().map(|file| file.size).sum();
            splits.insert(split.clone(), json!({ "files": chosen.len(), "bytes": bytes }));
        }
        shown.insert(config.name.clone(), json!({ "default": config.default, "splits": splits }));
    }
    parts.insert("configurations".into(), shown.into());
    parts
}

fn is_parquet(path: &str) -> bool {
    ending(path) == Some("parquet")
}

/// What a file of data holds: its columns, what they would be read as, some rows, and of parquet how many there are.
/// `None` where it is no data.
pub fn inspect_file(path: &Path) -> Result<Option<Value>, StageError> {
    let bytes = fs::metadata(path).map_err(StageError::io(path))?.len();
    let name = path.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy().into_owned());
    let found = contents(&Place::Disk(path.to_owned()), &name)?;
    Ok(found.map(|mut found| {
        if let Some(found) = found.as_object_mut() {
            found.insert("bytes".into(), bytes.into());
        }
        found
    }))
}

fn contents(place: &Place, name: &str) -> Result<Option<Value>, StageError> {
    let input = Input::open(place)?;
    if is_parquet(name) {
        let table = table_of(&input, name, SAMPLE)?;
        let types: Vec<Value> =
            table.fields.into_iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        let sample: Vec<Value> = table.sample.into_iter().map(|row| short(&Value::Object(row))).collect();
        return Ok(Some(json!({
            "file": name, "format": "parquet", "columns": types, "rows": table.rows,
            "read_as": read_as(&table.columns), "sample": sample,
        })));
    }
    let Some(seen) = look(input, name, SAMPLE)? else { return Ok(None) };
    let sample: Vec<Value> = seen.sample.iter().map(short).collect();
    let mut found = json!({ "file": name, "format": seen.format, "sample": sample });
    if let (Some(columns), Some(found)) = (&seen.columns, found.as_object_mut()) {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        found.insert("columns".into(), json!(names));
        found.insert("read_as".into(), json!(read_as(columns)));
    }
    Ok(Some(found))
}

fn read_as(columns: &[Column]) -> Option<String> {
    Plan::find(columns, None, None).ok().map(|plan| plan.describe())
}

/// A value as it is shown: long texts are cut.
fn short(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().nth(SHOWN).is_some() => {
            let cut: String = text.chars().take(SHOWN).collect();
            format!("{cut}… ({} bytes)", text.len()).into()
        }
        Value::Array(list) => list.iter().take(20).map(short).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), short(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
