//! Input files: what a path, a folder or a glob of the pipeline stands for on this disk.
use crate::diagnostic::{Diagnostic, Place};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Input files as a parameter names them.
#[derive(Clone, Debug)]
pub struct FileInput {
    /// The name of their place below `in/`.
    pub name: String,
    /// Where in the parameters, as a JSON pointer.
    pub pointer: String,
    /// The path, folder or glob as written.
    pub text: String,
    /// Where that stands.
    pub place: Place,
    /// The folder that a relative path starts from.
    pub folder: PathBuf,
    pub(crate) found: OnceLock<Arc<FileSet>>,
}

/// The files that a path, folder or glob stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    /// It is one file, not a folder with files.
    pub single: bool,
    /// Name below the fixed part, and path; sorted by the bytes of the name.
    pub files: Vec<(String, PathBuf)>,
}

impl FileInput {
    /// Looks at the disk, once.
    pub fn expand(&self) -> Result<Arc<FileSet>, Diagnostic> {
        Err(Diagnostic::at(self.place.clone(), "input files are not read yet"))
    }
}
