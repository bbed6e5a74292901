//! Files of a checkpoint: hashed while they are written, on the disk before they count.
use super::FileFacts;
use crate::{ArtifactError, Result};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// A portion of a file that is read or written.
const PORTION: usize = 1 << 20;
/// What a folder is called while it is written, and while it is taken away: `.NAME` and one of these.
pub(super) const PARTIAL: &str = ".partial";
const GOING: &str = ".going";

/// How digests are spelled.
pub(super) fn digest(hash: &blake3::Hash) -> String {
    format!("b3:{}", hash.to_hex())
}

/// A file that is being written.
pub(super) struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Output {
    /// A file that was not there.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ArtifactError::io(folder))?;
        }
        let file = File::create_new(path).map_err(ArtifactError::io(path))?;
        let file = BufWriter::with_capacity(PORTION, file);
        Ok(Self { path: path.to_owned(), file, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(ArtifactError::io(&self.path))?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// When this returns, it is on the disk.
    pub(super) fn finish(self) -> Result<FileFacts> {
        let wrong = || ArtifactError::io(&self.path);
        let file = self.file.into_inner().map_err(|error| wrong()(error.into_error()))?;
        file.sync_all().map_err(wrong())?;
        Ok(FileFacts { bytes: self.bytes, digest: digest(&self.hasher.finalize()) })
    }
}

/// Writes a small file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<FileFacts> {
    let mut output = Output::create(path)?;
    output.put(bytes)?;
    output.finish()
}

/// The digest of a file.
pub(super) fn hash(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(ArtifactError::io(path))?;
    let (mut hasher, mut portion) = (blake3::Hasher::new(), vec![0; PORTION]);
    loop {
        match file.read(&mut portion).map_err(ArtifactError::io(path))? {
            0 => return Ok(digest(&hasher.finalize())),
            read => hasher.update(portion.get(..read).unwrap_or_default()),
        };
    }
}

/// The text of a file that is not expected to be large.
pub(super) fn read_text(path: &Path, most: u64) -> Result<String> {
    let wrong = || ArtifactError::io(path);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(wrong())?;
    if bytes.len() as u64 > most {
        return Err(ArtifactError::format(
            path,
            format!("it has more than {most} bytes, which none of ours has"),
        ));
    }
    String::from_utf8(bytes).map_err(|_| ArtifactError::format(path, "it is no text").help(super::DAMAGED))
}

/// When this returns, the names in the folder are on the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ArtifactError::io(folder))
}

/// Removes a folder, if it is there, or whatever stands in its place.
pub(super) fn remove(folder: &Path) -> Result<()> {
    let removed = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(folder),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ArtifactError::io(folder)(error)),
        _ => Ok(()),
    }
}

/// Removes a checkpoint, if it is there: under another name, so that there is never half of it under its own.
pub(super) fn take_away(folder: &Path) -> Result<()> {
    set_aside(folder)?.as_deref().map_or(Ok(()), remove)
}

/// Gives a checkpoint, if it is there, the name of one that is taken away.
pub(super) fn set_aside(folder: &Path) -> Result<Option<PathBuf>> {
    let going = beside(folder, GOING)?;
    remove(&going)?;
    match fs::rename(folder, &going) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ArtifactError::io(folder)(error)),
        Ok(()) => Ok(Some(going)),
    }
}

/// A name that no checkpoint has.
pub(super) fn beside(folder: &Path, what: &str) -> Result<PathBuf> {
    match folder.file_name() {
        Some(name) => Ok(folder.with_file_name(format!(".{}{what}", name.to_string_lossy()))),
        None => Err(ArtifactError::format(folder, "a checkpoint needs a name")),
    }
}

/// Whether a name is one that [`beside`] gave.
pub(super) fn is_left_over(name: &str) -> bool {
    name.starts_with('.') && (name.ends_with(PARTIAL) || name.ends_with(GOING))
}

/// The folder that a folder is in.
pub(super) fn parent(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
