//! A repository of the hub: its commit, its files, and of large ones with a limit only what is needed.
use super::{fetched, place, tell_origin};
use crate::environment::Surroundings;
use crate::gather::{Gather, Item};
use crate::hub::{Choice, Hub, HubFile, select};
use crate::names::file_name;
use crate::net::{NetError, Patience, Remote, Target, Wanted, fetch_all};
use crate::params::{Output, Params, is_commit};
use crate::read::Place;
use muse_stage::{Context, StageError};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The commit that a revision is today.
pub(crate) fn pin(context: &mut Context, params: &Params) -> Result<String, StageError> {
    let hub = open(params, context)?;
    Ok(hub.info(&params.revision)?.commit)
}

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    let hub = open(params, context)?;
    run_by(&hub, context, params)
}

fn open(params: &Params, context: &Context) -> Result<Hub, StageError> {
    let around = Surroundings::of(context);
    let patience = Patience::new(context.stop_flag());
    Ok(Hub::of(params, &around.endpoint, around.token, patience, around.offline)?)
}

/// The same by a hub that is at hand.
pub(crate) fn run_by(hub: &Hub, context: &mut Context, params: &Params) -> Result<(), StageError> {
    let commit = match params.hub_pin() {
        Some(id) => context.pinned(&id)?.to_owned(),
        None => params.revision.clone(),
    };
    if !is_commit(&commit) {
        let message = format!(
            "the lock file has `{commit}` for {}, which is no commit",
            params.hub_pin().unwrap_or_default()
        );
        return Err(StageError::new(message).help("`muse update` writes it anew"));
    }
    let repo = params.repo.as_deref().unwrap_or_default();
    let info = hub.info(&commit)?;
    let files = hub.files(&commit)?;
    let choice = Choice {
        repo,
        files: &params.files,
        config: params.config.as_deref(),
        split: params.split.as_deref(),
        documents: params.output == Output::Corpus,
    };
    let licence = info.card.licence();
    tell_origin(context, json!({ "hub": repo, "commit": commit }), licence.as_deref());
    let chosen = select(&files, &info.card, &choice)?;
    let folder = fetched(context)?;
    let targets: Vec<(&HubFile, Target)> = chosen
        .into_iter()
        .map(|file| Ok((file, hub.target(&commit, file)?)))
        .collect::<Result<_, NetError>>()?;

    let source = params.name.clone().unwrap_or_else(|| file_name(repo).to_owned());
    let mut items = Vec::new();
    let mut wanted = Vec::new();
    for (file, target) in targets {
        let path = folder.join(local_name(&commit, &file.path));
        let place =
            if params.limit.is_some() && params.output == Output::Corpus && !file.path.ends_with(".zip") {
                Place::Remote(Remote::new(&hub.web, target, path))
            } else {
                wanted.push(Wanted { target, path: path.clone() });
                Place::Disk(path)
            };
        items.push(Item { name: file.path.clone(), source: source.clone(), bytes: file.size, place });
    }
    if !wanted.is_empty() {
        fetch_all(&hub.web, wanted, context)?;
    }
    if params.output == Output::Files {
        let out = context.output("files");
        for item in &items {
            let Place::Disk(path) = &item.place else { continue };
            place(path, &out.join(safe(&item.name)?))?;
        }
        context.metric(0, "bytes_fetched", hub.web.fetched() as f64);
        return Ok(());
    }
    let mut about: Map<String, Value> = Map::new();
    about.insert("source".into(), json!("hub"));
    about.insert("repo".into(), json!(repo));
    about.insert("commit".into(), json!(commit));
    about.insert("licence".into(), licence.into());
    let end = Gather::new(context, params)?.files(items, params, about);
    // What was fetched is told also where reading failed: it says how far it came.
    context.metric(0, "bytes_fetched", hub.web.fetched() as f64);
    end
}

/// Where a file of a commit stands in the folder of what is fetched.
fn local_name(commit: &str, path: &str) -> PathBuf {
    blake3::hash(format!("{commit}/{path}").as_bytes()).to_hex().as_str()[..32].into()
}

/// A path of a repository as one below a folder.
fn safe(path: &str) -> Result<&Path, StageError> {
    let good = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if good { Ok(Path::new(path)) } else { Err(StageError::new(format!("the hub names a file `{path}`"))) }
}
