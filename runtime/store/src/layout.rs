//! Where things stand below the store's root, and how the root comes to be.
//!
//! ```text
//! blobs-v1/ab/<62 hex>        content, named by its BLAKE3 hash
//! records-v1/ab/<64 hex>      what a key gave, written last
//! families-v1/<family>/<key>  which keys differ in extendable parameters alone
//! leases-v1/<key>/<n>         who works on a key, as attempt n
//! resume-v1/<key>/            what an attempt leaves for the next
//! work-v1/<name>/             one folder for each attempt
//! index-v1/<host>             hashes of files that this machine has seen
//! last-v1/<pipeline>          the last results of a pipeline
//! files-v1/<pipeline>         the input files behind them
//! runs/<run>/                 events and logs
//! tmp-v1/                     what is half written
//! ```
use crate::disk::Disk;
use crate::machine;
use crate::{Digest, Key, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55
# This folder holds results that muse can make again. Backups may leave it out.
";
const README: &str = "\
Results live here: blobs, records, logs of runs. Nothing in this folder is
tracked but this page, and everything in it can be made again. `muse gc`
removes what is no longer needed.
";

/// The folders in which names are spread over 256 folders by their first two digits.
const SHELVES: [&str; 2] = ["blobs-v1", "records-v1"];

/// The root and the paths below it.
#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    disk: Disk,
    rooted: Mutex<bool>,
    shelved: Mutex<bool>,
    names: AtomicU64,
}

impl Home {
    pub(crate) fn new(root: &Path, disk: Disk) -> Self {
        Self {
            root: root.to_owned(),
            disk,
            rooted: Mutex::default(),
            shelved: Mutex::default(),
            names: AtomicU64::default(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let (shelf, name) = hex.split_at_checked(2).unwrap_or((&hex, ""));
        self.root.join("blobs-v1").join(shelf).join(name)
    }

    pub(crate) fn record(&self, key: &Key) -> PathBuf {
        let hex = key.hex();
        self.root.join("records-v1").join(hex.get(..2).unwrap_or_default()).join(&hex)
    }

    pub(crate) fn family(&self, family: &Digest) -> PathBuf {
        self.root.join("families-v1").join(family.hex())
    }

    pub(crate) fn leases(&self, key: &Key) -> PathBuf {
        self.root.join("leases-v1").join(key.hex())
    }

    pub(crate) fn at(&self, folder: &str) -> PathBuf {
        self.root.join(folder)
    }

    /// A name in `tmp-v1/` that nobody else uses; it tells whose it is.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let folder = self.at("tmp-v1");
        self.root_made()?;
        let here = machine::here();
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        Ok(folder.join(format!("{}-{}-{}-{number}", here.short_boot(), here.pid, machine::nonce())))
    }

    /// Makes the root, with the files that tell people and backups what it is, and the folders for small things.
    pub(crate) fn root_made(&self) -> Result<()> {
        let mut rooted = self.rooted.lock().unwrap_or_else(PoisonError::into_inner);
        if *rooted {
            return Ok(());
        }
        let made = self.disk.mkdir_all(&self.root)?;
        if !made.is_empty() {
            for (name, text) in [("CACHEDIR.TAG", TAG), ("README.md", README), (".gitignore", "*\n")] {
                match self.disk.write_new(&self.root.join(name), text.as_bytes(), 0o666) {
                    Err(error) if !error.is_there() => return Err(error),
                    _ => {}
                }
            }
        }
        self.disk.mkdir_all(&self.at("tmp-v1"))?;
        for folder in made.iter().filter_map(|folder| folder.parent()) {
            self.disk.sync_dir(folder)?;
        }
        *rooted = true;
        Ok(())
    }

    /// Makes the folders for blobs and records, all at once: one sync for all is cheaper than one for each later,
    /// and so no record can outlive the folder of a blob.
    pub(crate) fn shelves_made(&self) -> Result<()> {
        self.root_made()?;
        let mut shelved = self.shelved.lock().unwrap_or_else(PoisonError::into_inner);
        if *shelved {
            return Ok(());
        }
        for name in SHELVES {
            let folder = self.at(name);
            self.disk.mkdir_all(&folder)?;
            if self.disk.list(&folder)?.len() < 256 {
                for shelf in 0..=u8::MAX {
                    self.disk.mkdir_all(&folder.join(format!("{shelf:02x}")))?;
                }
            }
            // Also where they were there: whoever made them may not have come this far.
            self.disk.sync_dir(&folder)?;
        }
        self.disk.sync_dir(&self.root)?;
        *shelved = true;
        Ok(())
    }
}
