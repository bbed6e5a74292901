//! Tensors that a kernel goes through at once: each start costs as much as a small one.
use super::kernel::Words;

/// How many there are at most, as `many.cu` has it.
pub(super) const SIDE: usize = 16;

/// As many as a kernel is given: where there are fewer, the last one stands for those that are not there.
pub(super) fn filled<T>(some: &[T]) -> impl Iterator<Item = &T> {
    (0..SIDE).filter_map(|at| some.get(at).or(some.last()))
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
