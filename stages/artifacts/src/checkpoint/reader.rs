//! Opens a checkpoint: what it is of, its tensors, its state. Nothing of one that is not whole.
use super::{ABOUT, About, DAMAGED, MODEL, OPTIMIZER, STATE, Tensors, disk, shards};
use crate::{ArtifactError, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A larger state is none of ours.
const LARGEST_STATE: u64 = 256 << 20;

/// A checkpoint that can be read.
pub struct Checkpoint {
    folder: PathBuf,
    about: About,
    model: Tensors,
    optimizer: Option<Tensors>,
}

impl Checkpoint {
    /// Opens a folder and checks format, names and sizes, which takes no time; [`Self::verify`] reads it all.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(ABOUT);
        if folder.is_dir() && path.symlink_metadata().is_err() {
            let help =
                "`pretrain` makes checkpoints; one that was torn while it was written has none, either";
            return Err(ArtifactError::format(folder, format!("no checkpoint: there is no `{ABOUT}` in it"))
                .help(help));
        }
        let about = About::read(&path)?;
        for (name, facts) in &about.files {
            let path = folder.join(name);
            let wrong = |said: String| Err(ArtifactError::format(&path, said).help(DAMAGED));
            match fs::metadata(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return wrong("it is missing".into());
                }
                Err(error) => return Err(ArtifactError::io(&path)(error)),
                Ok(found) if !found.is_file() => return wrong("it is no file".into()),
                Ok(found) if found.len() != facts.bytes => {
                    let (has, should) = (found.len(), facts.bytes);
                    return wrong(format!(
                        "it has {has} bytes and should have {should}: it was cut or changed"
                    ));
                }
                Ok(_) => {}
            }
        }
        let tensors = |stem| match shards::files_of(stem, &about.files).as_slice() {
            [] => Ok(None),
            names => Tensors::open(names.iter().map(|name| folder.join(name))).map(Some),
        };
        let Some(model) = tensors(MODEL)? else {
            return Err(ArtifactError::format(&path, "it names no model").help(DAMAGED));
        };
        let optimizer = tensors(OPTIMIZER)?;
        Ok(Self { folder: folder.to_owned(), about, model, optimizer })
    }

    /// Reads every file, and refuses one that is not byte for byte what was written.
    pub fn verify(&self) -> Result<()> {
        for (name, facts) in &self.about.files {
            let path = self.folder.join(name);
            if disk::hash(&path)? != facts.digest {
                return Err(
                    ArtifactError::format(path, "it is not what was written: it was changed").help(DAMAGED)
                );
            }
        }
        Ok(())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is of.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The weights.
    pub fn model(&self) -> &Tensors {
        &self.model
    }

    /// The weights alone, whose files stay open.
    pub fn into_model(self) -> Tensors {
        self.model
    }

    /// The state of the optimizer, where training can go on from here.
    pub fn optimizer(&self) -> Option<&Tensors> {
        self.optimizer.as_ref()
    }

    /// What else a training needs to go on.
    pub fn state(&self) -> Result<Option<Value>> {
        if !self.about.files.contains_key(STATE) {
            return Ok(None);
        }
        let path = self.folder.join(STATE);
        let text = disk::read_text(&path, LARGEST_STATE)?;
        let strange = |error| ArtifactError::format(&path, format!("it is no JSON: {error}")).help(DAMAGED);
        serde_json::from_str(&text).map(Some).map_err(strange)
    }
}
