//! The checkpoints of one training, in its resume folder: `step-000001000/` and so on.
use super::{Checkpoint, DAMAGED, disk};
use crate::{ArtifactError, Result};
use std::fs;
use std::path::{Path, PathBuf};

const PREFIX: &str = "step-";
/// Digits of a step, so that names sort as steps do.
const DIGITS: usize = 9;

/// How closely checkpoints are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Names and sizes: takes no time.
    Sizes,
    /// Every byte.
    Content,
}

/// A folder of checkpoints, of which one process at a time may write.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

/// One of them.
pub struct Kept {
    /// The step in its name.
    pub step: u64,
    /// Where it is.
    pub folder: PathBuf,
    /// What it holds, or what is wrong with it.
    pub found: Result<Checkpoint>,
}

impl Checkpoints {
    /// Those in a folder, which need not be there.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the checkpoint of a step stands.
    pub fn place(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:0DIGITS$}"))
    }

    /// All of them by their steps, those that are damaged too. One that a training takes away meanwhile is not one of them.
    pub fn list(&self, look: Look) -> Result<Vec<Kept>> {
        let all = self.steps()?.into_iter().map(|step| self.look(step, look));
        Ok(all.filter(|kept| kept.found.is_ok() || kept.folder.exists()).collect())
    }

    /// The newest one that is intact to the byte, and what is wrong with each that is newer. An error where that cannot be told
    /// ([`ArtifactError::is_damage`]).
    pub fn newest(&self) -> Result<(Option<Checkpoint>, Vec<ArtifactError>)> {
        let mut damaged = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.look(step, Look::Content).found {
                Ok(checkpoint) => return Ok((Some(checkpoint), damaged)),
                Err(error) if error.is_damage() => damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok((None, damaged))
    }

    /// The one with the lowest validation loss, of those that have one; of equals the first.
    pub fn best(&self) -> Result<Option<Checkpoint>> {
        let loss = |checkpoint: &Checkpoint| checkpoint.about().validation_loss();
        let found = self.list(Look::Sizes)?.into_iter().filter_map(|kept| kept.found.ok());
        Ok(found
            .filter(|checkpoint| loss(checkpoint).is_some())
            .min_by(|a, b| loss(a).unwrap_or(f64::MAX).total_cmp(&loss(b).unwrap_or(f64::MAX))))
    }

    /// Takes away all but the newest `count`, the best and those of `also`. One that cannot be opened stays: somebody may want
    /// to look at it. Gives back the steps of those that went.
    pub fn keep_last(&self, count: usize, also: &[u64]) -> Result<Vec<u64>> {
        let best = self.best()?.map(|best| best.folder().to_owned());
        let intact = self.list(Look::Sizes)?.into_iter().filter(|kept| kept.found.is_ok());
        let mut gone = Vec::new();
        let stays = |kept: &Kept| best.as_ref() == Some(&kept.folder) || also.contains(&kept.step);
        for kept in intact.rev().skip(count).filter(|kept| !stays(kept)) {
            disk::take_away(&kept.folder)?;
            gone.push(kept.step);
        }
        gone.reverse();
        Ok(gone)
    }

    /// Takes away that of a step and all later ones, damaged ones too: those of a way that is not gone on.
    pub fn forget_from(&self, step: u64) -> Result<()> {
        for later in self.steps()?.into_iter().filter(|kept| *kept >= step) {
            disk::take_away(&self.place(later))?;
        }
        Ok(())
    }

    /// Takes away what writers left that were killed.
    pub fn clean(&self) -> Result<()> {
        for name in self.names()?.iter().filter(|name| disk::is_left_over(name)) {
            disk::remove(&self.folder.join(name))?;
        }
        Ok(())
    }

    fn look(&self, step: u64, look: Look) -> Kept {
        let folder = self.place(step);
        let found = Checkpoint::open(&folder).and_then(|checkpoint| {
            let says = checkpoint.about().step;
            if says != step {
                let said = format!("it is the checkpoint of step {says} under another name");
                return Err(ArtifactError::format(&folder, said).help(DAMAGED));
            }
            if look == Look::Content {
                checkpoint.verify()?;
            }
            Ok(checkpoint)
        });
        Kept { step, folder, found }
    }

    /// The newest of those before a step.
    pub fn before(&self, step: u64) -> Result<Option<u64>> {
        Ok(self.steps()?.into_iter().rfind(|kept| *kept < step))
    }

    fn steps(&self) -> Result<Vec<u64>> {
        let step = |name: &String| {
            let digits = name
                .strip_prefix(PREFIX)
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
            let step = digits.parse().ok()?;
            // One spelling for a step, so that it is found under its name.
            self.place(step).ends_with(name).then_some(step)
        };
        let mut steps: Vec<u64> = self.names()?.iter().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(ArtifactError::io(&self.folder))?,
        };
        let name =
            |entry: std::io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<std::io::Result<_>>().map_err(ArtifactError::io(&self.folder))
    }
}
