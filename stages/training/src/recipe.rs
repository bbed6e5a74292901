//! How a model is trained: what the parameters of a kind come to.
use muse_model::count::Precision;
use muse_model::lora::LoraConfig;
use muse_model::loss::Loss;
use muse_model::optim::OptimizerConfig;
use muse_model::schedule::Schedule;
use muse_stage::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};

/// How a model is trained. The reference pages of kinds say at length what each of these does.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Steps of the optimizer.
    pub steps: u64,
    /// A training that differs in `steps` alone may go on from the result, where the schedule allows it.
    pub extendable: bool,
    /// Tokens of a step, as the nearest number of whole sequences.
    pub batch_tokens: u64,
    /// Sequences that go through the model at once.
    pub micro_batch: Option<u64>,
    /// What changes the weights.
    pub optimizer: OptimizerConfig,
    /// The learning rate at its peak.
    pub lr: f64,
    /// How the learning rate goes over the training.
    pub schedule: Schedule,
    /// What is made small.
    pub loss: Loss,
    /// What the norm of all gradients is at most; 0 leaves them as they are.
    pub clip: f64,
    /// What weights, activations and their products are.
    pub precision: Precision,
    /// What a block keeps for its way back.
    pub recompute: Recompute,
    /// What `recompute` keeps waits in the memory of the host.
    pub offload: bool,
    /// Steps from one evaluation to the next.
    pub eval_every: u64,
    /// The most tokens that an evaluation takes.
    pub eval_tokens: u64,
    /// Steps from one checkpoint to the next, beside those of evaluations.
    pub checkpoint_every: u64,
    /// How many checkpoints stay while it trains.
    pub keep_last: u32,
    /// What chance depends on.
    pub seed: u64,
    /// Factors that are trained in the place of the weights.
    pub lora: Option<LoraConfig>,
}

/// What a block keeps for its way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// All that it needs; nothing is computed twice.
    #[default]
    None,
    /// Its input; the rest is computed once more.
    Block,
}
