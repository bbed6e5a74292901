//! A file system that fails at one chosen operation, and that loses what was not synced when the power goes.
use muse_store::{Fs, Listed, RealFs};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use tempfile::TempDir;

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and has done nothing.
    Error,
    /// There is no room for it.
    Full,
    /// It has done half its work, or all of it, and fails all the same.
    Short,
    /// The process dies before it; what was written survives.
    Kill,
    /// The power goes before it; all that was not synced is lost.
    PowerCut,
    /// The power goes before it; of what was not synced some is lost, in no order.
    PartialCut(u64),
}

pub(crate) const FAULTS: [Fault; 7] = [
    Fault::Error,
    Fault::Full,
    Fault::Short,
    Fault::Kill,
    Fault::PowerCut,
    Fault::PartialCut(1),
    Fault::PartialCut(2),
];

/// Which operations are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// All.
    All,
    /// Those that change something.
    Changes,
}

/// A change to a folder that a power cut may take back, until the folder is synced.
#[derive(Debug)]
enum Change {
    Created(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    Removed { path: PathBuf, kept: PathBuf },
    MadeFolder(PathBuf),
    RemovedFolder(PathBuf),
}

impl Change {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Created(path) | Self::Removed { path, .. } | Self::Renamed { to: path, .. } => {
                path.parent()
            }
            Self::MadeFolder(path) | Self::RemovedFolder(path) => path.parent(),
        }
    }

    fn undo(self) {
        // What a later change has moved away cannot be taken back here; that one was kept, then.
        match self {
            Self::Created(path) => drop(fs::remove_file(path)),
            Self::Renamed { from, to, replaced } => {
                fs::rename(&to, from).ok();
                replaced.map(|replaced| fs::hard_link(replaced, to));
            }
            Self::Removed { path, kept } => drop(fs::hard_link(kept, path)),
            Self::MadeFolder(path) => drop(fs::remove_dir_all(path)),
            Self::RemovedFolder(path) => drop(fs::create_dir(path)),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    dead: bool,
    changes: Vec<Change>,
    /// Files whose content is not on disk yet, by inode, and where they may be found.
    unsynced: HashSet<u64>,
    places: BTreeSet<PathBuf>,
    shadows: u64,
}

#[derive(Debug)]
pub(crate) struct FaultyFs {
    at: u64,
    among: Among,
    fault: Fault,
    shadow: TempDir,
    state: Mutex<State>,
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

/// The next number of a sequence that looks random enough.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *seed >> 33
}

impl FaultyFs {
    /// Fails at operation `at`, counted from 1. `beside` must be on the same file system as the store.
    pub(crate) fn new(at: u64, among: Among, fault: Fault, beside: &Path) -> Self {
        let shadow = tempfile::tempdir_in(beside).unwrap();
        Self { at, among, fault, shadow, state: Mutex::default() }
    }

    /// Whether the chosen operation came.
    pub(crate) fn fired(&self) -> bool {
        self.state.lock().unwrap().count >= self.at
    }

    /// What is left when the machine is up again. Without a fault so far the power goes now.
    pub(crate) fn crash(&self) {
        let mut state = self.state.lock().unwrap();
        state.dead = true;
        let mut seed = match self.fault {
            Fault::PowerCut => None,
            Fault::PartialCut(seed) => Some(seed.wrapping_add(self.at)),
            _ => return,
        };
        let mut lost = || seed.as_mut().is_none_or(|seed| next(seed).is_multiple_of(2));
        for place in &state.places {
            if inode(place).is_some_and(|inode| state.unsynced.contains(&inode)) && lost() {
                let mode = fs::metadata(place).unwrap().permissions();
                fs::set_permissions(place, Permissions::from_mode(0o600)).unwrap();
                let length = fs::metadata(place).unwrap().len();
                fs::OpenOptions::new().write(true).open(place).unwrap().set_len(length / 2).unwrap();
                fs::set_permissions(place, mode).unwrap();
            }
        }
        for change in std::mem::take(&mut state.changes).into_iter().rev() {
            if lost() {
                change.undo();
            }
        }
    }

    /// Does one operation, unless it is the one that fails. `half` is what a failing one has done all the same.
    fn step<T>(
        &self,
        whole: impl FnOnce(&mut State) -> io::Result<T>,
        half: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state: MutexGuard<'_, State> = self.state.lock().unwrap();
        if state.dead {
            return Err(Errno::IO.into());
        }
        state.count += 1;
        if state.count != self.at {
            return whole(&mut state);
        }
        match self.fault {
            Fault::Error => Err(Errno::IO.into()),
            Fault::Full => Err(Errno::NOSPC.into()),
            Fault::Short => {
                half(&mut state);
                Err(Errno::IO.into())
            }
            Fault::Kill | Fault::PowerCut | Fault::PartialCut(_) => {
                state.dead = true;
                Err(Errno::IO.into())
            }
        }
    }

    /// For what changes nothing.
    fn look<T>(&self, look: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.among == Among::All {
            return self.step(|_| look(), |_| ());
        }
        if self.state.lock().unwrap().dead { Err(Errno::IO.into()) } else { look() }
    }

    /// For what is done at once: a failing one may have been done, as a file server's lost answer makes it seem.
    fn change<T>(&self, change: impl Fn(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.step(&change, |state| drop(change(state)))
    }

    /// A second name, so that what is removed or replaced can come back.
    fn keep(&self, state: &mut State, path: &Path) -> Option<PathBuf> {
        state.shadows += 1;
        let kept = self.shadow.path().join(state.shadows.to_string());
        fs::hard_link(path, &kept).ok().map(|()| kept)
    }

    fn created(&self, state: &mut State, path: &Path) {
        state.changes.push(Change::Created(path.to_owned()));
        state.places.insert(path.to_owned());
        state.unsynced.extend(inode(path));
    }
}

impl Fs for FaultyFs {
    fn stat(&self, path: &Path) -> io::Result<Metadata> {
        self.look(|| RealFs.stat(path))
    }

    fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        self.look(|| RealFs.lstat(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.look(|| RealFs.open(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.look(|| RealFs.read(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        self.look(|| RealFs.list(path))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.look(|| RealFs.read_link(path))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.look(|| RealFs.canonicalize(path))
    }

    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let write = |state: &mut State, bytes: &[u8]| {
            RealFs.write_new(path, bytes, mode)?;
            self.created(state, path);
            Ok(())
        };
        let half = bytes.get(..bytes.len() / 2).unwrap();
        self.step(|state| write(state, bytes), |state| drop(write(state, half)))
    }

    fn copy_new(&self, from: &Path, to: &Path, mode: u32) -> io::Result<()> {
        let whole = |state: &mut State| {
            RealFs.copy_new(from, to, mode)?;
            self.created(state, to);
            Ok(())
        };
        let half = |state: &mut State| {
            let bytes = fs::read(from).unwrap();
            if RealFs.write_new(to, &bytes[..bytes.len() / 2], mode).is_ok() {
                self.created(state, to);
            }
        };
        self.step(whole, half)
    }

    fn reflink_new(&self, _: &Path, _: &Path) -> io::Result<()> {
        // Most file systems cannot, and the copy is what is to be tested.
        self.look(|| Err(io::ErrorKind::Unsupported.into()))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            let inode = inode(path).ok_or(io::ErrorKind::NotFound)?;
            state.unsynced.remove(&inode);
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            state.changes.retain(|change| change.folder() != Some(path));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            let replaced = self.keep(state, to);
            RealFs.rename(from, to)?;
            state.places.insert(to.to_owned());
            state.changes.push(Change::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            RealFs.link(from, to)?;
            state.places.insert(to.to_owned());
            state.changes.push(Change::Created(to.to_owned()));
            Ok(())
        })
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            let kept = self.keep(state, path);
            RealFs.unlink(path)?;
            let path = path.to_owned();
            state.changes.extend(kept.map(|kept| Change::Removed { path, kept }));
            Ok(())
        })
    }

    fn mkdir(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            RealFs.mkdir(path)?;
            state.changes.push(Change::MadeFolder(path.to_owned()));
            Ok(())
        })
    }

    fn rmdir(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            RealFs.rmdir(path)?;
            state.changes.push(Change::RemovedFolder(path.to_owned()));
            Ok(())
        })
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.change(|state| {
            // The store does this to a stage's files as they come in: nobody has synced them.
            state.unsynced.extend(inode(path));
            state.places.insert(path.to_owned());
            RealFs.set_mode(path, mode)
        })
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.change(|_| RealFs.touch(path))
    }
}
