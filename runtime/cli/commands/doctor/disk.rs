//! Checks of the disk that the store is on: space, whether it can be written, reflinks and hard links.
use super::{Check, Mark};
use crate::failure::plain_io;
use crate::format::bytes;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Less free space than this is worth a word.
const LITTLE: u64 = 5 << 30;

/// Looks at the disk under `cache`, which need not be there yet.
pub(super) fn check(cache: &Path) -> Vec<Check> {
    let folder = cache.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let mut checks = vec![space(folder)];
    if cache.exists() && !cache.is_dir() {
        let found = format!("{} is no folder", cache.display());
        checks.push(Check::not_ok(Mark::Error, "store", found, "name another one with `--cache-dir`"));
        return checks;
    }
    let there = if cache.is_dir() { "" } else { " (will be made)" };
    let name = format!("{}{there}", cache.display());
    match Probe::new(folder) {
        Ok(probe) => {
            checks.push(Check::ok("store", name));
            checks.push(probe.links());
        }
        Err(error) => {
            let help = "runs that find everything done still work; others need a folder that can be written";
            let found = format!("{name}: {}", plain_io(&error));
            let mark = if cache.is_dir() { Mark::Warn } else { Mark::Error };
            checks.push(Check::not_ok(mark, "store", found, help));
        }
    }
    checks
}

fn space(folder: &Path) -> Check {
    let about = match rustix::fs::statvfs(folder) {
        Ok(about) => about,
        Err(error) => {
            let found = format!("{}: {}", folder.display(), plain_io(&error.into()));
            return Check::not_ok(Mark::Error, "disk", found, "name another folder with `--cache-dir`");
        }
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let all = about.f_blocks.saturating_mul(about.f_frsize);
    let found = format!("{} free of {}", bytes(free), bytes(all));
    match (free, about.f_favail, about.f_files) {
        (0..LITTLE, _, _) => Check::not_ok(
            Mark::Warn,
            "disk",
            found,
            "`muse gc` frees space, `--cache-dir` names another disk",
        ),
        // Some file systems count no inodes and say zero of zero.
        (_, 0..10_000, 1..) => Check::not_ok(
            Mark::Warn,
            "disk",
            found,
            "few inodes are left: small files will fail before space does",
        ),
        _ => Check::ok("disk", found),
    }
}

/// A folder that is gone when the check is over.
struct Probe {
    folder: PathBuf,
}

impl Probe {
    fn new(folder: &Path) -> io::Result<Self> {
        let probe = Self { folder: folder.join(format!(".muse-doctor-{}", std::process::id())) };
        fs::create_dir(&probe.folder)?;
        let mut file = File::create(probe.folder.join("a"))?;
        file.write_all(&[7; 8192])?;
        file.sync_all()?;
        Ok(probe)
    }

    /// How results reach stages on this disk.
    fn links(&self) -> Check {
        let path = |name: &str| self.folder.join(name);
        let reflink = File::open(path("a")).and_then(|from| {
            let to = File::create(path("b"))?;
            rustix::fs::ioctl_ficlone(&to, &from).map_err(io::Error::from)
        });
        let hard_link = fs::hard_link(path("a"), path("c"));
        match (reflink, hard_link) {
            (Ok(()), _) => Check::ok("links", "reflinks: results reach stages without a copy"),
            (_, Ok(())) => Check::ok("links", "hard links: results reach stages without a copy"),
            _ => Check::not_ok(
                Mark::Warn,
                "links",
                "neither reflinks nor hard links",
                "every result is copied for each stage that takes it; another file system is faster",
            ),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // What cannot be removed was made by nobody else and harms nothing.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_caches_place_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let checks = check(file.path());
        assert_eq!(checks.last().map(|check| (check.name, check.mark)), Some(("store", Mark::Error)));
    }

    #[test]
    fn a_disk_that_can_be_written_links() {
        let folder = tempfile::tempdir().unwrap();
        let checks = check(&folder.path().join("not/yet"));
        assert_eq!(checks.iter().map(|check| check.name).collect::<Vec<_>>(), ["disk", "store", "links"]);
        assert!(checks[1].found.ends_with("not/yet (will be made)"), "{checks:?}");
        assert!(checks.iter().all(|check| check.mark != Mark::Error), "{checks:?}");
    }
}
