//! Matrices in few bits: the tensor beside each that says what its codes count, and how many numbers both stand for.
use super::{Tensor, two_bits};
use safetensors::Dtype;
use std::collections::HashMap;

/// What stands behind the name of a matrix to name the tensor beside it.
const SCALE: &str = "_scale";

/// The name of the tensor that says what the codes of a matrix count.
pub fn scale_of(name: &str) -> String {
    format!("{name}{SCALE}")
}

/// The matrix that a tensor of this name would stand beside.
pub(super) fn of_scale(name: &str) -> Option<&str> {
    name.strip_suffix(SCALE)
}

/// How many numbers tensors stand for: of a matrix in two or eight bits all of them, and nothing of what stands beside it.
pub(super) fn parameters(tensors: &[Tensor]) -> u64 {
    let in_bits = tensors.iter().filter(|tensor| matches!(tensor.dtype, Dtype::U8 | Dtype::I8));
    // What a matrix has beyond the numbers of its tensor stands at the name of the one beside it.
    let beside: HashMap<String, usize> = in_bits
        .filter_map(|tensor| {
            let more = if tensor.dtype == Dtype::U8 { two_bits::FOUR - 1 } else { 0 };
            Some((scale_of(&tensor.name), more * tensor.numbers()?))
        })
        .collect();
    let count = |tensor: &Tensor| match beside.get(&tensor.name) {
        Some(more) => *more,
        None => tensor.numbers().unwrap_or(0),
    };
    tensors.iter().map(|tensor| count(tensor) as u64).sum()
}
