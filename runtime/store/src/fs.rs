//! Every file operation of the store, behind one trait, so that tests can fail any of them.
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One name in a folder.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name alone.
    pub name: OsString,
    /// What it is, links not followed.
    pub kind: FileType,
}

/// What the store asks of a file system. Nothing here is beyond NFS.
pub trait Fs: fmt::Debug + Send + Sync {
    /// Properties; links are followed.
    fn stat(&self, path: &Path) -> io::Result<Metadata>;
    /// Properties of the name itself.
    fn lstat(&self, path: &Path) -> io::Result<Metadata>;
    /// Opens for reading.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names in a folder, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// Where a link points.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// The path without links.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
    /// A new file with this content; fails where one is. The mode passes the umask.
    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// A new file with the content of another; fails where one is. The mode passes the umask.
    fn copy_new(&self, from: &Path, to: &Path, mode: u32) -> io::Result<()>;
    /// A new file that shares its blocks with another until either is written to.
    fn reflink_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a file's content durable.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a new name, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Adds a second name; fails where one is.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// A new folder; fails where one is.
    fn mkdir(&self, path: &Path) -> io::Result<()>;
    /// Takes an empty folder away.
    fn rmdir(&self, path: &Path) -> io::Result<()>;
    /// Sets the permission bits as given.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Sets the modification time to now.
    fn touch(&self, path: &Path) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn stat(&self, path: &Path) -> io::Result<Metadata> {
        fs::metadata(path)
    }

    fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        fs::symlink_metadata(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                Ok(Listed { kind: entry.file_type()?, name: entry.file_name() })
            })
            .collect()
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)
    }

    fn copy_new(&self, from: &Path, to: &Path, mode: u32) -> io::Result<()> {
        let source = File::open(from)?;
        let mut target = OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
        // A source that grows meanwhile must not be followed forever.
        let length = source.metadata()?.len();
        io::copy(&mut source.take(length), &mut target)?;
        Ok(())
    }

    fn reflink_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        reflink_copy::reflink(from, to)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn mkdir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rmdir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let now = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        // A server's own clock sets the time, so that hosts need not agree on it.
        Ok(rustix::fs::utimensat(CWD, path, &now, AtFlags::empty())?)
    }
}
