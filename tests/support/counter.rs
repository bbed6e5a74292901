//! Counts how often a command's body ran: each time it adds a line to a file outside of the project.
use std::fs;
use std::path::PathBuf;

/// A file that bodies write to by absolute path.
pub(crate) struct Counter {
    path: PathBuf,
}

impl Counter {
    pub(crate) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Self { path }
    }

    /// The shell words that add one: `{mark}; the work` in a `run`.
    pub(crate) fn mark(&self) -> String {
        self.note("ran")
    }

    /// The shell words that add a line of this text.
    pub(crate) fn note(&self, text: &str) -> String {
        format!("echo {text} >> {}", self.path.display())
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lines().len()
    }

    /// How many there are, beginning again at none.
    pub(crate) fn take(&self) -> usize {
        let count = self.count();
        let _ = fs::remove_file(&self.path);
        count
    }
}
