//! From files in memory to files on disk: checked first, and never over what is there.
use super::page::File;
use super::place::Place;
use crate::app::App;
use crate::exit;
use crate::failure::{CliError, CliResult};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// What is to become of the files that are there already.
pub(crate) struct Writing {
    /// Those to be written.
    pub(crate) new: Vec<File>,
    /// Those that are there and stay, with what stands in them.
    kept: Vec<(PathBuf, String)>,
    /// What stands there is replaced.
    pub(crate) force: bool,
}

impl Writing {
    /// Leaves out what is there and as good. What is there and something else is an error, but with `--force`.
    pub(crate) fn of(files: Vec<File>, place: &Place, force: bool) -> CliResult<Self> {
        let (mut new, mut kept) = (Vec::new(), Vec::new());
        for file in files {
            match fs::read(&file.path) {
                Ok(there) if file.shared || there == file.text.as_bytes() => {
                    kept.push((file.path, String::from_utf8_lossy(&there).into_owned()));
                }
                Ok(_) if !force => return Err(there(&place.shown(&file.path))),
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(CliError::io(exit::FAILED, "cannot read", &file.path)(error));
                }
                _ => new.push(file),
            }
        }
        Ok(Self { new, kept, force })
    }

    /// Checks the page as `muse validate` does, as it stands and as a smoke run, before anything is on disk.
    pub(crate) fn check(&self, app: &App<'_>, place: &Place) -> CliResult<()> {
        // From a folder that is not there yet no way leads to what is, so that is handed over, too.
        let new = self.new.iter().map(|file| (file.path.clone(), file.text.clone()));
        let texts: Vec<(PathBuf, String)> = new.chain(self.kept.iter().cloned()).collect();
        for preset in [None, Some("smoke")] {
            // Its input files were looked for when they were typed.
            app.check_unwritten(&place.page, &texts, preset, place.folder.is_dir())?;
        }
        Ok(())
    }

    /// Writes all, the page last, so that it never names what is not there. Answers what was written.
    pub(crate) fn write(&self, place: &Place) -> CliResult<Vec<PathBuf>> {
        let mut written = Vec::new();
        for file in self.new.iter().rev() {
            if let Some(folder) = file.path.parent() {
                fs::create_dir_all(folder).map_err(CliError::io(exit::FAILED, "cannot make", folder))?;
            }
            if self.force {
                self.replace(file)?
            } else {
                create(file, place)?
            }
            written.push(file.path.clone());
        }
        written.reverse();
        Ok(written)
    }

    /// Whole or not at all: who reads meanwhile sees the old file or the new one.
    fn replace(&self, file: &File) -> CliResult<()> {
        let mut name = file.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = file.path.with_file_name(name);
        let done = fs::write(&beside, &file.text).and_then(|()| fs::rename(&beside, &file.path));
        done.map_err(|error| {
            // It may be there in part, or not at all.
            let _ = fs::remove_file(&beside);
            CliError::io(exit::FAILED, "cannot write", &file.path)(error)
        })
    }
}

fn create(file: &File, place: &Place) -> CliResult<()> {
    let mut open = match OpenOptions::new().write(true).create_new(true).open(&file.path) {
        Ok(open) => open,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(there(&place.shown(&file.path)));
        }
        Err(error) => return Err(CliError::io(exit::FAILED, "cannot write", &file.path)(error)),
    };
    open.write_all(file.text.as_bytes()).map_err(|error| {
        let _ = fs::remove_file(&file.path);
        CliError::io(exit::FAILED, "cannot write", &file.path)(error)
    })
}

/// A file that is there already, as it is named where muse was called.
pub(crate) fn there(shown: &str) -> CliError {
    CliError::usage(format!("`{shown}` is there already, and stays as it is"))
        .hint("give another NAME, name another file by `--to`, or write over it by `--force`")
}
