//! What stands under `with:`.
use crate::task::{Kind, Task};
use crate::turns::Chat;
use muse_artifacts::checkpoint::Weights;
use muse_inference::Kept;
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{ConfigFile, Count};
use serde::{Deserialize, Serialize};

/// What stands under `with:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What is asked: files of `configs/tasks/`, or of your own.
    #[schemars(length(min = 1))]
    pub tasks: Vec<ConfigFile<Task>>,
    /// Examples before each question, in place of what tasks say.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub few_shot: Option<u32>,
    /// The most items of each task, the first ones. Left out, all.
    #[serde(default)]
    pub limit: Option<Count>,
    /// Which weights of models that `pretrain` or `sft` made.
    #[serde(default)]
    pub weights: Weights,
    /// Asks as in a chat, as the model's chat template writes it; what a task says of itself is the system's. Left out, as text.
    #[serde(default)]
    pub chat: Option<Chat>,
    /// What the system says before everything.
    #[serde(default)]
    pub system: Option<String>,
    /// What weights are kept as. `f32` is exactly what was trained, and what figures are compared by.
    #[serde(default)]
    pub precision: Precision,
    /// Items of each task that the report shows with what was asked and answered.
    #[serde(default = "samples")]
    #[schemars(range(max = 100))]
    pub samples: u32,
}

/// What weights are kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Four bytes a number.
    #[default]
    F32,
    /// Two bytes a number.
    Bf16,
    /// One byte a number, with a scale for 32 of them.
    Int8,
}

impl Params {
    /// Examples before each question of a task.
    pub(crate) fn shots(&self, task: &Task) -> usize {
        if task.kind == Kind::Perplexity { 0 } else { self.few_shot.unwrap_or(task.few_shot.count) as usize }
    }

    /// The most items of a task.
    pub(crate) fn most(&self) -> usize {
        self.limit.and_then(|limit| usize::try_from(limit.0).ok()).unwrap_or(usize::MAX)
    }
}

impl Precision {
    pub(crate) fn kept(self) -> Kept {
        match self {
            Self::F32 => Kept::F32,
            Self::Bf16 => Kept::Bf16,
            Self::Int8 => Kept::Int8,
        }
    }
}

fn samples() -> u32 {
    3
}
