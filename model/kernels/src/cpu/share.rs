//! Sharing work among threads, in parts that depend on its size alone.
use rayon::prelude::*;

/// Numbers in a part: enough to be worth a thread's while.
const PART: usize = 1 << 13;

/// How many rows of this width make a part.
pub(super) fn rows_of_part(width: usize) -> usize {
    (PART / width.max(1)).max(1)
}

/// Hands out parts of whole rows: the number of the first row, and the rows.
pub(super) fn by_rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = rows_of_part(width);
    if out.len() <= PART {
        return work(0, out);
    }
    out.par_chunks_mut(rows * width).enumerate().for_each(|(at, part)| work(at * rows, part));
}

/// The same for two slices of one shape.
pub(super) fn by_rows_of_two(
    (first, second): (&mut [f32], &mut [f32]),
    width: usize,
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let rows = rows_of_part(width);
    let seconds = second.par_chunks_mut(rows * width);
    let parts = first.par_chunks_mut(rows * width).zip(seconds).enumerate();
    parts.for_each(|(at, (first, second))| work(at * rows, first, second));
}

/// One value for each part, in the parts' order.
pub(super) fn each_part<T: Send>(
    len: usize,
    part: usize,
    work: impl Fn(std::ops::Range<usize>) -> T + Sync,
) -> Vec<T> {
    let parts = len.div_ceil(part.max(1));
    (0..parts).into_par_iter().map(|at| work(at * part..len.min((at + 1) * part))).collect()
}
