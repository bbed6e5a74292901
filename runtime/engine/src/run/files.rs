//! Lays out a stage's input files, and sees to it that they stay what the key says they are.
use crate::plan::{ResolvedFile, ResolvedFiles};
use muse_store::{LinkedFile, Op, Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why they could not be laid out.
pub(crate) enum Problem {
    /// A file is no longer what was hashed for the plan.
    Changed(PathBuf),
    /// The disk does not do what it is asked.
    Store(StoreError),
}

/// Lays out each set at `folder/NAME`. Files that had to be linked are answered, to be looked at afterwards.
pub(crate) fn lay_out(
    store: &Store,
    sets: &[(String, Arc<ResolvedFiles>)],
    folder: &Path,
) -> Result<Vec<LinkedFile>, Problem> {
    let mut linked = Vec::new();
    for (name, set) in sets {
        let place = folder.join(name);
        if !set.single() {
            std::fs::create_dir_all(&place).map_err(|error| Problem::Store(io(&place, error)))?;
        }
        let mut made: Option<PathBuf> = None;
        for file in set.files() {
            let target = if set.single() { place.clone() } else { place.join(file.name) };
            // Files come sorted, so a folder is made once for all that stand in it.
            if let Some(parent) = target.parent().filter(|parent| made.as_deref() != Some(*parent)) {
                std::fs::create_dir_all(parent).map_err(|error| Problem::Store(io(parent, error)))?;
                made = Some(parent.to_owned());
            }
            linked.extend(one(store, file, &target)?);
        }
    }
    Ok(linked)
}

fn one(store: &Store, file: ResolvedFile<'_>, target: &Path) -> Result<Option<LinkedFile>, Problem> {
    let same = |hash: &muse_store::Hashed| hash.digest == file.digest && hash.executable == file.executable;
    // One that cannot be read any more has changed too.
    let gone = |_| Problem::Changed(file.path.to_owned());
    let before = store.index().digest(file.path).map_err(gone)?;
    if !same(&before) {
        return Err(Problem::Changed(file.path.to_owned()));
    }
    let linked = store.lay_out_file(file.path, target, &file.digest).map_err(Problem::Store)?;
    if linked.is_none() {
        // A copy that was made while somebody wrote is no copy of either state.
        let after = store.index().digest(file.path).map_err(gone)?;
        if !same(&after) {
            return Err(Problem::Changed(file.path.to_owned()));
        }
    }
    Ok(linked)
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), op: Op::Create, source }
}

/// The first of the linked files that is not what it was.
pub(crate) fn changed(store: &Store, linked: &[LinkedFile]) -> Option<PathBuf> {
    linked.iter().find(|file| !store.unchanged(file)).map(|file| file.path().to_owned())
}
