//! How much memory a model takes in use.
use super::{Device, Parameters};
use crate::config::{Mixer, Round, Shape};
use crate::net::{Role, Weight};
use muse_kernels::Kept;
use serde::Serialize;

/// The memory of a model in use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Inference {
    /// The weights, in bf16; matrices of three values in two bits each.
    pub weights: u64,
    /// Keys and values of one token, in bf16.
    pub cache_per_token: u64,
    /// Those of a sequence.
    pub cache: u64,
    /// What blocks that go along a text keep of it, however long it is, in f32.
    #[serde(skip_serializing_if = "is_nothing")]
    pub state: u64,
    /// All of it.
    pub total: u64,
}

impl Inference {
    /// That of one sequence of the shape's context.
    pub fn of(shape: &Shape) -> Self {
        let weights = weights_in_use(shape, Kept::Bf16, Device::Cpu);
        let cache_per_token = 2 * of_token(shape);
        let cache = cache_per_token * shape.seen() as u64;
        let state = of_text(shape);
        Self { weights, cache_per_token, cache, state, total: weights + cache + state }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for one")]
fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

/// Numbers that are kept of each token of a text, in all blocks.
fn of_token(shape: &Shape) -> u64 {
    let of_block = |mixer| match mixer {
        Mixer::Attention | Mixer::Hyperbolic => 2 * shape.key_width(),
        Mixer::Mla => shape.mla().kept(),
        Mixer::Ttt | Mixer::Bk => 0,
    };
    shape.kinds().into_iter().map(|(at, blocks)| blocks * of_block(shape.mixer(at)) as u64).sum()
}

/// Bytes that are kept of a text whatever its length, in all blocks.
fn of_text(shape: &Shape) -> u64 {
    let of_block = |mixer| match mixer {
        Mixer::Attention | Mixer::Hyperbolic | Mixer::Mla => 0,
        Mixer::Ttt => shape.heads * shape.head_width * shape.head_width,
        Mixer::Bk => 2 * shape.chains(),
    };
    shape.kinds().into_iter().map(|(at, blocks)| 4 * blocks * of_block(shape.mixer(at)) as u64).sum()
}

/// What the decoder holds at least, in bytes: weights as they are kept, and keys and values of so many texts, which are in f32 on a
/// CPU, and on a GPU where weights are.
pub fn held_in_use(shape: &Shape, kept: Kept, texts: usize, device: Device) -> u64 {
    let weights = weights_in_use(shape, kept, device);
    let number = if device == Device::Gpu && kept != Kept::F32 { 2 } else { 4 };
    let keys_and_values = number * of_token(shape) * shape.context as u64;
    weights + texts as u64 * (keys_and_values + of_text(shape))
}

/// The bytes of all weights as they are kept.
pub fn weights_in_use(shape: &Shape, kept: Kept, device: Device) -> u64 {
    let bytes = |numbers: u64| match kept {
        Kept::F32 => 4 * numbers,
        Kept::Bf16 => 2 * numbers,
        // A scale in half precision stands beside 32 of them.
        Kept::Int8 => numbers + numbers / 16,
    };
    // A table of cores is made once, and kept whole.
    let shape = &Shape { embedding: None, ..*shape };
    match device {
        Device::Gpu => bytes(Parameters::of(shape).total() + beside(shape)),
        Device::Cpu if shape.round == Some(Round::Ternary) => {
            let [numbers, rows] = of_matrices(shape);
            bytes(Parameters::of(shape).total() - numbers) + numbers / 4 + 4 * rows
        }
        Device::Cpu => bytes(Parameters::of(shape).total()),
    }
}

/// What a GPU has in zeros beside second matrices of low rank: rows are as wide as a multiple of 32, and as all that lies between the
/// matrices that have their input in common.
fn beside(shape: &Shape) -> u64 {
    let Some(rank) = shape.low_rank else { return 0 };
    let of = |rows: usize, parts: usize| rows * ((parts * rank).next_multiple_of(32) - rank);
    let of_attention = of(shape.query_width() + 2 * shape.key_width(), 3) + of(shape.width, 1);
    let of_mlp = of(2 * shape.ffn, 2) + of(shape.width, 1);
    (shape.layers * (of_attention + of_mlp)) as u64
}

/// Numbers of all matrices of blocks, and their rows, each of which has a scale where they are of three values.
fn of_matrices(shape: &Shape) -> [u64; 2] {
    let of_block = |at| {
        let matrices = Weight::of_block(shape, at).into_iter().filter(|weight| weight.role == Role::Matrix);
        matrices.fold([0, 0], |[numbers, rows], weight| {
            [numbers + weight.len() as u64, rows + weight.shape[0] as u64]
        })
    };
    let add = |[numbers, rows]: [u64; 2], (at, blocks): (usize, u64)| {
        let [more, of_these] = of_block(at);
        [numbers + blocks * more, rows + blocks * of_these]
    };
    shape.kinds().into_iter().fold([0, 0], add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bk, Linear, Mixers, Model};

    #[test]
    fn what_is_held_goes_by_how_weights_are_kept_and_by_texts() {
        let shape = Model { kv_heads: Some(2), ..Model::new(4, 256, 4, 512) }.shape(1000, 128);
        let of = |kept, texts| held_in_use(&shape, kept, texts, Device::Cpu);
        assert_eq!(of(Kept::F32, 0), 4 * 2_874_112);
        assert_eq!(of(Kept::Bf16, 0), 2 * 2_874_112);
        assert_eq!(of(Kept::Int8, 0), 2_874_112 + 2_874_112 / 16);
        let cached = 3 * 128 * 2 * 4 * 128;
        assert_eq!(of(Kept::F32, 3) - of(Kept::F32, 0), cached * 4);
        let on_gpu = |kept| held_in_use(&shape, kept, 3, Device::Gpu) - of(kept, 0);
        assert_eq!([Kept::F32, Kept::Bf16, Kept::Int8].map(on_gpu), [cached * 4, cached * 2, cached * 2]);
    }

    #[test]
    fn three_values_are_two_bits_and_a_scale_a_row() {
        let linear = |low_rank| Some(Linear { low_rank, round: Some(Round::Ternary) });
        let model = Model { kv_heads: Some(2), ..Model::new(4, 256, 4, 512) };
        let of = |low_rank| {
            let shape = Model { linear: linear(low_rank), ..model.clone() }.shape(1000, 128);
            weights_in_use(&shape, Kept::Bf16, Device::Cpu)
        };
        let (attention, mlp) = (4 * (2 * 256 * 256 + 2 * 256 * 128), 4 * 3 * 256 * 512);
        let rest = 2_874_112 - attention - mlp;
        let rows = 4 * (256 + 2 * 128 + 256 + 2 * 512 + 256);
        assert_eq!(of(None), 2 * rest + (attention + mlp) / 4 + 4 * rows);
        let two = 4 * 16 * (2 * (256 + 256) + 2 * (256 + 128) + 3 * (256 + 512));
        assert_eq!(of(Some(16)), 2 * rest + two / 4 + 4 * (rows + 4 * 7 * 16));
    }

    #[test]
    fn a_gpu_has_rows_of_low_rank_as_wide_as_its_products_read_them() {
        let model = Model { kv_heads: Some(2), ..Model::new(4, 256, 4, 512) };
        let of = |rank, device| {
            let linear = Some(Linear { low_rank: Some(rank), round: None });
            weights_in_use(&Model { linear, ..model.clone() }.shape(1000, 128), Kept::F32, device) / 4
        };
        let beside = |rank| of(rank, Device::Gpu) - of(rank, Device::Cpu);
        // Rows of 96 in the place of 32 for the three that attention begins with, of 64 for gate and up.
        assert_eq!(beside(32), 4 * ((256 + 2 * 128) * 64 + 2 * 512 * 32));
        assert_eq!(beside(16), 4 * ((256 + 2 * 128) * 48 + 2 * 512 * 16 + 2 * 256 * 16));
    }

    #[test]
    fn what_goes_along_a_text_is_as_large_for_any_length() {
        let of = |mixers: &[Mixer], context| {
            let mixers = Some(Mixers::try_from(mixers.to_vec()).unwrap());
            let model = Model { mixers, bk: Some(Bk { chains: 3 }), ..Model::new(4, 256, 4, 512) };
            model.shape(1000, context)
        };
        let ttt = of(&[Mixer::Ttt], 128);
        let used = Inference::of(&ttt);
        assert_eq!((used.cache, used.state), (0, 4 * 4 * 4 * 64 * 64));
        assert_eq!(Inference::of(&of(&[Mixer::Ttt], 4096)).total, used.total);
        assert_eq!(used.total, used.weights + used.state);
        let held = |shape, texts| held_in_use(shape, Kept::F32, texts, Device::Cpu);
        assert_eq!(held(&ttt, 3) - held(&ttt, 0), 3 * used.state);
        let turns = Inference::of(&of(&[Mixer::Bk, Mixer::Attention], 128));
        assert_eq!((turns.cache_per_token, turns.state), (2 * 2 * 2 * 256, 2 * 4 * 2 * 12));
    }

    #[test]
    fn a_cache_holds_keys_and_values_of_what_attention_sees() {
        let of = |change: fn(&mut Model)| {
            let mut model = Model { kv_heads: Some(2), ..Model::new(4, 256, 4, 512) };
            change(&mut model);
            Inference::of(&model.shape(1000, 128))
        };
        let whole = of(|_| ());
        assert_eq!(whole.weights, 2 * 2_874_112);
        assert_eq!(whole.cache_per_token, 2 * 4 * 128 * 2);
        assert_eq!(whole.cache, 128 * whole.cache_per_token);
        assert_eq!(of(|model| model.window = Some(32)).cache, 32 * whole.cache_per_token);
        // Grouped queries: six heads share a cache of one.
        let shared = of(|model| (model.heads, model.width, model.kv_heads) = (6, 384, Some(1)));
        let own = of(|model| (model.heads, model.width, model.kv_heads) = (6, 384, None));
        assert_eq!(own.cache, 6 * shared.cache);
    }
}
