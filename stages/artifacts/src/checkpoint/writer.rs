//! Writes a checkpoint: tensor by tensor, into a folder beside, which takes its name when all of it is on the disk.
use super::disk::{self, Output};
use super::{About, Facts, FileFacts, MODEL, OPTIMIZER, STATE, Tensor, header, scales, shards};
use crate::{ArtifactError, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of tensors ends before it has more bytes.
const SHARD_BYTES: u64 = 5_000_000_000;

/// A checkpoint that is being written. Dropped unfinished, it leaves nothing.
pub struct CheckpointWriter {
    folder: PathBuf,
    partial: PathBuf,
    shard_bytes: u64,
    parameters: u64,
    files: BTreeMap<String, FileFacts>,
}

impl CheckpointWriter {
    /// A checkpoint that will stand at `folder`, in the place of one that stands there. What an earlier writer left
    /// unfinished goes, so only one may write to a place at a time.
    pub fn create(folder: &Path) -> Result<Self> {
        let partial = disk::beside(folder, disk::PARTIAL)?;
        disk::remove(&partial)?;
        fs::create_dir_all(&partial).map_err(ArtifactError::io(&partial))?;
        let (folder, files) = (folder.to_owned(), BTreeMap::new());
        Ok(Self { folder, partial, shard_bytes: SHARD_BYTES, parameters: 0, files })
    }

    /// Files of tensors with at most so many bytes, where no single tensor has more.
    #[must_use]
    pub fn shard_bytes(mut self, bytes: u64) -> Self {
        self.shard_bytes = bytes;
        self
    }

    /// Writes the weights. `give` is asked for the bytes of one tensor after the other, in the order in which they
    /// will stand: wide numbers first, else as listed.
    pub fn model<B, E>(
        &mut self,
        tensors: &[Tensor],
        give: impl FnMut(&Tensor) -> Result<B, E>,
    ) -> Result<(), E>
    where
        B: AsRef<[u8]>,
        E: From<ArtifactError>,
    {
        self.parameters = scales::parameters(tensors);
        self.tensors(MODEL, tensors, give)
    }

    /// Writes the state of the optimizer, in the same manner.
    pub fn optimizer<B, E>(
        &mut self,
        tensors: &[Tensor],
        give: impl FnMut(&Tensor) -> Result<B, E>,
    ) -> Result<(), E>
    where
        B: AsRef<[u8]>,
        E: From<ArtifactError>,
    {
        self.tensors(OPTIMIZER, tensors, give)
    }

    /// Writes what else a training needs to go on: where it is in its schedule and its data, its random numbers.
    pub fn state(&mut self, state: &Value) -> Result<()> {
        let text = serde_json::to_string_pretty(state).unwrap_or_default() + "\n";
        self.small(STATE.to_owned(), &text)
    }

    /// Ends it. When this returns, the checkpoint stands at its place and outlives a loss of power.
    pub fn finish(self, facts: Facts) -> Result<About> {
        if shards::files_of(MODEL, &self.files).is_empty() {
            return Err(ArtifactError::format(&self.folder, "a checkpoint without a model"));
        }
        let about = About::new(facts, self.parameters, self.files.clone());
        about.write(&self.partial)?;
        if self.files.keys().any(|name| name.starts_with("state/")) {
            disk::sync_folder(&self.partial.join("state"))?;
        }
        disk::sync_folder(&self.partial)?;
        // A folder cannot take the place of a full one. For the moment between two names there is none, and never half of one.
        let old = disk::set_aside(&self.folder)?;
        fs::rename(&self.partial, &self.folder).map_err(ArtifactError::io(&self.folder))?;
        disk::sync_folder(disk::parent(&self.folder))?;
        old.as_deref().map_or(Ok(()), disk::remove)?;
        Ok(about)
    }

    fn tensors<B, E>(
        &mut self,
        stem: &str,
        tensors: &[Tensor],
        give: impl FnMut(&Tensor) -> Result<B, E>,
    ) -> Result<(), E>
    where
        B: AsRef<[u8]>,
        E: From<ArtifactError>,
    {
        let place = Place { files: &self.partial, named: &self.folder };
        self.files.extend(write(place, stem, tensors, self.shard_bytes, give)?);
        Ok(())
    }

    fn small(&mut self, name: String, text: &str) -> Result<()> {
        let facts = disk::write(&self.partial.join(&name), text.as_bytes())?;
        self.files.insert(name, facts);
        Ok(())
    }
}

/// Writes weights into a folder that is there, as a checkpoint has them but without what makes it one: what other libraries
/// load. `give` is asked as by [`CheckpointWriter::model`].
pub fn write_weights<B, E>(
    folder: &Path,
    tensors: &[Tensor],
    shard_bytes: Option<u64>,
    give: impl FnMut(&Tensor) -> Result<B, E>,
) -> Result<(), E>
where
    B: AsRef<[u8]>,
    E: From<ArtifactError>,
{
    let place = Place { files: folder, named: folder };
    write(place, MODEL, tensors, shard_bytes.unwrap_or(SHARD_BYTES), give).map(drop)
}

/// Where files go, and what errors call it.
#[derive(Clone, Copy)]
struct Place<'a> {
    files: &'a Path,
    named: &'a Path,
}

/// Writes the files of a stem, and their index where there are several.
fn write<B, E>(
    place: Place<'_>,
    stem: &str,
    tensors: &[Tensor],
    shard_bytes: u64,
    mut give: impl FnMut(&Tensor) -> Result<B, E>,
) -> Result<BTreeMap<String, FileFacts>, E>
where
    B: AsRef<[u8]>,
    E: From<ArtifactError>,
{
    let shards = shards::share_out(stem, tensors, shard_bytes, place.named)?;
    let mut files = BTreeMap::new();
    for shard in &shards {
        let path = place.files.join(&shard.name);
        let mut output = Output::create(&path)?;
        output.put(&header::encode(&path, &shard.tensors)?)?;
        for tensor in &shard.tensors {
            let bytes = give(tensor)?;
            let (has, should) = (bytes.as_ref().len(), tensor.bytes().unwrap_or_default());
            if has != should {
                let (name, shape, dtype) = (&tensor.name, &tensor.shape, tensor.dtype);
                let said = format!("tensor `{name}` of {shape:?} {dtype} has {should} bytes, and {has} came");
                return Err(ArtifactError::format(place.named, said).into());
            }
            output.put(bytes.as_ref())?;
        }
        files.insert(shard.name.clone(), output.finish()?);
    }
    if let Some((name, text)) = shards::index(stem, &shards) {
        let facts = disk::write(&place.files.join(&name), text.as_bytes())?;
        files.insert(name, facts);
    }
    Ok(files)
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // After `finish` there is none. Where it cannot go, the next writer or `Checkpoints::clean` takes it.
        let _ = disk::remove(&self.partial);
    }
}
