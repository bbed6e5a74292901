//! What a file must be, and what it is.
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Sha256(String),
    /// The SHA-1 of a git blob.
    Git(String),
    Blake3(String),
    /// There is nothing to hold it against.
    Nothing,
}

impl Check {
    /// The digest of a file, as this check writes it; `None` where there is nothing to hold it against.
    pub(crate) fn of_file(&self, path: &Path, size: u64) -> io::Result<Option<String>> {
        let mut sha256 = Sha256::new();
        let mut sha1 = Sha1::new_with_prefix(format!("blob {size}\0"));
        let mut blake3 = blake3::Hasher::new();
        let take: &mut dyn FnMut(&[u8]) = match self {
            Self::Nothing => return Ok(None),
            Self::Sha256(_) => &mut |bytes| sha256.update(bytes),
            Self::Git(_) => &mut |bytes| sha1.update(bytes),
            Self::Blake3(_) => &mut |bytes| _ = blake3.update(bytes),
        };
        let mut file = File::open(path)?;
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => take(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(match self {
            Self::Git(_) => hex(&sha1.finalize()),
            Self::Blake3(_) => blake3.finalize().to_hex().to_string(),
            _ => hex(&sha256.finalize()),
        }))
    }

    /// The digest that it asks for.
    pub(crate) fn wanted(&self) -> Option<&str> {
        match self {
            Self::Sha256(hex) | Self::Git(hex) | Self::Blake3(hex) => Some(hex),
            Self::Nothing => None,
        }
    }
}

/// The name that git gives to a blob.
pub(crate) fn git_blob(content: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    hasher.update(content);
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
