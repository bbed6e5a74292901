//! A store in a folder of its own, with the few steps that every test takes.
use crate::faulty::{Among, Fault, FaultyFs};
use muse_store::{Acquired, Artifact, Clock, Digest, Key, Lease, Published, Record, Store, Who};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache"));
        Self { folder, store }
    }

    /// The same in memory where that can be had: syncs cost nothing there.
    pub(crate) fn in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::open(&folder.path().join("cache"));
        Self { folder, store }
    }

    /// A path beside the store.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file beside the store.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Takes content in.
    pub(crate) fn keep(&self, content: &[u8]) -> Artifact {
        let path = self.file("kept", content);
        self.store.ingest(&path).unwrap()
    }

    /// Takes a folder in that has these files.
    pub(crate) fn keep_tree(&self, files: &[(&str, &[u8])]) -> Artifact {
        for (name, content) in files {
            self.file(&format!("tree/{name}"), content);
        }
        fs::create_dir_all(self.path("tree")).unwrap();
        self.store.ingest(&self.path("tree")).unwrap()
    }

    /// Makes a result for a key.
    pub(crate) fn publish(&self, key: Key, outputs: &[(&str, Artifact)]) -> Record {
        let record = record(key, outputs);
        let lease = lease(&self.store, &key);
        assert_eq!(self.store.publish(&record, &lease).unwrap(), Published::New);
        record
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(Digest::of_bytes(name.as_bytes()))
}

pub(crate) fn who() -> Who {
    Who { user: "ada".into(), run: "run-1".into(), stage: "count".into() }
}

pub(crate) fn lease(store: &Store, key: &Key) -> Lease {
    match store.lease(key, &who()).unwrap() {
        Acquired::Lease(lease) => lease,
        Acquired::Busy(holder) => panic!("busy: {holder}"),
    }
}

pub(crate) fn record(key: Key, outputs: &[(&str, Artifact)]) -> Record {
    Record {
        key,
        kind: "command".into(),
        version: 1,
        stage: "count".into(),
        pipeline: "tiny".into(),
        params: serde_json::json!({"run": "wc", "rate": 0.1}),
        inputs: BTreeMap::from([("text".into(), vec![("corpus".into(), Digest::of_bytes(b"in"))])]),
        files: BTreeMap::new(),
        pins: BTreeMap::new(),
        story: BTreeMap::new(),
        family: Some(Digest::of_bytes(b"family")),
        outputs: outputs.iter().map(|(name, artifact)| ((*name).to_owned(), *artifact)).collect(),
        facts: BTreeMap::new(),
        seconds: 1.25,
        made: "2026-01-31T12:00:03Z".into(),
        run: "run-1".into(),
        attempt: 1,
        adopted: false,
    }
}

/// All files below a folder with their content, by relative path.
pub(crate) fn files_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Writes over a file of the store that nobody should write to.
pub(crate) fn tamper(path: &Path, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
}

/// A clock that is ahead of the machine's, by as much as a test wants.
#[derive(Debug, Default)]
pub(crate) struct Ahead(AtomicI64);

impl Ahead {
    /// Seconds before (negative) or after the real time.
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    fn shift(&self) -> (Duration, Duration) {
        let seconds = self.0.load(Ordering::Relaxed);
        (Duration::from_secs(seconds.max(0) as u64), Duration::from_secs((-seconds).max(0) as u64))
    }
}

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        let (later, earlier) = self.shift();
        SystemTime::now() + later - earlier
    }

    fn instant(&self) -> Instant {
        let (later, earlier) = self.shift();
        Instant::now() + later - earlier
    }
}

/// A file system that cannot share blocks and has no other fault, so that tests are the same everywhere.
pub(crate) fn plain_fs(bench: &Bench) -> Arc<FaultyFs> {
    Arc::new(FaultyFs::new(u64::MAX, Among::Changes, Fault::Error, &bench.path("")))
}
