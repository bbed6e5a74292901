//! What goes into the model: rows of tokens with their places, and the setting in which they are run.
use crate::config::{Mixer, Model, rope::frequencies};
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Angles, Dropout, Ops};

/// Sequences of one length, one behind the other.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// `[rows]`, where the rows are `batch * tokens`.
    pub ids: Tensor<B, 1, Int>,
    /// `[rows]`: what comes next, or `muse_kernels::NO_LABEL`.
    pub labels: Tensor<B, 1, Int>,
    /// `[rows]`: the place of each token in its document.
    pub positions: Tensor<B, 1, Int>,
    /// `[batch, tokens]`: the first token of the sequence that each one sees.
    pub starts: Tensor<B, 2, Int>,
}

impl<B: Backend> Batch<B> {
    /// A batch from numbers in rows, each of `tokens`.
    pub fn new(tokens: usize, [ids, labels, positions, starts]: [&[i32]; 4], device: &B::Device) -> Self {
        let rows = ids.len();
        let row = |numbers: &[i32]| {
            Tensor::from_data(TensorData::new(numbers.to_vec(), [rows]), (device, DType::I32))
        };
        Self {
            ids: row(ids),
            labels: row(labels),
            positions: row(positions),
            starts: row(starts).reshape([rows / tokens.max(1), tokens]),
        }
    }

    /// The first token of each one's document, `[batch, tokens]`: the same as `starts` where no window is narrower.
    pub(crate) fn begins(&self) -> Tensor<B, 2, Int> {
        let [sequences, tokens] = self.starts.dims();
        let device = self.starts.device();
        let places = Tensor::<B, 1, Int>::arange(0..tokens as i64, (&device, self.positions.dtype()));
        places.unsqueeze::<2>() - self.positions.clone().reshape([sequences, tokens])
    }

    /// Whole sequences without documents in them: places from 0, and each token sees all before it.
    pub fn plain(tokens: usize, ids: &[i32], labels: &[i32], device: &B::Device) -> Self {
        let positions: Vec<i32> = (0..tokens as i32).cycle().take(ids.len()).collect();
        Self::new(tokens, [ids, labels, &positions, &vec![0; ids.len()]], device)
    }
}

/// How a batch is run.
#[derive(Clone, Debug)]
pub struct Setting<B: Backend> {
    /// The angles of every place.
    pub angles: Angles<B>,
    /// Those for blocks of latent attention, where there are any.
    pub latent: Option<Angles<B>>,
    /// The type of activations: f32 or bf16.
    pub dtype: DType,
    /// Which numbers are dropped.
    pub dropped: Dropped,
    /// What each row counts where experts are balanced: one over the rows of a step, and nothing where nobody learns.
    pub of_a_row: f64,
}

impl<B: Ops> Setting<B> {
    /// The setting for sequences of up to `context` tokens, with nothing dropped.
    pub fn new(model: &Model, context: usize, dtype: DType, device: &B::Device) -> Self {
        let of = |width: usize| {
            let (frequencies, scale) = frequencies(&model.rope, width);
            let pairs = frequencies.len();
            let table = |f: fn(f64) -> f64| {
                let row = |place: usize| {
                    frequencies.iter().map(move |turn| (f(place as f64 * turn) * scale) as f32)
                };
                let numbers: Vec<f32> = (0..context).flat_map(row).collect();
                Tensor::from_data(TensorData::new(numbers, [context, pairs]), (device, DType::F32))
            };
            Angles { cos: table(f64::cos), sin: table(f64::sin) }
        };
        // Where nothing is turned, by angles of the narrowest head.
        let width = if model.any_mixer(Mixer::shares_keys) { model.head_width() } else { 2 };
        let latent = model.mla.map(|mla| of(mla.rope_width));
        Self { angles: of(width), latent, dtype, dropped: Dropped::NOTHING, of_a_row: 0.0 }
    }
}

/// Which numbers are dropped: how many, and the seed that chooses them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropped {
    /// The share of what the embedding, attention and SwiGLU give, 0 for none.
    pub rate: f64,
    /// The share of what tokens have in each other, within attention.
    pub attention: f64,
    /// Which ones; another for each batch.
    pub seed: u64,
}

/// Places within the model where numbers are dropped in attention: behind all others.
const WITHIN: u64 = 1 << 32;

impl Dropped {
    /// Nothing is dropped.
    pub const NOTHING: Self = Self { rate: 0.0, attention: 0.0, seed: 0 };

    /// What a model drops while it is trained.
    pub fn of(model: &Model, seed: u64) -> Self {
        Self { rate: model.dropout, attention: model.attention_dropout, seed }
    }

    /// What is dropped of the embedding's rows.
    pub(crate) fn of_embedding(&self) -> Dropout {
        self.at(self.rate, 0)
    }

    /// What is dropped of that which the attention of a block adds.
    pub(crate) fn of_attention(&self, block: usize) -> Dropout {
        self.at(self.rate, 2 * block as u64 + 1)
    }

    /// The same for the block's SwiGLU.
    pub(crate) fn of_mlp(&self, block: usize) -> Dropout {
        self.at(self.rate, 2 * block as u64 + 2)
    }

    /// What is dropped within the attention of a block.
    pub(crate) fn within(&self, block: usize) -> Dropout {
        self.at(self.attention, WITHIN + block as u64)
    }

    fn at(&self, rate: f64, place: u64) -> Dropout {
        Dropout { rate, seed: self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place) }
    }
}
