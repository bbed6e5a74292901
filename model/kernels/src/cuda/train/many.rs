//! Tensors that a kernel goes through at once: each start costs as much as a small one.
use super::kernel::{Kernel, Words};
use super::tensor::Numbers;

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

/// Starts a kernel in whose parts of some weights numbers change where they lie, by what lies at the same places of what stands beside
/// each. It is given the weights first, then all that stands second, and so on; then a scale, and behind `Side` these numbers.
pub(super) fn start_parts<const N: usize>(
    kernel: &Kernel,
    some: &[[Numbers; N]],
    scale: &Numbers,
    floats: impl Iterator<Item = f64>,
) {
    let counts: Vec<usize> = some.iter().map(|one| one[0].len()).collect();
    let blocks: Vec<usize> = counts.iter().map(|count| count.div_ceil(PART)).collect();
    let of_each = (0..N).flat_map(|which| filled(some).map(move |one| one[which].at()));
    let buffers = of_each.chain([scale.at()]).collect();
    let words = floats.fold(side(&counts, &blocks), Words::float);
    let blocks = blocks.iter().sum();
    if blocks > 0 {
        kernel.start(scale.client(), [blocks, 1, 1], buffers, words);
    }
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
