//! A file in memory, read only, as far as it is looked at.
use crate::{ArtifactError, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A mapped file.
pub(super) struct Map {
    path: PathBuf,
    /// Nothing can be mapped of an empty file.
    map: Option<Mmap>,
}

impl Map {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(ArtifactError::io(&path))?;
        if file.metadata().map_err(ArtifactError::io(&path))?.len() == 0 {
            return Ok(Self { path, map: None });
        }
        #[expect(
            unsafe_code,
            reason = "results in the store are never written again; whoever cuts one while it is read ends the reader"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(ArtifactError::io(&path))?;
        Ok(Self { path, map: Some(map) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// That the file has as many bytes as it must.
    pub(super) fn must_have(&self, bytes: Option<u64>) -> Result<()> {
        let found = self.bytes().len() as u64;
        match bytes {
            Some(bytes) if bytes == found => Ok(()),
            Some(bytes) => Err(ArtifactError::format(
                &self.path,
                format!("it has {found} bytes and should have {bytes}: it was cut or changed"),
            )
            .help(super::meta::AGAIN)),
            None => Err(ArtifactError::format(&self.path, "its index speaks of more than a file can hold")
                .help(super::meta::AGAIN)),
        }
    }
}
