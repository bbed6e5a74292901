//! What stands under `with:`.
use muse_model::config::Model;
use muse_model::count::Precision;
use muse_model::loss::Loss;
use muse_model::optim::OptimizerConfig;
use muse_model::schedule::Schedule;
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{ConfigFile, Count, Execution, Extendable};
use muse_training::{Recipe, Recompute};
use serde::{Deserialize, Serialize};

/// What stands under `with:`. Fields that only say how the work is done (`recompute`, `offload`, `checkpoint_every`,
/// `keep_last`) may change at any time, and a training goes on; all others are part of what is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The model: a file of `configs/models/`.
    pub model: ConfigFile<Model>,
    /// How long to train, in tokens; made up to whole steps of `batch_tokens`. Either this or `steps`. Where the schedule
    /// allows it, more of it goes on from a result with less.
    #[serde(default)]
    pub tokens: Option<Extendable<Count>>,
    /// How long to train, in steps of the optimizer. Either this or `tokens`.
    #[serde(default)]
    pub steps: Option<Extendable<Count>>,
    /// Tokens of one step of the optimizer, as the nearest number of whole sequences; those that fill up sequences count
    /// too. Usual: 16k for a million parameters, 500k for a hundred million, 4M for ten billion.
    #[serde(default = "batch_tokens")]
    pub batch_tokens: Count,
    /// Sequences that go through the model at once on a device, and what memory is needed for; the gradients of several add up
    /// to a step, over all devices. Left out, as many as have 16,384 tokens. Another number gives the same up to rounding, and
    /// rounding is part of what is made: where memory alone is short, `recompute` and `offload` change nothing.
    #[serde(default)]
    pub micro_batch: Option<Count>,
    /// What changes the weights.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The learning rate at its peak. Usual for `adamw` and `muon`: 1e-3 to 3e-3 for a million parameters, 6e-4 for a hundred
    /// million, 3e-4 from a billion on. `sgd` takes a hundred times as much.
    #[serde(default = "lr")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub lr: f64,
    /// How the learning rate goes over the training.
    #[serde(default)]
    pub schedule: Schedule,
    /// What is made small.
    #[serde(default)]
    pub loss: Loss,
    /// The norm of all gradients together is no more than this in a step; larger ones are scaled down. 0 leaves them as they
    /// are.
    #[serde(default = "clip")]
    #[schemars(range(min = 0.0))]
    pub clip: f64,
    /// What weights, activations and their products are. `f32` is exact, and within 1e-5 the same on every device; `bf16` takes
    /// half of the memory and is several times as fast on GPUs that have it.
    #[serde(default)]
    pub precision: Precision,
    /// What a block keeps for its way back. With `block` memory grows by one input a block instead of all that it computes,
    /// and a step takes about a third longer.
    #[serde(default)]
    pub recompute: Execution<Recompute>,
    /// The inputs that `recompute: block` keeps wait in the memory of the host.
    #[serde(default)]
    pub offload: Execution<bool>,
    /// Steps from one evaluation on what is held back to the next; the last step is followed by one too. Each keeps a
    /// checkpoint, which is where a training goes back to whose steps come to nothing, so this counts even where nothing is
    /// held back.
    #[serde(default = "eval_every")]
    pub eval_every: Count,
    /// The most tokens that an evaluation takes, spread evenly over what is held back; always the same ones.
    #[serde(default = "eval_tokens")]
    pub eval_tokens: Count,
    /// Steps from one checkpoint to the next, beside those of evaluations: what is lost at most where the power fails. A
    /// training that is stopped in peace keeps one in any case.
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: Execution<Count>,
    /// How many checkpoints stay while it trains, beside the best and the one to go back to.
    #[serde(default = "keep_last")]
    #[schemars(range(min = 1))]
    pub keep_last: Execution<u32>,
    /// What chance depends on: the first weights, the order of sequences, what is dropped.
    #[serde(default)]
    pub seed: u64,
}

impl Params {
    /// How many steps are made.
    pub fn steps(&self) -> u64 {
        match (self.steps, self.tokens) {
            (Some(steps), _) => steps.0.0,
            (None, Some(tokens)) => tokens.0.0.div_ceil(self.batch_tokens.0.max(1)),
            (None, None) => 0,
        }
    }

    /// How it trains.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            steps: self.steps(),
            extendable: true,
            batch_tokens: self.batch_tokens.0,
            micro_batch: self.micro_batch.map(|count| count.0),
            optimizer: self.optimizer.clone(),
            lr: self.lr,
            schedule: self.schedule.clone(),
            loss: self.loss.clone(),
            clip: self.clip,
            precision: self.precision,
            recompute: *self.recompute,
            offload: *self.offload,
            eval_every: self.eval_every.0,
            eval_tokens: self.eval_tokens.0,
            checkpoint_every: self.checkpoint_every.0.0,
            keep_last: *self.keep_last,
            seed: self.seed,
            lora: None,
        }
    }
}

fn batch_tokens() -> Count {
    Count(32_768)
}

fn lr() -> f64 {
    6e-4
}

fn clip() -> f64 {
    1.0
}

fn eval_every() -> Count {
    Count(250)
}

fn eval_tokens() -> Count {
    Count(1_000_000)
}

fn checkpoint_every() -> Execution<Count> {
    Execution(Count(1000))
}

fn keep_last() -> Execution<u32> {
    Execution(2)
}
