//! Reading all content and all records again, and dropping what is damaged.
use crate::disk::found;
use crate::hash::hash_file;
use crate::holder::Who;
use crate::lease::Acquired;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::{Digest, Key, Op, Record, Result, StoreError};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// How much is hashed between two reports of progress.
const STEP: u64 = 256 * 1024 * 1024;

/// Something that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// How that was seen.
    pub why: String,
    /// Whose results need it: key, stage and pipeline.
    pub results: Vec<(Key, String, String)>,
    /// It has been taken away, so that a run makes it again.
    pub dropped: bool,
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many records were read.
    pub records: u64,
    /// What is damaged.
    pub damaged: Vec<Damage>,
}

impl Store {
    /// Reads everything again. With `repair` what is damaged is dropped, in that name.
    ///
    /// `progress` is told the bytes done and the bytes to do.
    pub fn verify(&self, repair: Option<&Who>, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let mut records = Vec::new();
        for (key, path) in self.all_keys()? {
            let Some(file) = self.0.disk.read_if_there(&path)? else { continue };
            report.records = report.records.saturating_add(1);
            match Record::from_bytes(&file) {
                Ok(record) if record.key == key => records.push(record),
                other => {
                    let why = other.err().unwrap_or_else(|| "it is the record of another key".into());
                    let dropped = match repair {
                        Some(who) => self.drop_record(&key, &path, &file, who)?,
                        None => false,
                    };
                    report.damaged.push(Damage { path, why, results: Vec::new(), dropped });
                }
            }
        }

        let blobs: Vec<(Digest, u64)> = self.all_blobs()?.into_iter().collect();
        let total = blobs.iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
        let mut damaged: Vec<(Digest, String)> = Vec::new();
        let mut rest = blobs.as_slice();
        while !rest.is_empty() {
            progress(report.bytes, total);
            let (step, after) = rest.split_at_checked(step_of(rest)).unwrap_or((rest, &[]));
            rest = after;
            let verdicts: Result<Vec<_>> =
                step.par_iter().map(|(digest, _)| Ok((*digest, self.damage_of(digest)?))).collect();
            damaged.extend(verdicts?.into_iter().filter_map(|(digest, why)| Some((digest, why?))));
            report.blobs = report.blobs.saturating_add(u64::try_from(step.len()).unwrap_or(u64::MAX));
            report.bytes = step.iter().fold(report.bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
        }
        progress(report.bytes, total);

        let users = if damaged.is_empty() { HashMap::new() } else { self.users(&records) };
        for (digest, why) in damaged {
            let path = self.blob_path(&digest);
            let dropped = repair.is_some() && self.0.disk.unlink(&path)?;
            let results = users.get(&digest).cloned().unwrap_or_default();
            report.damaged.push(Damage { path, why, results, dropped });
        }
        Ok(report)
    }

    /// What is wrong with a blob, if anything is.
    fn damage_of(&self, digest: &Digest) -> Result<Option<String>> {
        let path = self.blob_path(digest);
        let Some(meta) = found(self.0.disk.lstat(&path))? else { return Ok(None) };
        let stamp = Stamp::of(&meta);
        let started = self.0.clock.now();
        let hash = |file| hash_file(&file, stamp.size).map_err(StoreError::io(Op::Read, &path));
        match self.0.disk.open(&path).and_then(hash) {
            // What was read is right, whatever runs have done to its links meanwhile.
            Ok(read) if read == *digest => {
                if self.0.disk.lstat(&path).is_ok_and(|meta| Stamp::of(&meta) == stamp) {
                    self.0.index.remember_if_settled(stamp, read, started);
                }
                Ok(None)
            }
            Ok(_) => Ok(Some("its content does not match its name".into())),
            Err(error) if error.is_missing() => Ok(None),
            Err(StoreError::Io { source, .. }) if source.kind() != std::io::ErrorKind::PermissionDenied => {
                Ok(Some(format!("it cannot be read: {source}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a damaged record away under the key's lease; whether nobody was in the way.
    fn drop_record(&self, key: &Key, path: &Path, seen: &[u8], who: &Who) -> Result<bool> {
        let Acquired::Lease(lease) = self.lease(key, who)? else { return Ok(false) };
        // Whoever had the lease a moment ago may have put a good one in its place.
        let same = self.0.disk.read_if_there(path)?.is_some_and(|now| now == seen);
        if same {
            self.0.disk.unlink(path)?;
            if let Some(folder) = path.parent() {
                self.0.disk.sync_dir(folder)?;
            }
        }
        lease.release();
        Ok(same)
    }

    /// Which results need which content.
    fn users(&self, records: &[Record]) -> HashMap<Digest, Vec<(Key, String, String)>> {
        let mut users: HashMap<Digest, Vec<(Key, String, String)>> = HashMap::new();
        for record in records {
            for digest in record.outputs.values().flat_map(|artifact| self.content_of(artifact)) {
                let user = (record.key, record.stage.clone(), record.pipeline.clone());
                let users = users.entry(digest).or_default();
                if !users.contains(&user) {
                    users.push(user);
                }
            }
        }
        users
    }
}

/// How many blobs from the front make one step: at least one.
fn step_of(blobs: &[(Digest, u64)]) -> usize {
    let mut sum = 0_u64;
    let enough = blobs.iter().position(|(_, bytes)| {
        sum = sum.saturating_add(bytes.saturating_add(4096));
        sum >= STEP
    });
    enough.map_or(blobs.len(), |last| last.saturating_add(1))
}
