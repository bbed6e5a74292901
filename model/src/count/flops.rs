//! How many operations a token takes.
//!
//! A multiplication and an addition are two. With `N` parameters that a token is multiplied by, `L` layers, `H` heads of
//! width `Q` and sequences of `T` tokens, forward takes `2N + 4·L·H·Q·T` and training three times that, `6N + 12·L·H·Q·T`.
//! As is usual for the share of a machine's peak, attention counts as if every token saw all `T` of its sequence (or of its
//! window), though it sees half of them in the mean; recompute counts for nothing there, as it brings a model no further.
use super::Parameters;
use crate::config::{Mixer, Shape};
use serde::Serialize;

/// Operations for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flops {
    /// Once through the model.
    pub forward: u64,
    /// Forward and backward: what the share of a machine's peak is counted by.
    pub training: u64,
    /// What training takes where blocks are computed a second time for their backward.
    pub training_with_recompute: u64,
}

impl Flops {
    /// Those of a model of this shape, in sequences of its context.
    pub fn of(shape: &Shape) -> Self {
        let parts = Parameters::of(shape);
        let kinds = shape.kinds().into_iter();
        let mixing: u64 = kinds.map(|(at, blocks)| blocks * mixing(shape, shape.mixer(at))).sum();
        let blocks = 2 * (parts.attention + parts.mlp - parts.idle) + mixing;
        let forward = blocks + 2 * of_logits(shape, &parts);
        Self { forward, training: 3 * forward, training_with_recompute: 3 * forward + blocks }
    }
}

/// Operations by which a token knows of others, in one block: those of its matrices are not among them.
fn mixing(shape: &Shape, mixer: Mixer) -> u64 {
    let (heads, width) = (shape.heads as u64, shape.head_width as u64);
    match mixer {
        Mixer::Attention | Mixer::Hyperbolic => 4 * heads * width * shape.seen() as u64,
        Mixer::Mla => 2 * heads * (shape.mla().key_width() as u64 + width) * shape.seen() as u64,
        // What is answered to a query, what is given for a key, and the step from there.
        Mixer::Ttt => 6 * heads * width * width,
        // A division of complex numbers and a product of two real ones.
        Mixer::Bk => 10 * shape.chains() as u64,
    }
}

/// Multiplications that make a token's logits: one for each number of a table, or those of one core and then of the other.
fn of_logits(shape: &Shape, parts: &Parameters) -> u64 {
    let Some(embedding) = shape.embedding else { return parts.of_logits() };
    let [[m, first], [n, second]] = embedding.cores(shape.vocab_size, shape.width);
    let b = second / embedding.tensor_train;
    (m * first * b + m * n * second) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Embedding, Mixers, Mla, Model};

    #[test]
    fn a_token_takes_what_the_formula_says() {
        let model = Model { qk_norm: false, ..Model::new(12, 768, 12, 2048) };
        let flops = Flops::of(&model.shape(32_000, 1024));
        let products = 134_105_856 - 32_000 * 768 - 25 * 768;
        assert_eq!(flops.training, 6 * products + 12 * 12 * 12 * 64 * 1024);
        assert_eq!(flops.forward * 3, flops.training);
        let head = 2 * 32_000 * 768;
        assert_eq!(flops.training_with_recompute - flops.training, flops.forward - head);
    }

    #[test]
    fn a_head_of_two_cores_multiplies_by_one_and_then_by_the_other() {
        let of =
            |embedding| Flops::of(&Model { embedding, ..Model::new(2, 64, 4, 128) }.shape(120, 32)).forward;
        // 11 rows of 3 ranks of 8, and 11 of 3 of 8.
        let cores = 8 * 8 * 11 * 3 + 11 * 11 * 3 * 8;
        let embedding = Some(Embedding::of_rank(3));
        assert_eq!(of(None) - 2 * 120 * 64, of(embedding) - 2 * cores);
    }

    #[test]
    fn what_goes_along_a_text_takes_as_much_for_any_length() {
        let of = |mixer, context| {
            let mla = Mla {
                rank: 16,
                value_rank: None,
                query_rank: None,
                nope_width: 8,
                rope_width: 4,
                bias: false,
            };
            let model = Model {
                mixers: Some(Mixers::all(mixer)),
                mla: (mixer == Mixer::Mla).then_some(mla),
                ..Model::new(2, 64, 4, 128)
            };
            let shape = model.shape(100, context);
            let parts = Parameters::of(&shape);
            Flops::of(&shape).forward - 2 * (parts.attention + parts.mlp + parts.head)
        };
        assert_eq!((of(Mixer::Ttt, 32), of(Mixer::Ttt, 4096)), (2 * 6 * 4 * 16 * 16, 2 * 6 * 4 * 16 * 16));
        assert_eq!((of(Mixer::Bk, 32), of(Mixer::Bk, 4096)), (2 * 10 * 4, 2 * 10 * 4));
        assert_eq!(of(Mixer::Hyperbolic, 32), of(Mixer::Attention, 32));
        assert_eq!(of(Mixer::Mla, 32), 2 * 2 * 4 * (12 + 16) * 32);
    }

    #[test]
    fn a_window_is_all_that_attention_sees() {
        let of = |window| Flops::of(&Model { window, ..Model::new(2, 64, 4, 128) }.shape(100, 512)).forward;
        assert_eq!(of(None) - of(Some(128)), 4 * 2 * 64 * (512 - 128));
        assert_eq!(of(Some(4096)), of(None));
    }
}
