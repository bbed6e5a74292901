//! URLs: fetched whole, checked by SHA-256 where one is given, else pinned by what they hold.
use super::{fetched, place, tell_origin};
use crate::environment::Surroundings;
use crate::gather::{Gather, Item};
use crate::names::{file_name, stem};
use crate::net::{
    Check, NetError, Of, Part, Patience, Probe, Target, Wanted, Web, fetch_all, probe, stream_whole, verify,
};
use crate::params::{Output, Params};
use crate::read::Place;
use muse_stage::{Context, StageError};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A fact names URLs of so many bytes at most: a list may be longer than a record, and stands in the parameters anyway.
const URLS_TOLD: usize = 16 << 10;

/// What a URL holds today: its BLAKE3 digest and its size. The content stays where `run` finds it.
pub(crate) fn pin(context: &mut Context, url: &str) -> Result<String, StageError> {
    pin_by(&web(context)?, context, url)
}

/// The same by a client that is at hand.
pub(crate) fn pin_by(web: &Arc<Web>, context: &mut Context, url: &str) -> Result<String, StageError> {
    let folder = fetched(context)?;
    fs::create_dir_all(&folder).map_err(StageError::io(&folder))?;
    let path = folder.join(local_name(url));
    // What was pinned before is not what it is today.
    if path.exists() {
        fs::remove_file(&path).map_err(StageError::io(&path))?;
    }
    fetch(web, url, &path, false, context)?;
    let bytes = fs::metadata(&path).map_err(StageError::io(&path))?.len();
    let digest = Check::Blake3(String::new()).of_file(&path, bytes).map_err(StageError::io(&path))?;
    Ok(format!("b3:{} {bytes}", digest.unwrap_or_default()))
}

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    run_by(&web(context)?, context, params)
}

/// The same by a client that is at hand.
pub(crate) fn run_by(web: &Arc<Web>, context: &mut Context, params: &Params) -> Result<(), StageError> {
    let folder = fetched(context)?;
    fs::create_dir_all(&folder).map_err(StageError::io(&folder))?;
    let mut paths = Vec::new();
    for url in &params.urls {
        context.go_on()?;
        let path = folder.join(local_name(url));
        let sha256 = params.sha256.of(&params.urls, url);
        if !path.is_file() {
            fetch(web, url, &path, sha256.is_some(), context)?;
        }
        if let Err(error) = checked(url, &path, sha256, context) {
            // What is wrong must not be found there by the next run.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        paths.push(path);
    }
    context.metric(0, "bytes_fetched", web.fetched() as f64);
    let mut left = URLS_TOLD;
    let fits = |url: &&String| {
        left = left.saturating_sub(url.len());
        left > 0
    };
    let told: Vec<&String> = params.urls.iter().take_while(fits).collect();
    tell_origin(context, json!({ "urls": told }), None);
    let names = unique_names(&params.urls);
    if params.output == Output::Files {
        let out = context.output("files");
        return names.iter().zip(&paths).try_for_each(|(name, path)| place(path, &out.join(name)));
    }
    let mut items = Vec::new();
    for (name, path) in names.into_iter().zip(paths) {
        let bytes = fs::metadata(&path).map_err(StageError::io(&path))?.len();
        let source = params.name.clone().unwrap_or_else(|| stem(&name));
        items.push(Item { name, source, bytes, place: Place::Disk(path) });
    }
    let about: Map<String, Value> =
        [("source".to_owned(), json!("http")), ("urls".to_owned(), json!(params.urls))].into_iter().collect();
    Gather::new(context, params)?.files(items, params, about)
}

fn web(context: &Context) -> Result<Arc<Web>, StageError> {
    let offline = Surroundings::of(context).offline;
    Ok(Arc::new(Web::new(None, Patience::new(context.stop_flag()), offline)?))
}

fn fetch(
    web: &Arc<Web>,
    url: &str,
    path: &Path,
    checked: bool,
    context: &mut Context,
) -> Result<(), StageError> {
    let name = file_name(url.split(['?', '#']).next().unwrap_or(url)).to_owned();
    let Probe { size, etag, parts } = probe(web, url)?;
    let Some(size) = size else {
        let part = path.with_extension("stream");
        stream_whole(web, &name, url, &part, checked)?;
        return fs::rename(&part, path).map_err(StageError::io(path));
    };
    if etag.is_none() {
        // Nothing tells whether what an earlier attempt left is of the same content.
        Part::drop_all(path).map_err(StageError::io(path))?;
    }
    let target = Target { name, url: url.to_owned(), size, parts, of: Of::Anyone { etag } };
    fetch_all(web, vec![Wanted { target, path: path.to_owned() }], context)
}

/// Whether a file is what was named or pinned.
fn checked(url: &str, path: &Path, sha256: Option<String>, context: &Context) -> Result<(), StageError> {
    let bytes = fs::metadata(path).map_err(StageError::io(path))?.len();
    let (check, size, help) = match sha256 {
        Some(hex) => (Check::Sha256(hex), bytes, "it is not the file that `sha256` was written for"),
        None => {
            let pin = context.pinned(url)?;
            let parsed = pin.strip_prefix("b3:").and_then(|pin| pin.split_once(' '));
            let Some((hex, Ok(size))) = parsed.map(|(hex, size)| (hex, size.parse())) else {
                return Err(StageError::new(format!(
                    "the lock file has `{pin}` for {url}, which is no digest and size"
                ))
                .help("`muse update` writes it anew"));
            };
            (
                Check::Blake3(hex.to_owned()),
                size,
                "it changed since it was pinned: `muse update` takes it as it is now",
            )
        }
    };
    verify(url, path, size, &check).map_err(|error| match error {
        NetError::Changed { message } => StageError::new(message).help(help),
        other => other.into(),
    })
}

/// Where a URL stands in the folder of what is fetched.
fn local_name(url: &str) -> PathBuf {
    blake3::hash(url.as_bytes()).to_hex().as_str()[..32].into()
}

/// The names of files by the ends of their URLs, with numbers where two are the same.
fn unique_names(urls: &[String]) -> Vec<String> {
    let plain = |url: &String| {
        let name = file_name(url.split(['?', '#']).next().unwrap_or(url));
        let name = name.trim_start_matches('.');
        if name.is_empty() { "file".to_owned() } else { name.to_owned() }
    };
    let names: Vec<String> = urls.iter().map(plain).collect();
    let twice = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    names
        .iter()
        .enumerate()
        .map(|(at, name)| if twice(name) { format!("{}-{name}", at + 1) } else { name.clone() })
        .collect()
}
