//! What a stage left as an output: every file and folder is looked at, and what cannot be stored is refused.
use crate::disk::Disk;
use crate::{Result, StoreError};
use rustix::io::Errno;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// A file of an output.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its path within the output, parts joined by `/`; empty where the output is a file.
    pub(crate) path: String,
    /// Where its content is.
    pub(crate) source: PathBuf,
    pub(crate) executable: bool,
    /// Somebody may still write to it by another name, or it is named twice: it must be copied, not moved.
    pub(crate) shared: bool,
}

/// An output as it was found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) tree: bool,
    pub(crate) files: Vec<Found>,
    pub(crate) empty: Vec<String>,
}

/// Looks at all of an output.
pub(crate) fn walk(disk: &Disk, path: &Path) -> Result<Walked> {
    let meta = match disk.lstat(path) {
        Err(error) if error.is_missing() => return Err(bad(path, "is missing: the stage did not write it")),
        other => other?,
    };
    let mut walked = Walked { tree: meta.is_dir(), ..Walked::default() };
    if meta.is_dir() {
        let whole = disk.canonicalize(path)?;
        Walk { disk, root: path, whole: &whole, walked: &mut walked }.folder(path, "", 0)?;
    } else if meta.is_symlink() {
        return Err(bad(path, "is a link that leads out of the output: write a copy of the file instead"));
    } else {
        walked.files.push(file(path, path, String::new(), &meta)?);
    }
    Ok(walked)
}

fn bad(path: &Path, why: &str) -> StoreError {
    StoreError::BadOutput { path: path.to_owned(), why: why.to_owned() }
}

/// A regular file, named `path` and standing at `source`.
fn file(path: &Path, source: &Path, name: String, meta: &Metadata) -> Result<Found> {
    let kind = meta.file_type();
    if !kind.is_file() {
        let what = match () {
            () if kind.is_fifo() => "is a pipe",
            () if kind.is_socket() => "is a socket",
            () => "is a device",
        };
        return Err(bad(path, &format!("{what}: only files and folders can be stored")));
    }
    let executable = meta.mode() & 0o100 != 0;
    Ok(Found { path: name, source: source.to_owned(), executable, shared: meta.nlink() > 1 })
}

struct Walk<'a> {
    disk: &'a Disk,
    root: &'a Path,
    /// The root without links.
    whole: &'a Path,
    walked: &'a mut Walked,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, name: &str, depth: usize) -> Result<()> {
        let mut listed = self.disk.list(folder)?;
        if listed.is_empty() && depth > 0 {
            self.walked.empty.push(name.to_owned());
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in listed {
            let path = folder.join(&entry.name);
            let Some(part) = entry.name.to_str() else {
                return Err(bad(&path, "has a name that is no UTF-8"));
            };
            let name = if name.is_empty() { part.to_owned() } else { format!("{name}/{part}") };
            let meta = self.disk.lstat(&path)?;
            if meta.is_dir() {
                self.folder(&path, &name, depth.saturating_add(1))?;
            } else if meta.is_symlink() {
                let found = self.link(&path, name, depth)?;
                self.walked.files.push(found);
            } else {
                self.walked.files.push(file(&path, &path, name, &meta)?);
            }
        }
        Ok(())
    }

    /// A link is stored as the file it leads to, where that is a part of the same output.
    fn link(&self, path: &Path, name: String, depth: usize) -> Result<Found> {
        let target = self.disk.read_link(path)?;
        if target.is_absolute() {
            return Err(bad(path, "is a link with an absolute path: make it relative, or write a copy"));
        }
        if climbs(&target, depth) {
            return Err(bad(
                path,
                "is a link that leads out of the output: write a copy of the file instead",
            ));
        }
        let source = match self.disk.canonicalize(path) {
            Ok(source) => source,
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(bad(path, "is a link to what is not there"));
            }
            Err(StoreError::Io { source, .. })
                if source.kind() == ErrorKind::NotADirectory
                    || source.raw_os_error() == Some(Errno::LOOP.raw_os_error()) =>
            {
                return Err(bad(path, "is a link that leads nowhere"));
            }
            Err(other) => return Err(other),
        };
        let Ok(inside) = source.strip_prefix(self.whole) else {
            return Err(bad(
                path,
                "is a link that leads out of the output: write a copy of the file instead",
            ));
        };
        let meta = self.disk.stat(&source)?;
        if meta.is_dir() {
            return Err(bad(path, "is a link to a folder: write a copy of the folder instead"));
        }
        let source = self.root.join(inside);
        Ok(Found { shared: true, ..file(path, &source, name, &meta)? })
    }
}

/// Whether a relative path, seen from a folder so deep within the output, leaves it on the way.
fn climbs(target: &Path, mut depth: usize) -> bool {
    for part in target.components() {
        match part {
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            Component::Normal(_) => depth = depth.saturating_add(1),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}
