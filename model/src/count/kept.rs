//! What training keeps, operation by operation: the one place to correct where a measured peak says otherwise.
use super::Device;
use crate::config::{Round, Shape};

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
pub fn kept_by_a_block(shape: &Shape) -> Vec<Kept> {
    let (width, ffn) = (shape.width as u64, shape.ffn as u64);
    let queries = shape.query_width() as u64;
    let all = queries + 2 * shape.key_width() as u64;
    let kept = |what, numbers| Kept { what, numbers, f32: false };
    let mut parts = vec![kept("input of the norm before attention", width)];
    if shape.qk_norm {
        parts.push(kept("queries and keys before their norms, values beside them", all));
    }
    parts.extend([
        kept("queries, keys and values, placed", all),
        kept("output of attention", queries),
        Kept { what: "log of the sum of attention", numbers: shape.heads as u64, f32: true },
        kept("input of the norm before SwiGLU", width),
        kept("gate and up", 2 * ffn),
    ]);
    if shape.round == Some(Round::Ternary) {
        parts.push(kept("what matrices are multiplied by, in 8 bits", 2 * width + queries + ffn));
    }
    if let Some(rank) = shape.low_rank {
        parts.push(kept("what stands between the two of each matrix", 7 * rank as u64));
    }
    parts
}

/// Numbers for a token that the backward of a block has at once beside what is kept: what SwiGLU gave, once more, the gradients
/// of that, of gate and of up, and of the residual stream before and after.
pub(super) fn backward_of_a_block(shape: &Shape) -> u64 {
    4 * shape.ffn as u64 + 2 * shape.width as u64
}
