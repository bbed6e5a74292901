//! How much memory a model takes, to train it and to use it.
use super::Parameters;
use super::kept::{self, kept_by_a_block};
use crate::config::Shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What weights, activations and their products are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// All in f32.
    #[default]
    F32,
    /// bf16, and the weights once more in f32, which is what the optimizer changes.
    Bf16,
    /// bf16 alone: the optimizer rounds at random, so that small changes count in the mean.
    Bf16Stochastic,
}

/// What changes the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Two numbers for each parameter.
    Adamw,
    /// One for those of the blocks' matrices, two for the others. MuonClip takes the same.
    Muon,
    /// One, its momentum.
    Sgd,
}

/// What the numbers of an optimizer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum States {
    /// Four bytes.
    F32,
    /// Two bytes.
    Bf16,
    /// One byte, and a scale for many.
    Int8,
}

/// How a model is trained, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Training {
    /// Sequences that go through the model at once.
    pub micro_batch: u64,
    /// What changes the weights.
    pub optimizer: Optimizer,
    /// What its numbers are.
    pub states: States,
    /// What weights and activations are.
    pub precision: Precision,
    /// Blocks keep their input alone, and are computed a second time for their backward.
    pub recompute: bool,
    /// These inputs wait in the memory of the host.
    pub offload: bool,
}

/// The memory of a training step at its peak, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrainingMemory {
    /// The weights that products read.
    pub weights: u64,
    /// The same once more in f32.
    pub master_weights: u64,
    /// A gradient for each, in f32, so that micro-batches add up as one large batch would.
    pub gradients: u64,
    /// The optimizer's numbers.
    pub optimizer: u64,
    /// What blocks keep for their backward.
    pub activations: u64,
    /// What the head and its loss keep: their input, and its gradient.
    pub loss: u64,
    /// What is there for a moment: the logits of a chunk, the gradients within a block, or the optimizer's copies.
    pub workspace: u64,
    /// What allocators take on top, and the program.
    pub overhead: u64,
    /// All of this.
    pub total: u64,
    /// What waits in the memory of the host instead.
    pub host: u64,
}

/// The memory of a model in use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Inference {
    /// The weights, in bf16.
    pub weights: u64,
    /// Keys and values of one token, in bf16.
    pub cache_per_token: u64,
    /// Those of a sequence.
    pub cache: u64,
    /// Both.
    pub total: u64,
}

impl Precision {
    fn bytes(self) -> u64 {
        if self == Self::F32 { 4 } else { 2 }
    }
}

impl States {
    fn bytes(self, numbers: u64) -> u64 {
        match self {
            Self::F32 => 4 * numbers,
            Self::Bf16 => 2 * numbers,
            Self::Int8 => numbers + 4 * numbers.div_ceil(kept::STATE_BLOCK),
        }
    }
}

impl Optimizer {
    /// How many numbers it keeps for these parameters.
    fn numbers(self, parts: &Parameters) -> u64 {
        match self {
            Self::Adamw => 2 * parts.total(),
            Self::Muon => 2 * parts.total() - parts.attention - parts.mlp,
            Self::Sgd => parts.total(),
        }
    }

    /// What it has beside them while it changes a parameter.
    fn workspace(self, shape: &Shape) -> u64 {
        let width = shape.width as u64;
        let hidden = width * shape.query_width().max(shape.ffn) as u64;
        let largest = hidden.max(width * shape.vocab_size as u64);
        match self {
            Self::Muon => 4 * (kept::NEWTON_SCHULZ * hidden).max(kept::CHANGED * largest),
            Self::Adamw | Self::Sgd => 4 * kept::CHANGED * largest,
        }
    }
}

impl TrainingMemory {
    /// That of a step with sequences of the shape's context. What is too much for 64 bits is as much as they hold, which no
    /// machine has either.
    pub fn of(shape: &Shape, training: &Training) -> Self {
        let parts = Parameters::of(shape);
        let (total, bytes) = (parts.total(), training.precision.bytes());
        let product = |all: &[u64]| all.iter().fold(1, |so_far: u64, number| so_far.saturating_mul(*number));
        let tokens = product(&[training.micro_batch, shape.context as u64]);
        let (layers, width) = (shape.layers as u64, shape.width as u64);
        let kept = kept_by_a_block(shape);
        let block: u64 = kept.iter().map(|kept| kept.numbers * if kept.f32 { 4 } else { bytes }).sum();
        let inputs = product(&[tokens, layers, width, bytes]);
        let (activations, host) = match (training.recompute, training.offload) {
            (false, _) => (product(&[tokens, layers, block]), 0),
            (true, false) => (inputs.saturating_add(product(&[tokens, block])), 0),
            // One block's input is there, and the next is on its way.
            (true, true) => (product(&[tokens, 2 * width * bytes + block]), inputs),
        };
        let loss = product(&[2, tokens, width, bytes]);
        let logits = kept::LOGITS_TIMES * 4 * kept::LOGITS.min(product(&[tokens, shape.vocab_size as u64]));
        let backward = product(&[tokens, kept::backward_of_a_block(shape), bytes]);
        // When the optimizer has its turn, the activations are gone.
        let update = training.optimizer.workspace(shape).saturating_sub(activations).saturating_sub(loss);
        let sum = Self {
            weights: total * bytes,
            master_weights: if training.precision == Precision::Bf16 { 4 * total } else { 0 },
            gradients: 4 * total,
            optimizer: training.states.bytes(training.optimizer.numbers(&parts)),
            activations,
            loss,
            workspace: logits.max(backward).max(update),
            overhead: 0,
            total: 0,
            host,
        };
        let used = [
            sum.weights,
            sum.master_weights,
            sum.gradients,
            sum.optimizer,
            sum.activations,
            sum.loss,
            sum.workspace,
        ];
        let used = used.into_iter().fold(0, u64::saturating_add);
        let overhead = ((used as f64 * kept::ALLOCATOR) as u64).saturating_add(kept::PROGRAM);
        Self { overhead, total: used.saturating_add(overhead), ..sum }
    }
}

impl Inference {
    /// That of one sequence of the shape's context.
    pub fn of(shape: &Shape) -> Self {
        let weights = 2 * Parameters::of(shape).total();
        let cache_per_token = 2 * 2 * (shape.layers * shape.key_width()) as u64;
        let cache = cache_per_token * shape.seen() as u64;
        Self { weights, cache_per_token, cache, total: weights + cache }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Model;

    fn shape(change: impl FnOnce(&mut Model)) -> Shape {
        let mut model = Model { kv_heads: Some(2), ..Model::new(4, 256, 4, 512) };
        change(&mut model);
        model.shape(1000, 128)
    }

    const PLAIN: Training = Training {
        micro_batch: 8,
        optimizer: Optimizer::Adamw,
        states: States::F32,
        precision: Precision::F32,
        recompute: false,
        offload: false,
    };

    #[test]
    fn every_row_is_what_the_formula_says() {
        let memory = TrainingMemory::of(&shape(|_| ()), &PLAIN);
        let parameters = 2_874_112;
        assert_eq!((memory.weights, memory.master_weights), (4 * parameters, 0));
        assert_eq!((memory.gradients, memory.optimizer), (4 * parameters, 8 * parameters));
        // Width 256 four times, queries 256 and keys 128 by what is kept of them, SwiGLU three times 512, four heads.
        let numbers = 4 * 256 + (256 + 128) + (256 + 128) + 128 + 256 + 3 * 512 + 4;
        let tokens = 8 * 128;
        assert_eq!(memory.activations, 4 * tokens * 4 * numbers);
        assert_eq!(memory.loss, 2 * tokens * 256 * 4);
        assert_eq!(memory.workspace, tokens * (3 * 512 + 2 * 256) * 4, "gradients within a block");
        let workspace = |vocab_size| {
            TrainingMemory::of(&shape(|model| model.vocab_size = Some(vocab_size)), &PLAIN).workspace
        };
        assert_eq!(workspace(4000), 2 * 4 * 1024 * 4000, "the logits are more");
        assert_eq!(workspace(100_000), 2 * 4 * (1 << 26), "a chunk of them");
        let used = 16 * parameters + memory.activations + memory.loss + memory.workspace;
        assert_eq!(memory.total, used + memory.overhead);
        assert_eq!(memory.overhead, used / 10 + (64 << 20));
    }

    #[test]
    fn precision_and_states_change_their_rows() {
        let of = |change: fn(&mut Training)| {
            let mut training = PLAIN;
            change(&mut training);
            TrainingMemory::of(&shape(|_| ()), &training)
        };
        let parameters = 2_874_112;
        let bf16 = of(|training| training.precision = Precision::Bf16);
        assert_eq!((bf16.weights, bf16.master_weights), (2 * parameters, 4 * parameters));
        // All but the four heads' sums, which stay f32.
        assert_eq!(of(|_| ()).activations - bf16.activations, bf16.activations - 4 * 1024 * 4 * 4);
        assert_eq!(of(|training| training.precision = Precision::Bf16Stochastic).master_weights, 0);
        assert_eq!(of(|training| training.states = States::Bf16).optimizer, 4 * parameters);
        let int8 = of(|training| training.states = States::Int8).optimizer;
        assert_eq!(int8, 2 * parameters + 4 * (2 * parameters).div_ceil(256));
        let hidden = 4 * (2 * 256 * 256 + 2 * 256 * 128) + 4 * 3 * 256 * 512;
        assert_eq!(
            of(|training| training.optimizer = Optimizer::Muon).optimizer,
            8 * parameters - 4 * hidden
        );
        assert_eq!(of(|training| training.optimizer = Optimizer::Sgd).optimizer, 4 * parameters);
    }

    #[test]
    fn with_recompute_memory_grows_by_one_input_a_block() {
        let of = |layers, recompute, offload| {
            let training = Training { recompute, offload, ..PLAIN };
            TrainingMemory::of(&shape(|model| model.layers = layers), &training)
        };
        let input = 8 * 128 * 256 * 4;
        assert_eq!(of(48, true, false).activations - of(12, true, false).activations, 36 * input);
        assert!(of(12, false, false).activations > 5 * of(12, true, false).activations);
        let (near, far) = (of(12, true, true), of(48, true, true));
        assert_eq!((near.activations, near.host), (far.activations, 12 * input));
        assert_eq!(of(1, true, false).activations, of(1, false, false).activations + input);
    }

    #[test]
    fn the_optimizers_copies_count_where_activations_leave_no_room() {
        let few = Training { micro_batch: 1, ..PLAIN };
        let wide = shape(|model| model.vocab_size = Some(1 << 20));
        let memory = TrainingMemory::of(&wide, &Training { recompute: true, ..few });
        let copies = 4 * 2 * 256 * (1 << 20);
        assert_eq!(memory.workspace, copies - memory.activations - memory.loss);
    }

    #[test]
    fn the_largest_model_and_batch_stay_within_64_bits() {
        let mut model = Model::new(1 << 10, 1 << 17, 1 << 10, 1 << 20);
        model.vocab_size = Some(1 << 22);
        assert_eq!(model.check(), []);
        let shape = model.shape(1, 1 << 27);
        let of = |training| TrainingMemory::of(&shape, &training);
        let memory = of(Training { micro_batch: 1, ..PLAIN });
        assert!(memory.total > memory.activations && memory.total < u64::MAX);
        assert!(Inference::of(&shape).total > 0);
        // More than they hold is never less than fewer sequences take.
        for (recompute, offload) in [(false, false), (true, false), (true, true)] {
            let row = |power: u32| {
                let memory = of(Training { micro_batch: 1 << power, recompute, offload, ..PLAIN });
                [memory.activations, memory.loss, memory.workspace, memory.total, memory.host]
            };
            let rows: Vec<_> = (0..64).map(row).collect();
            for column in 0..5 {
                assert!(rows.is_sorted_by_key(|row| row[column]), "{column} {rows:?}");
            }
        }
        assert_eq!(of(Training { micro_batch: 1 << 30, ..PLAIN }).total, u64::MAX);
    }

    #[test]
    fn a_cache_holds_keys_and_values_of_what_attention_sees() {
        let whole = Inference::of(&shape(|_| ()));
        assert_eq!(whole.weights, 2 * 2_874_112);
        assert_eq!(whole.cache_per_token, 2 * 4 * 128 * 2);
        assert_eq!(whole.cache, 128 * whole.cache_per_token);
        assert_eq!(Inference::of(&shape(|model| model.window = Some(32))).cache, 32 * whole.cache_per_token);
        // Grouped queries: six heads share a cache of one.
        let heads =
            |kv| Inference::of(&shape(|model| (model.heads, model.width, model.kv_heads) = (6, 384, kv)));
        assert_eq!(heads(None).cache, 6 * heads(Some(1)).cache);
    }
}
