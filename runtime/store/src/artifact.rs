//! One output of a stage, as records and other stages know it.
use crate::Digest;
use serde::{Deserialize, Serialize};

/// A file or a folder in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Artifact {
    /// A file's content, or a folder's manifest.
    pub digest: Digest,
    /// Bytes of all its files.
    pub bytes: u64,
    /// A folder: `digest` names its manifest.
    #[serde(default)]
    pub tree: bool,
    /// How many files it has: 1 for a file.
    pub files: u64,
    /// A single file that may be executed. Within a folder the manifest knows.
    #[serde(default)]
    pub executable: bool,
}

impl Artifact {
    /// The hash that keys of later stages take: content, and whether it is a file, an executable or a folder.
    pub fn identity(&self) -> Digest {
        let kind: &[u8] = match (self.tree, self.executable) {
            (true, _) => b"tree",
            (false, false) => b"file",
            (false, true) => b"exec",
        };
        let mut hasher = blake3::Hasher::new_derive_key("muse 2026 artifact identity 1");
        hasher.update(kind);
        hasher.update(self.digest.as_bytes());
        hasher.finalize().into()
    }
}
