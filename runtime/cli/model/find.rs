//! Finds a model's files: a folder, or what the store keeps for a stage, with the tokenizer that stands above it.
use super::ModelArgs;
use crate::app::App;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::open::Opened;
use crate::values::StageOfPipeline;
use muse_artifacts::checkpoint::{ABOUT, Weights};
use muse_inference::Source;
use muse_inference::hf::CONFIG;
use muse_stage::ArtifactType;
use muse_store::{Artifact, Store, TreeEntry};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder, which may be one of links that goes with this.
struct Folder {
    path: PathBuf,
    _links: Option<TempDir>,
}

/// Opens the model that the arguments name.
pub(super) fn source(app: &App<'_>, args: &ModelArgs) -> CliResult<Source> {
    let (mut tokenizer, model) = match stage_of(app, &args.model) {
        Some(stage) => of_stage(app, args, &stage)?,
        None => (None, plain(app, &args.model)?),
    };
    if let Some(what) = &args.tokenizer {
        tokenizer = Some(match stage_of(app, what) {
            Some(stage) => {
                let opened = app.open(&stage.pipeline, &args.values)?;
                let (number, output) = opened.one_stage(&stage.stage)?;
                made(&opened, &stage, args, number, |_, name, _| output.is_none_or(|output| output == name))?
            }
            None => plain(app, what)?,
        });
    }
    let tokenizer = tokenizer.as_ref().map(|folder| folder.path.as_path());
    let weights = if args.best { Weights::Best } else { Weights::Last };
    Source::open(&model.path, tokenizer, weights).map_err(|error| {
        match (CliError::from(error), stage_of(app, &args.model)) {
            // The folder of links says nothing to people.
            (mut error, Some(_)) => {
                error.message = error.message.replace(&*model.path.to_string_lossy(), &args.model);
                error
            }
            (error, None) => error,
        }
    })
}

/// PIPELINE:STAGE, but where a path of that name is there.
fn stage_of(app: &App<'_>, what: &str) -> Option<StageOfPipeline> {
    StageOfPipeline::find(what).filter(|_| !app.environment.folder.join(what).exists())
}

fn plain(app: &App<'_>, what: &str) -> CliResult<Folder> {
    let path = app.environment.folder.join(what);
    if path.exists() {
        return Ok(Folder { path, _links: None });
    }
    Err(CliError::usage(format!("there is no `{what}`"))
        .hint("name a folder that `export` made, or a stage as PIPELINE:STAGE, such as `pipelines/quickstart.yaml:base`"))
}

/// The model of a stage, and the tokenizer of the nearest stage above it that makes one.
fn of_stage(app: &App<'_>, args: &ModelArgs, stage: &StageOfPipeline) -> CliResult<(Option<Folder>, Folder)> {
    let opened = app.open(&stage.pipeline, &args.values)?;
    let (number, output) = opened.one_stage(&stage.stage)?;
    let is_model = |store: &Store, name: &str, artifact: &Artifact| {
        let model = [ABOUT, CONFIG].iter().any(|file| holds(store, artifact, file));
        output.is_none_or(|output| output == name) && model
    };
    let model = made(&opened, stage, args, number, is_model)?;
    // What `export` makes has its own.
    if args.tokenizer.is_some() || Source::has_tokenizer(&model.path) {
        return Ok((None, model));
    }
    let Some(above) = tokenizer_above(&opened, number) else { return Ok((None, model)) };
    let is_tokenizer = |store: &Store, _: &str, artifact: &Artifact| holds(store, artifact, "tokenizer.json");
    Ok((Some(made(&opened, stage, args, above, is_tokenizer)?), model))
}

/// The nearest stage that makes a tokenizer, this one among them.
fn tokenizer_above(opened: &Opened, stage: usize) -> Option<usize> {
    let stages = &opened.pipeline.stages;
    let (mut next, mut seen) = (VecDeque::from([stage]), BTreeSet::from([stage]));
    while let Some(stage) = next.pop_front() {
        if stages[stage].outputs.iter().any(|(_, kind)| *kind == ArtifactType::Tokenizer) {
            return Some(stage);
        }
        let above = stages[stage].inputs.iter().flat_map(|port| port.entries.iter()).map(|entry| entry.stage);
        next.extend(above.filter(|stage| seen.insert(*stage)));
    }
    None
}

/// The first output of a stage that is wanted, as a folder.
fn made(
    opened: &Opened,
    stage: &StageOfPipeline,
    args: &ModelArgs,
    number: usize,
    wanted: impl Fn(&Store, &str, &Artifact) -> bool,
) -> CliResult<Folder> {
    let record = opened.result(&stage.pipeline, &args.values, number)?;
    let found =
        record.outputs.iter().find(|(name, artifact)| artifact.tree && wanted(&opened.store, name, artifact));
    let Some((_, artifact)) = found else {
        let name = &opened.pipeline.stages[number].name;
        return Err(CliError::usage(format!("stage `{name}` makes no model"))
            .hint("name a stage that trains one, or that exports one in the format `hf` or `muse`"));
    };
    let links = linked(&opened.store, artifact)?;
    Ok(Folder { path: links.path().to_owned(), _links: Some(links) })
}

fn holds(store: &Store, artifact: &Artifact, file: &str) -> bool {
    let named = |entry: &TreeEntry| matches!(entry, TreeEntry::File { path, .. } if path == file);
    artifact.tree && store.tree(&artifact.digest).is_ok_and(|tree| tree.entries().iter().any(named))
}

/// A folder of links to the files of a result, which the store keeps under other names.
fn linked(store: &Store, artifact: &Artifact) -> CliResult<TempDir> {
    let folder = tempfile::Builder::new().prefix("muse-").tempdir();
    let folder =
        folder.map_err(|error| CliError::failed(format!("cannot make a temporary folder: {error}")))?;
    for entry in store.tree(&artifact.digest)?.entries() {
        let TreeEntry::File { path, digest, .. } = entry else { continue };
        let place = folder.path().join(path);
        if let Some(above) = place.parent() {
            fs::create_dir_all(above).map_err(CliError::io(exit::FAILED, "cannot write to", above))?;
        }
        symlink(store.blob_path(digest), &place).map_err(CliError::io(
            exit::FAILED,
            "cannot write to",
            &place,
        ))?;
    }
    Ok(folder)
}
