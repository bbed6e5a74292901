//! What training keeps, operation by operation: the one place to correct where a measured peak says otherwise.
use super::Device;
use crate::config::{Experts, Mixer, Round, Shape, Views};
use crate::net::{Role, Weight};

/// What allocators take on top of all else: pages half full, and blocks cut to size.
pub(super) const ALLOCATOR: f64 = 0.16;
/// How much of what a block makes and lets go is not used again at once.
pub(super) const FREED: f64 = 0.5;
/// What the program takes itself, with its threads and with what operations set aside.
pub(super) const PROGRAM: u64 = 80 << 20;
/// Logits that are there at once: the head works in chunks of so many.
pub(super) fn logits(device: Device) -> u64 {
    match device {
        Device::Cpu => 1 << 21,
        Device::Gpu => 1 << 26,
    }
}
/// Times they are there, in f32: themselves, and their gradients.
pub(super) const LOGITS_TIMES: u64 = 2;
/// Times what lies between both cores of a table is there: twice on the way forward, once for each core, and so its gradient.
pub(super) const BETWEEN_TIMES: u64 = 4;
/// Numbers of 8-bit state that share a scale in f32.
pub(super) const STATE_BLOCK: u64 = 256;
/// Times the largest parameter is there once more while AdamW or SGD changes it, in f32: in pieces, and as a whole.
pub(super) const CHANGED: u64 = 2;
/// Times Newton–Schulz has its largest matrix once more, in f32: three of its shape, and three squares of it.
pub(super) const NEWTON_SCHULZ: u64 = 6;
/// Numbers of matrices that a GPU takes at once there, or one matrix if that has more.
pub(super) const STACK: u64 = 1 << 26;
/// Bytes of each then: the matrix twice and two squares of it in bf16, or four where they are half as large; momentum in f32 is in the place
/// of the gradient.
pub(super) const STACK_BYTES: u64 = 8;

/// A tensor that a block keeps from forward to backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub what: &'static str,
    /// How many numbers of it there are for a token.
    pub numbers: u64,
    /// It is in f32 whatever the precision.
    pub f32: bool,
}

/// All that a block keeps. What an operation can make again from what others keep is not kept twice: the output of
/// attention is the input of the product behind it. Dropout makes its masks again from a seed, the way back of a projection
/// the normed rows or what SwiGLU gave.
pub fn kept_by_a_block(shape: &Shape, at: usize) -> Vec<Kept> {
    let (width, mixer, inner) = (shape.width as u64, shape.mixer(at), inner(shape, at));
    let mut parts = vec![kept("input of the norm before the mixer", width)];
    parts.extend(kept_by_a_mixer(shape, mixer));
    parts.extend([kept("input of the norm before SwiGLU", width), kept("gate and up", 2 * inner)]);
    let mut dealt = 0;
    if let Some(experts) = shape.experts_of(at) {
        dealt = experts.chosen as u64 * width;
        parts.extend([
            kept("normed rows, those of each expert, and what it gave", width + 2 * dealt),
            kept("what gates let through", (experts.chosen * shape.of_experts()) as u64),
            Kept { what: "scores", numbers: 4 * experts.count as u64, f32: true },
        ]);
    }
    if shape.round == Some(Round::Ternary) {
        let read = 2 * width + dealt + made_of(shape, mixer) + of_answers(shape, mixer) + inner;
        parts.push(kept("what matrices are multiplied by, in 8 bits", read));
    }
    if let Some(rank) = shape.low_rank {
        let read = (matrices_of_a_token(shape, at) * rank) as u64;
        parts.push(kept("what stands between the two of each matrix", read));
    }
    parts
}

/// How wide all is together that stands between the matrices of a SwiGLU: of a block's one, or of the experts that a token goes through.
fn inner(shape: &Shape, at: usize) -> u64 {
    let through = |experts: Experts| (experts.chosen + experts.shared) * shape.of_experts();
    shape.experts_of(at).map_or(shape.ffn, through) as u64
}

fn kept(what: &'static str, numbers: u64) -> Kept {
    Kept { what, numbers, f32: false }
}

fn kept_by_a_mixer(shape: &Shape, mixer: Mixer) -> Vec<Kept> {
    let queries = shape.query_width() as u64;
    let all = queries + 2 * shape.key_width() as u64;
    let heads = shape.heads as u64;
    let log = Kept { what: "log of the sum of attention", numbers: heads, f32: true };
    let before_norms =
        shape.qk_norm.then(|| kept("queries and keys before their norms, values beside them", all));
    let (answers, placed) =
        (kept("output of attention", queries), kept("queries, keys and values, placed", all));
    match mixer {
        Mixer::Attention => before_norms.into_iter().chain([placed, answers, log]).collect(),
        Mixer::Hyperbolic => before_norms.into_iter().chain([placed, answers]).collect(),
        Mixer::Mla => {
            let wide = wide(shape);
            vec![
                kept("what queries, keys and values are made of", made_of(shape, mixer)),
                kept("queries, keys and values, placed", 3 * heads * wide),
                kept("output of attention", heads * wide),
                kept("output of attention, as wide as values", queries),
                log,
            ]
        }
        Mixer::Ttt => {
            let views = if shape.ttt().views == Views::Three { 3 } else { 1 };
            vec![kept("queries, keys and values", views * queries), kept("answers of heads", queries)]
        }
        Mixer::Bk => {
            let chains = shape.chains() as u64;
            let exact = |what, numbers| Kept { what, numbers, f32: true };
            vec![
                // Of two numbers a chain what lies before and behind each step of what bounds them, and the links themselves.
                exact("potentials and couplings", 20 * chains),
                exact("what chains found", 2 * chains),
                kept("what chains found, as a matrix reads it", 2 * chains),
            ]
        }
    }
}

/// How wide a head of latent attention is while it is attended for.
fn wide(shape: &Shape) -> u64 {
    shape.mla().key_width().max(shape.head_width).next_multiple_of(16) as u64
}

/// Numbers of a token that the last matrix of a mixer reads.
fn of_answers(shape: &Shape, mixer: Mixer) -> u64 {
    if mixer == Mixer::Bk { 2 * shape.chains() as u64 } else { shape.query_width() as u64 }
}

/// Numbers of a token that latent attention makes queries, keys and values of.
fn made_of(shape: &Shape, mixer: Mixer) -> u64 {
    let mla = shape.mla();
    let numbers = mla.query_rank.unwrap_or(0) + mla.rank + mla.value_rank.unwrap_or(0);
    if mixer == Mixer::Mla { numbers as u64 } else { 0 }
}

/// How many matrices a token is multiplied by in a block, where each is one.
fn matrices_of_a_token(shape: &Shape, at: usize) -> usize {
    let shape = Shape { low_rank: None, ..*shape };
    let all = Weight::of_block(&shape, at).iter().filter(|weight| weight.role == Role::Matrix).count();
    all - shape.experts_of(at).map_or(0, |experts| 3 * (experts.count - experts.chosen))
}

/// Numbers for a token that the way back of a block has at once beside what is kept: as activations are, and in f32.
pub(super) fn passing_in_a_block(shape: &Shape, at: usize, device: Device) -> [u64; 2] {
    let (heads, width, mixer) = (shape.heads as u64, shape.head_width as u64, shape.mixer(at));
    // What SwiGLU gave, once more, the gradients of that, of gate and of up, and of the residual stream before and after.
    let of_any = 4 * inner(shape, at) + 2 * shape.width as u64;
    match (mixer, device) {
        (Mixer::Attention | Mixer::Bk, _) => [of_any, 0],
        // Queries, keys and values, each by itself and side by side, and their gradients.
        (Mixer::Mla, _) => [of_any + 12 * heads * wide(shape), 0],
        // A block of queries beside all that they see.
        (Mixer::Hyperbolic, _) => [of_any, 10 * heads * 128],
        // Squares of a chunk, what has a row for each token, and matrices between chunks.
        (Mixer::Ttt, Device::Gpu) => [of_any, heads * (12 * 64 + 5 * width + 5 * width * width / 64)],
        // The gradients of queries, keys and values, by head and by token.
        (Mixer::Ttt, Device::Cpu) => [of_any, 6 * heads * width],
    }
}
