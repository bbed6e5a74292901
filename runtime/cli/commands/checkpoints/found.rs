//! Finds checkpoints: in the result of a stage, and in what its attempts left to go on from.
use crate::failure::{CliError, CliResult};
use crate::open::Opened;
use muse_artifacts::checkpoint::{ABOUT, About, Checkpoints, Kept, Look};
use muse_runtime::plan::Plan;
use muse_runtime::results::resume_folder;
use muse_store::{Artifact, Digest, Record, Store, TreeEntry};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Where a checkpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Where {
    /// In the stage's result.
    Result,
    /// With what the stage's attempts left.
    Kept,
}

/// One checkpoint. Of a damaged one some things are not known.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) stage: String,
    #[serde(rename = "where")]
    pub(super) stands: Where,
    /// Its folder below the result or the resume folder.
    pub(super) name: String,
    pub(super) step: Option<u64>,
    pub(super) tokens: Option<u64>,
    pub(super) loss: Option<f64>,
    pub(super) validation_loss: Option<f64>,
    pub(super) bytes: Option<u64>,
    pub(super) date: Option<String>,
    pub(super) intact: bool,
    /// What is wrong with it.
    pub(super) error: Option<String>,
}

/// The checkpoints of a stage: those of its result, then those to go on from, each by its step.
pub(super) fn of(opened: &Opened, plan: &Plan, stage: usize, look: Look) -> CliResult<Vec<Found>> {
    let name = &opened.pipeline.stages[stage].name;
    let mut all = Vec::new();
    let record =
        plan.stages[stage].as_ref().and_then(|planned| planned.record.as_deref().filter(|_| planned.stored));
    if let Some(record) = record {
        for artifact in record.outputs.values().filter(|artifact| artifact.tree) {
            all.extend(in_result(&opened.store, name, record, artifact, look)?);
        }
    }
    all.sort_by_key(|found| found.step);
    if let Some(folder) = resume_folder(&opened.planner(), plan, stage) {
        let kept = Checkpoints::of(&folder).list(look);
        let kept = kept.map_err(|error| CliError::failed(error.to_string()))?;
        all.extend(kept.into_iter().map(|kept| of_kept(name, kept)));
    }
    Ok(all)
}

/// A checkpoint that nothing is known of yet.
fn unknown(stage: &str, stands: Where, name: String) -> Found {
    Found {
        stage: stage.to_owned(),
        stands,
        name,
        step: None,
        tokens: None,
        loss: None,
        validation_loss: None,
        bytes: None,
        date: None,
        intact: false,
        error: None,
    }
}

impl Found {
    fn knows(self, about: &About) -> Self {
        Self {
            step: Some(about.step),
            tokens: Some(about.tokens),
            loss: about.loss(),
            validation_loss: about.validation_loss(),
            bytes: Some(about.bytes()),
            ..self
        }
    }
}

/// The checkpoints in a folder of the store, which stands there file by file under other names.
fn in_result(
    store: &Store,
    stage: &str,
    record: &Record,
    artifact: &Artifact,
    look: Look,
) -> CliResult<Vec<Found>> {
    let tree = store.tree(&artifact.digest)?;
    let files: BTreeMap<&str, (Digest, u64)> = tree
        .entries()
        .iter()
        .filter_map(|entry| match entry {
            TreeEntry::File { path, digest, bytes, .. } => Some((path.as_str(), (*digest, *bytes))),
            TreeEntry::Empty { .. } => None,
        })
        .collect();
    let folders: Vec<(&str, Digest)> = files
        .iter()
        .filter_map(|(path, (digest, _))| {
            let folder = path.strip_suffix(ABOUT)?;
            (folder.is_empty() || folder.ends_with('/')).then_some((folder, *digest))
        })
        .collect();
    // What no checkpoint is in is not read for nothing.
    let whole = folders.is_empty() || look == Look::Sizes || store.verified(artifact)?;
    let found = folders.into_iter().map(|(folder, digest)| {
        let date = Some(record.made.clone());
        let found = Found { date, ..unknown(stage, Where::Result, folder.trim_end_matches('/').to_owned()) };
        if !whole {
            let error = Some("the result was damaged, and is dropped: a run makes it again".to_owned());
            return Found { error, ..found };
        }
        match About::read(&store.blob_path(&digest)) {
            Ok(about) => {
                let strange = about.files.iter().find(|(name, facts)| {
                    let there = files.get(format!("{folder}{name}").as_str());
                    there.is_none_or(|(digest, bytes)| {
                        *bytes != facts.bytes || digest.to_string() != facts.digest
                    })
                });
                let error =
                    strange.map(|(name, _)| format!("`{folder}{name}` is not what `{folder}{ABOUT}` says"));
                Found { intact: error.is_none(), error, ..found.knows(&about) }
            }
            Err(error) => Found { error: Some(error.to_string()), ..found },
        }
    });
    Ok(found.collect())
}

fn of_kept(stage: &str, kept: Kept) -> Found {
    let name = kept.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found =
        Found { step: Some(kept.step), date: written(&kept.folder), ..unknown(stage, Where::Kept, name) };
    match kept.found {
        Ok(checkpoint) => Found { intact: true, ..found.knows(checkpoint.about()) },
        Err(error) => Found { error: Some(error.to_string()), ..found },
    }
}

/// When a checkpoint was ended, spelled as in records.
fn written(folder: &Path) -> Option<String> {
    let time = std::fs::metadata(folder.join(ABOUT)).ok()?.modified().ok()?;
    Some(format!("{:.3}", jiff::Timestamp::try_from(time).ok()?))
}
