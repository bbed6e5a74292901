//! How much memory a step of training takes, at the moment when it takes most.
use super::Parameters;
use super::kept;
use super::moments::{Moment, moments, product, tokens};
use super::parameters::tables;
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

/// What computes: it decides in which portions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The CPU, where small portions stay in its caches.
    Cpu,
    /// A GPU, which large ones keep busy.
    Gpu,
}

/// How a model is trained, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Training {
    /// Sequences that go through the model at once.
    pub micro_batch: u64,
    /// Several of them make a step, so their gradients are added up.
    pub adds_up: bool,
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
    /// What is trained in the place of the model, where it is not the model itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<Factors>,
}

/// Low-rank factors that stand beside matrices of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Factors {
    /// Numbers of all factors.
    pub numbers: u64,
    /// Numbers of the matrices beside which they stand.
    pub matrices: u64,
}

impl Training {
    /// How many numbers it changes.
    pub(super) fn changes(&self, parts: &Parameters) -> u64 {
        self.lora.map_or(parts.total(), |factors| factors.numbers)
    }

    /// What the optimizer has beside its numbers while it changes a parameter.
    pub(super) fn workspace(&self, shape: &Shape, device: Device) -> u64 {
        // Factors are small, even all of them.
        self.lora.map_or_else(
            || self.optimizer.workspace(shape, device),
            |factors| 4 * kept::CHANGED * factors.numbers,
        )
    }
}

/// The memory of a training step in bytes, at the moment when it is most: while blocks are gone back through, their gradients
/// come and their activations go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrainingMemory {
    /// The weights that products read.
    pub weights: u64,
    /// The same once more in f32.
    pub master_weights: u64,
    /// Gradients, in f32, so that micro-batches add up as one large batch would.
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

impl Precision {
    pub(super) fn bytes(self) -> u64 {
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
    fn numbers(self, parts: &Parameters, lora: Option<Factors>) -> u64 {
        match (self, lora) {
            (Self::Adamw, None) => 2 * parts.total(),
            (Self::Adamw, Some(factors)) => 2 * factors.numbers,
            (Self::Muon, None) => 2 * parts.total() - parts.attention - parts.mlp,
            (Self::Sgd, None) => parts.total(),
            (Self::Muon | Self::Sgd, Some(factors)) => factors.numbers,
        }
    }

    /// What it has beside them while it changes a parameter.
    fn workspace(self, shape: &Shape, device: Device) -> u64 {
        let width = shape.width as u64;
        let hidden = width * shape.query_width().max(shape.ffn) as u64;
        let largest = tables(shape).into_iter().fold(hidden, u64::max);
        let changed = 4 * kept::CHANGED * largest;
        match (self, device) {
            (Self::Muon, Device::Cpu) => changed.max(4 * kept::NEWTON_SCHULZ * hidden),
            (Self::Muon, Device::Gpu) => {
                let parts = Parameters::of(shape);
                changed.max(kept::STACK_BYTES * kept::STACK.min(parts.attention + parts.mlp).max(hidden))
            }
            (Self::Adamw | Self::Sgd, _) => changed,
        }
    }
}

impl TrainingMemory {
    /// That of a step with sequences of the shape's context, on a device of this kind.
    pub fn of(shape: &Shape, training: &Training, device: Device) -> Self {
        let parts = Parameters::of(shape);
        let (total, bytes) = (parts.total(), training.precision.bytes());
        let inputs = product([tokens(shape, training), shape.layers as u64, shape.width as u64, bytes]);
        let (moments, passing) = moments(shape, training, device);
        let most = moments.into_iter().max_by_key(Moment::sum).unwrap_or_default();
        let sum = Self {
            weights: total * bytes + training.lora.map_or(0, |factors| 4 * factors.numbers),
            master_weights: if training.precision == Precision::Bf16 { 4 * total } else { 0 },
            gradients: most.gradients,
            optimizer: training.states.bytes(training.optimizer.numbers(&parts, training.lora)),
            activations: most.activations,
            loss: most.loss,
            workspace: most.workspace,
            overhead: 0,
            total: 0,
            host: if training.recompute && training.offload { inputs } else { 0 },
        };
        let stays = [sum.weights, sum.master_weights, sum.optimizer];
        let used = stays.into_iter().fold(most.sum(), u64::saturating_add);
        let allocator = used as f64 * kept::ALLOCATOR + passing as f64 * kept::FREED;
        let overhead = (allocator as u64).saturating_add(kept::PROGRAM);
        Self { overhead, total: used.saturating_add(overhead), ..sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bk, Experts, Mixer, Mixers, Mla, Model};

    /// On a GPU.
    fn memory_of(shape: &Shape, training: &Training) -> TrainingMemory {
        TrainingMemory::of(shape, training, Device::Gpu)
    }

    fn shape(change: impl FnOnce(&mut Model)) -> Shape {
        let mut model = Model { kv_heads: Some(2), ..Model::new(4, 256, 4, 512) };
        change(&mut model);
        model.shape(1000, 128)
    }

    const PLAIN: Training = Training {
        micro_batch: 8,
        adds_up: false,
        optimizer: Optimizer::Adamw,
        states: States::F32,
        precision: Precision::F32,
        recompute: false,
        offload: false,
        lora: None,
    };

    #[test]
    fn every_row_is_what_the_formula_says() {
        let memory = memory_of(&shape(|_| ()), &PLAIN);
        let parameters = 2_874_112;
        assert_eq!((memory.weights, memory.master_weights), (4 * parameters, 0));
        assert_eq!(memory.optimizer, 8 * parameters);
        // The last block is being gone back through: its gradients and those of the head.
        assert_eq!(memory.gradients, 4 * (parameters / 4 + 256 * 1000));
        // Width 256 twice, queries 256, keys and values of 128 by what is kept of them, SwiGLU twice 512, four heads.
        let numbers = 2 * 256 + 2 * (256 + 128 + 128) + 256 + 2 * 512 + 4;
        let tokens = 8 * 128;
        assert_eq!(memory.activations, 4 * tokens * 4 * numbers);
        assert_eq!(
            (memory.loss, memory.workspace),
            (0, tokens * (4 * 512 + 2 * 256) * 4),
            "gradients within a block"
        );
        // With more tokens to choose from the most is at the loss.
        let wide = memory_of(&shape(|model| model.vocab_size = Some(4000)), &PLAIN);
        assert_eq!((wide.loss, wide.workspace), (2 * tokens * 256 * 4, 2 * 4 * 1024 * 4000));
        assert_eq!(wide.gradients, 4 * 256 * 4000);
        let wider = memory_of(&shape(|model| model.vocab_size = Some(100_000)), &PLAIN);
        assert_eq!(wider.workspace, 2 * 4 * (1 << 26), "a chunk of them");
        let wide = shape(|model| model.vocab_size = Some(4000));
        let on_cpu = TrainingMemory::of(&wide, &PLAIN, Device::Cpu);
        assert_eq!(
            (on_cpu.loss, on_cpu.workspace),
            (2 * tokens * 256 * 4, 2 * 4 * (1 << 21)),
            "a smaller chunk"
        );
        let used = 12 * parameters + memory.gradients + memory.activations + memory.workspace;
        assert_eq!(memory.total, used + memory.overhead);
        assert_eq!(memory.overhead, (used as f64 * 0.16 + memory.workspace as f64 * 0.5) as u64 + (80 << 20));
    }

    #[test]
    fn precision_and_states_change_their_rows() {
        let of = |change: fn(&mut Training)| {
            let mut training = PLAIN;
            change(&mut training);
            memory_of(&shape(|_| ()), &training)
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
            let training = Training { recompute, offload, micro_batch: 64, ..PLAIN };
            memory_of(&shape(|model| model.layers = layers), &training)
        };
        let input = 64 * 128 * 256 * 4;
        assert_eq!(of(48, true, false).activations - of(12, true, false).activations, 36 * input);
        assert!(of(12, false, false).activations > 5 * of(12, true, false).activations);
        let (near, far) = (of(12, true, true), of(48, true, true));
        assert_eq!((near.activations, near.host), (far.activations, 12 * input));
        assert_eq!(of(1, true, false).activations, of(1, false, false).activations + input);
    }

    /// Holds what is counted to what was measured, both in GiB.
    #[track_caller]
    fn about(model: &Model, micro_batch: u64, measured: f64) {
        let training = Training { micro_batch, precision: Precision::Bf16, ..PLAIN };
        let counted = memory_of(&model.shape(32_000, 1024), &training).total as f64 / f64::from(1 << 30);
        assert!((0.85..1.15).contains(&(counted / measured)), "{counted:.2} and {measured}");
    }

    /// What was measured on an H200 by `muse bench`, with what CUDA takes itself: docs/benchmarks.md.
    #[test]
    fn every_kind_of_block_takes_about_what_was_measured() {
        let mla = Mla {
            rank: 256,
            value_rank: None,
            query_rank: None,
            nope_width: 32,
            rope_width: 32,
            bias: false,
        };
        for (mixer, measured) in [
            (Mixer::Attention, 5.79),
            (Mixer::Mla, 5.76),
            (Mixer::Ttt, 5.76),
            (Mixer::Bk, 5.26),
            (Mixer::Hyperbolic, 6.41),
        ] {
            let model = Model {
                mixers: Some(Mixers::all(mixer)),
                mla: (mixer == Mixer::Mla).then_some(mla),
                bk: (mixer == Mixer::Bk).then_some(Bk { chains: 8 }),
                ..Model::new(12, 768, 12, 2048)
            };
            about(&model, 8, measured);
        }
        let experts = Some(Experts { shared: 1, ..Experts::new(8, 2) });
        let with_experts = Model { experts, ..Model::new(12, 768, 12, 704) };
        about(&with_experts, 8, 9.14);
        about(&with_experts, 32, 19.1);
    }

    #[test]
    fn what_takes_most_is_the_moment_that_counts() {
        let few = Training { micro_batch: 1, recompute: true, ..PLAIN };
        // So many rows of the embedding that its copies are more than all that a batch takes.
        let wide = shape(|model| (model.vocab_size, model.tied) = (Some(1 << 20), true));
        let memory = memory_of(&wide, &few);
        assert_eq!(memory.workspace, 4 * 2 * 256 * (1 << 20));
        assert_eq!((memory.activations, memory.loss), (0, 0));
        // Few tokens: when the way back ends, all gradients are there and one block's activations.
        let one = shape(|model| (model.layers, model.vocab_size) = (48, Some(10)));
        let parameters = Parameters::of(&one).total();
        let memory = memory_of(&one, &Training { optimizer: Optimizer::Sgd, ..few });
        assert_eq!(memory.gradients, 4 * parameters);
        // Earlier micro-batches left theirs, which new ones are added to.
        let adds_up = |micro_batch| memory_of(&one, &Training { adds_up: true, micro_batch, ..PLAIN });
        assert_eq!(adds_up(64).gradients, 4 * (parameters + parameters / 48));
        assert!(adds_up(64).activations > adds_up(64).gradients);
    }

    #[test]
    fn the_largest_model_and_batch_stay_within_64_bits() {
        let mut model = Model::new(1 << 10, 1 << 17, 1 << 10, 1 << 20);
        model.vocab_size = Some(1 << 22);
        assert_eq!(model.check(), []);
        let shape = model.shape(1, 1 << 27);
        let of = |training| memory_of(&shape, &training);
        let memory = of(Training { micro_batch: 1, ..PLAIN });
        assert!(memory.total > memory.activations && memory.total < u64::MAX);
        // More than they hold is never less than fewer sequences take.
        for (recompute, offload) in [(false, false), (true, false), (true, true)] {
            let row = |power: u32| {
                let memory = of(Training { micro_batch: 1 << power, recompute, offload, ..PLAIN });
                [memory.activations, memory.loss, memory.workspace, memory.total, memory.host]
            };
            let rows: Vec<_> = (0..64).map(row).collect();
            assert!(rows.is_sorted_by_key(|row| row[3]), "{rows:?}");
            // Of what is more than they hold nobody knows at which moment it is most.
            let known = rows.iter().position(|row| row[3] == u64::MAX).expect("the last ones are");
            for column in 0..5 {
                assert!(rows[..known].is_sorted_by_key(|row| row[column]), "{column} {rows:?}");
            }
        }
        assert_eq!(of(Training { micro_batch: 1 << 30, ..PLAIN }).total, u64::MAX);
    }
}
