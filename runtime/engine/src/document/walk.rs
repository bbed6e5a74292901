//! Finds the files of a folder or a glob: each folder is read once, links are followed, and circles are not.
use super::glob::{Glob, Part};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// More files and folders than this are a circle that the guard did not see, or a slip.
const MOST_ENTRIES: usize = 20_000_000;

/// Why files could not be found.
#[derive(Debug)]
pub(crate) enum WalkError {
    /// A folder or a link does not do what is asked of it.
    Io(PathBuf, io::Error),
    /// Something that is no file: a socket, a pipe, a device.
    NoFile(PathBuf),
    /// A name that is no UTF-8 text.
    NoText(PathBuf),
    /// Too many of them.
    TooMany,
}

/// Files by name below the folder.
pub(crate) type Files = Vec<(String, PathBuf)>;

/// Every file below a folder, hidden ones too.
pub(crate) fn everything(folder: &Path) -> Result<Files, WalkError> {
    walk(folder, None)
}

/// The files below `folder` that a glob finds.
pub(crate) fn matching(folder: &Path, glob: &Glob) -> Result<Files, WalkError> {
    walk(folder, Some(&glob.rows))
}

fn walk(folder: &Path, rows: Option<&[Vec<Part>]>) -> Result<Files, WalkError> {
    let (rows, all) = (rows.unwrap_or_default(), rows.is_none());
    let mut walk = Walk { rows, all, files: Vec::new(), start: folder, open: Vec::new(), seen: 0 };
    let start: Vec<State> = (0..walk.rows.len()).map(|row| (row, 0)).collect();
    let start = walk.closed(start);
    walk.folder(folder, "", &start)?;
    let mut files = walk.files;
    files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    files.dedup_by(|a, b| a.0 == b.0);
    Ok(files)
}

/// A row of parts, and how many of them are behind us.
type State = (usize, usize);

struct Walk<'g> {
    rows: &'g [Vec<Part>],
    all: bool,
    files: Files,
    /// Where the walk began.
    start: &'g Path,
    /// Where links on the way here led. Most walks meet none, and need not know where they really are.
    open: Vec<PathBuf>,
    seen: usize,
}

impl Walk<'_> {
    /// `**` may stand for no folder at all.
    fn closed(&self, mut states: Vec<State>) -> Vec<State> {
        let mut at = 0;
        while let Some((row, part)) = states.get(at).copied() {
            let deep = matches!(self.rows[row].get(part), Some(Part::Deep));
            if deep && part + 1 < self.rows[row].len() && !states.contains(&(row, part + 1)) {
                states.push((row, part + 1));
            }
            at += 1;
        }
        states
    }

    fn folder(&mut self, folder: &Path, prefix: &str, states: &[State]) -> Result<(), WalkError> {
        let names = || {
            states.iter().map(|(row, part)| match &self.rows[*row][*part] {
                Part::Name(name) => Some(name.clone()),
                _ => None,
            })
        };
        let fixed: Option<Vec<String>> = if self.all { None } else { names().collect() };
        if let Some(mut fixed) = fixed {
            // Names that are known need no look at the whole folder.
            fixed.sort_unstable();
            fixed.dedup();
            for name in fixed {
                let path = folder.join(&name);
                match fs::metadata(&path) {
                    Ok(meta) => self.entry(path, prefix, &name, meta.file_type(), true, states)?,
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    }
                    Err(error) => return Err(WalkError::Io(path, error)),
                }
            }
            return Ok(());
        }
        let io = |error| WalkError::Io(folder.to_owned(), error);
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(WalkError::NoText(entry.path()));
            };
            let wanted = |(row, part): &State| self.rows[*row][*part].takes(&name);
            if !self.all && !states.iter().any(wanted) {
                continue;
            }
            let kind = entry.file_type().map_err(|error| WalkError::Io(entry.path(), error))?;
            let (kind, linked) = if kind.is_symlink() {
                let path = entry.path();
                (fs::metadata(&path).map_err(|error| WalkError::Io(path, error))?.file_type(), true)
            } else {
                (kind, false)
            };
            self.entry(entry.path(), prefix, &name, kind, linked, states)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: PathBuf,
        prefix: &str,
        name: &str,
        kind: FileType,
        linked: bool,
        states: &[State],
    ) -> Result<(), WalkError> {
        self.seen += 1;
        if self.seen > MOST_ENTRIES {
            return Err(WalkError::TooMany);
        }
        let name = format!("{prefix}{name}");
        let own = &name[prefix.len()..];
        if !kind.is_dir() {
            let last =
                |(row, part): &State| part + 1 == self.rows[*row].len() && self.rows[*row][*part].takes(own);
            if self.all || states.iter().any(last) {
                if !kind.is_file() {
                    return Err(WalkError::NoFile(path));
                }
                self.files.push((name, path));
            }
            return Ok(());
        }
        let mut next: Vec<State> = Vec::new();
        for (row, part) in states {
            let state = match &self.rows[*row][*part] {
                Part::Deep => (*row, *part),
                _ => (*row, part + 1),
            };
            if self.rows[*row][*part].takes(own) && state.1 < self.rows[*row].len() && !next.contains(&state)
            {
                next.push(state);
            }
        }
        let next = self.closed(next);
        if next.is_empty() && !self.all {
            return Ok(());
        }
        let before = self.open.len();
        if linked {
            let real_path =
                |path: &Path| fs::canonicalize(path).map_err(|error| WalkError::Io(path.to_owned(), error));
            let real = real_path(&path)?;
            let start = real_path(self.start)?;
            // Where a link leads to a folder that we are in, it holds nothing new.
            let here = path
                .parent()
                .map(fs::canonicalize)
                .transpose()
                .map_err(|error| WalkError::Io(path.clone(), error))?;
            if here.is_some_and(|here| here.starts_with(&real))
                || start.starts_with(&real)
                || self.open.iter().any(|open| open.starts_with(&real))
            {
                return Ok(());
            }
            self.open.push(real);
        }
        let outcome = self.folder(&path, &format!("{name}/"), &next);
        self.open.truncate(before);
        outcome
    }
}
