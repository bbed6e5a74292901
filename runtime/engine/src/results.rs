//! Results by hand: which ones a stage has, and putting an existing file in as one. `muse get`, `muse adopt`.
use crate::last::{LastResult, LastResults};
use crate::plan::{Plan, Planner};
use crate::run::{draft, resume_key};
use muse_store::{Acquired, Artifact, Published, Record, Store, StoreError, Who};
use std::path::{Path, PathBuf};

/// Why there is no result to hand out, or none was taken in.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// It was never made, or gc took it.
    #[error("stage `{stage}` has no result in the store")]
    NotThere {
        /// The stage.
        stage: String,
    },
    /// Its content was damaged, and is dropped now.
    #[error("the result of `{stage}` was damaged, and is dropped")]
    Damaged {
        /// The stage.
        stage: String,
    },
    /// Its inputs have no results, so it has no key.
    #[error("stage `{stage}` has no key yet: what it stands on is not made")]
    NoKey {
        /// The stage.
        stage: String,
    },
    /// It has a result already.
    #[error("stage `{stage}` has a result already, made {made}")]
    There {
        /// The stage.
        stage: String,
        /// When.
        made: String,
    },
    /// Somebody makes it at this moment.
    #[error("stage `{stage}` is being made by {holder}")]
    Busy {
        /// The stage.
        stage: String,
        /// Who makes it.
        holder: String,
    },
    /// There is no such output, or one must be named.
    #[error("{message}")]
    Output {
        /// What is wrong.
        message: String,
    },
    /// The store does not do what it is asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The record of a stage of the plan, its content checked.
pub fn record_of(planner: &Planner<'_>, plan: &Plan, stage: usize) -> Result<Record, ResultError> {
    let name = planner.pipeline.stages[stage].name.clone();
    let planned = plan.stages[stage].as_ref();
    let Some(key) = planned.and_then(|planned| planned.key) else {
        return Err(ResultError::NotThere { stage: name });
    };
    let Some(record) = planner.store.record(&key)? else {
        return Err(ResultError::NotThere { stage: name });
    };
    let store = planner.store;
    let there = |artifact: &Artifact| store.blob_path(&artifact.digest).symlink_metadata().is_ok();
    if !record.outputs.values().all(there) {
        return Err(ResultError::NotThere { stage: name });
    }
    for artifact in record.outputs.values() {
        if !store.verified(artifact)? {
            return Err(ResultError::Damaged { stage: name });
        }
    }
    Ok(record)
}

/// What attempts at a stage of the plan left for the next, if they left something. Whoever makes the stage writes to it.
pub fn resume_folder(planner: &Planner<'_>, plan: &Plan, stage: usize) -> Option<PathBuf> {
    let key = plan.stages[stage].as_ref()?.key?;
    let folder = planner.store.resume_dir(&resume_key(&planner.pipeline.stages[stage], key));
    folder.is_dir().then_some(folder)
}

/// Puts the file or folder at `path` in as the result of a stage. Of several outputs, each stands in `path` by
/// its name.
pub fn adopt(
    planner: &Planner<'_>,
    plan: &Plan,
    stage: usize,
    output: Option<&str>,
    path: &Path,
    who: &Who,
) -> Result<Record, ResultError> {
    let (pipeline, store) = (planner.pipeline, planner.store);
    let spec = &pipeline.stages[stage];
    let name = spec.name.clone();
    let Some(parts) = planner.parts(plan, stage) else {
        return Err(ResultError::NoKey { stage: name });
    };
    let key = parts.key();
    let outputs: Vec<&str> = spec.outputs.iter().map(|(output, _)| output.as_str()).collect();
    let places = match (outputs.as_slice(), output) {
        ([], _) => return Err(ResultError::Output { message: format!("stage `{name}` has no outputs") }),
        (known, Some(output)) if !known.contains(&output) => {
            let known = known.join("`, `");
            return Err(ResultError::Output {
                message: format!("`{name}` has no output `{output}`, but `{known}`"),
            });
        }
        ([only], _) => vec![(*only, path.to_owned())],
        (known, None) => known.iter().map(|output| (*output, path.join(output))).collect(),
        (known, Some(_)) => {
            let known = known.join("`, `");
            let message =
                format!("the outputs of `{name}` are adopted together: a folder that holds `{known}`");
            return Err(ResultError::Output { message });
        }
    };
    for (output, place) in &places {
        if place.symlink_metadata().is_err() {
            let message = format!("{} has no `{output}`, which `{name}` makes", path.display());
            return Err(ResultError::Output { message });
        }
    }
    let lease = match store.lease(&key, who)? {
        Acquired::Lease(lease) => lease,
        Acquired::Busy(holder) => return Err(ResultError::Busy { stage: name, holder: holder.to_string() }),
    };
    if let Some(record) = store.record(&key)? {
        if record.outputs.values().all(|artifact| store.present(artifact)) {
            return Err(ResultError::There { stage: name, made: record.made });
        }
        store.retire(&key, &lease)?;
    }
    let mut record = draft(&parts, key, &pipeline.name, &name, &who.run);
    for (output, path) in places {
        record.outputs.insert(output.to_owned(), store.ingest_copy(&path)?);
    }
    record.adopted = true;
    record.made = crate::time::now();
    match store.publish(&record, &lease)? {
        Published::New => {}
        Published::Lost(first) => return Err(ResultError::There { stage: name, made: first.made }),
    }
    lease.release();
    let mut last = LastResults::load(store, &pipeline.path)?;
    last.pipeline = pipeline.name.clone();
    last.note(&name, LastResult::of(spec, key, &who.run));
    last.save(store, &pipeline.path)?;
    store.index().save();
    Ok(record)
}

/// Takes a result out: one output, or all of them, each by its name.
pub fn take_out(store: &Store, record: &Record, output: Option<&str>, to: &Path) -> Result<(), ResultError> {
    match (output, record.outputs.len()) {
        (Some(output), _) => match record.outputs.get_key_value(output) {
            Some((name, artifact)) => one(store, name, artifact, to)?,
            None => {
                let known: Vec<&str> = record.outputs.keys().map(String::as_str).collect();
                let message = format!("there is no output `{output}`, but `{}`", known.join("`, `"));
                return Err(ResultError::Output { message });
            }
        },
        (None, 1) => {
            for (name, artifact) in &record.outputs {
                one(store, name, artifact, to)?;
            }
        }
        (None, _) => {
            let all: Vec<(&str, &Artifact)> =
                record.outputs.iter().map(|(name, artifact)| (name.as_str(), artifact)).collect();
            store.take_out_all(&all, to)?;
        }
    }
    Ok(())
}

/// A folder fills `to`; a file arrives in it under its name.
fn one(store: &Store, name: &str, artifact: &Artifact, to: &Path) -> Result<(), StoreError> {
    if artifact.tree { store.take_out(artifact, to) } else { store.take_out_all(&[(name, artifact)], to) }
}
