//! Tensors that a kernel goes through at once: each start costs as much as a small one.
use super::kernel::{Kernel, Words};
use super::tensor::Numbers;
use burn::backend::Cuda;
use burn::prelude::*;

/// How many there are at most, as `many.cu` has it.
pub(super) const SIDE: usize = 16;

/// Threads of a block that changes numbers where they lie, and how many of a tensor are its own.
pub(super) const THREADS: usize = 256;
pub(super) const PART: usize = 16 * THREADS;

/// Whether the parts of a tensor of so many numbers can be counted, even beside others.
pub(super) fn can_part(count: usize) -> bool {
    count < PART << 26
}

/// As many as a kernel is given: where there are fewer, the last one stands for those that are not there.
pub(super) fn filled<T>(some: &[T]) -> impl Iterator<Item = &T> {
    (0..SIDE).filter_map(|at| some.get(at).or(some.last()))
}

/// Has a kernel change numbers of all weights, by what lies at the same places beside each. What `changes` says is written over where it
/// lies, or where its copy does if somebody else holds it. The kernel is given the weights, then all that stand second, and so on; then
/// a scale, and behind `Side` these numbers.
pub(super) fn change<const N: usize>(
    kernel: &Kernel,
    weights: Vec<[Tensor<Cuda, 1>; N]>,
    changes: [bool; N],
    scale: &Tensor<Cuda, 1>,
    floats: &[f64],
) -> Vec<[Numbers; N]> {
    let own = |one: [Tensor<Cuda, 1>; N]| {
        let mut changes = changes.into_iter();
        one.map(Numbers::of).map(|x| if changes.next() == Some(true) { x.own() } else { x })
    };
    let all: Vec<[Numbers; N]> = weights.into_iter().map(own).collect();
    let scale = Numbers::of(scale.clone());
    for some in all.chunks(SIDE) {
        let counts: Vec<usize> = some.iter().map(|one| one[0].len()).collect();
        let parts: Vec<usize> = counts.iter().map(|count| count.div_ceil(PART)).collect();
        let of_each = (0..N).flat_map(|which| filled(some).map(move |one| one[which].at()));
        let buffers = of_each.chain([scale.at()]).collect();
        let words = floats.iter().fold(side(&counts, &parts), |words, number| words.float(*number));
        let blocks = parts.iter().sum();
        if blocks > 0 {
            kernel.start(scale.client(), [blocks, 1, 1], buffers, words);
        }
    }
    all
}

/// What `Side` in `many.cu` says: how many numbers each has, and the block behind its last one. What is not there has none.
pub(super) fn side(counts: &[usize], blocks: &[usize]) -> Words {
    let words = filled(counts).fold(Words::default(), |words, count| words.long(*count));
    let ends = (1..=SIDE).map(|end| blocks.iter().take(end).sum());
    ends.fold(words, Words::int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_no_blocks() {
        assert_eq!(filled(&[5, 6]).copied().collect::<Vec<_>>()[..3], [5, 6, 6]);
        assert_eq!(filled(&[5, 6]).count(), SIDE);
        let right = (0..SIDE).fold(Words::default(), |words, at| words.long(if at == 0 { 5 } else { 6 }));
        let right = (0..SIDE).fold(right, |words, at| words.int(if at == 0 { 1 } else { 3 }));
        assert_eq!(side(&[5, 6], &[1, 2]), right);
    }
}
