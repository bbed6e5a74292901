//! Which weights of a training: its result has the last, and beside them the best, where these are not the last.
use super::ABOUT;
use muse_stage::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a training's result has the best weights, if they are not the last.
pub const BEST: &str = "best";

/// Which weights of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// Those after the last step.
    #[default]
    Last,
    /// Those of the lowest loss on what was held back. The last, where nothing was lower.
    Best,
}

impl Weights {
    /// The folder of these weights, of a result.
    pub fn of(self, folder: &Path) -> PathBuf {
        let best = folder.join(BEST);
        if self == Self::Best && best.join(ABOUT).exists() { best } else { folder.to_owned() }
    }
}
