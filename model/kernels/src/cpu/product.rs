//! Products of matrices, by the crate `gemm`.
use super::memory::to_fill;
use super::numbers::{Floats, made};
use super::share::{by_parts, each};
use crate::ops::Turned;
use burn::backend::Flex;
use burn::prelude::*;
use gemm::Parallelism;

/// A matrix in a slice: where it begins, and how far it is to the next row and the next column.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after another.
    pub(super) fn new(numbers: &'a [f32], width: usize) -> Self {
        Self { numbers, row: width, column: 1 }
    }

    pub(super) fn turned(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// Without its first rows.
    fn below(self, row: usize) -> Self {
        Self { numbers: self.numbers.get(row * self.row..).unwrap_or_default(), ..self }
    }

    /// Without its first columns.
    fn beyond(self, column: usize) -> Self {
        self.turned().below(column).turned()
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row + (columns - 1) * self.column < self.numbers.len()
    }
}

/// `out = scale * a b`, or added to what is there, on this thread. `out` has rows that are `stride` apart.
#[expect(unsafe_code, reason = "gemm takes pointers")]
pub(super) fn multiply(
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    (out, stride): (&mut [f32], usize),
    scale: f32,
    add: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n), "a matrix is smaller than it says");
    assert!(n <= stride && (m - 1) * stride + n <= out.len(), "the result does not fit");
    // SAFETY: all places that these sizes and strides name lie within the slices, as was just checked, and `out` is
    // borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.numbers.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.numbers.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Multiplications that are worth a part of their own.
const WORTH: usize = 3 << 20;
/// Rows of a part, so that what `gemm` does once a part counts little.
const ROWS: usize = 128;
/// No more parts than this: machines have so many cores.
const PARTS: usize = 64;

/// How long the parts are into which one side of a product is cut: a multiple of 16.
fn part(len: usize, work: usize) -> usize {
    let by_work = (work / WORTH).clamp(1, PARTS);
    let by_len = (len / ROWS).max(if by_work > 1 { 2 } else { 1 });
    len.div_ceil(by_work.min(by_len)).next_multiple_of(16)
}

/// `out = a b` or `out += a b` on all threads, cut along the rows of `out`, never along the inner dimension; along its columns
/// where these are many more.
pub(super) fn multiply_shared(
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    out: &mut [f32],
    add: bool,
) {
    let work = m * n * k;
    if 4 * m >= n || work < 2 * WORTH {
        let rows = part(m, work);
        return by_parts([out], [(rows * n).max(1)], |at, [out]| {
            let m = out.len() / n.max(1);
            multiply([m, n, k], a.below(at * rows), b, (out, n), 1.0, add);
        });
    }
    let columns = part(n, work);
    let parts = each(n.div_ceil(columns), |at| {
        let n = columns.min(n - at * columns);
        let mut out = vec![0.0; m * n];
        multiply([m, n, k], a, b.beyond(at * columns), (&mut out, n), 1.0, false);
        out
    });
    for (at, part) in parts.iter().enumerate() {
        let width = part.len() / m;
        for (row, from) in part.chunks_exact(width).enumerate() {
            let to = &mut out[row * n + at * columns..][..width];
            if add {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            } else {
                to.copy_from_slice(from);
            }
        }
    }
}

pub(super) fn product(a: Tensor<Flex, 2>, b: Tensor<Flex, 2>, turned: Turned) -> Tensor<Flex, 2> {
    let ([a_rows, a_columns], [b_rows, b_columns], dtype) = (a.dims(), b.dims(), a.dtype());
    let (a, b) = (Floats::of(a), Floats::of(b));
    let (left, right) = (Matrix::new(a.get(), a_columns), Matrix::new(b.get(), b_columns));
    let ([m, k, inner, n], left, right) = match turned {
        Turned::Neither => ([a_rows, a_columns, b_rows, b_columns], left, right),
        Turned::Left => ([a_columns, a_rows, b_rows, b_columns], left.turned(), right),
        Turned::Right => ([a_rows, a_columns, b_columns, b_rows], left, right.turned()),
    };
    assert_eq!(k, inner, "the inner sizes of a product differ");
    // With nothing to add up, nothing is written.
    let mut out = if k == 0 { vec![0.0; m * n] } else { to_fill(m * n) };
    multiply_shared([m, n, k], left, right, &mut out, false);
    made(out, [m, n], dtype)
}
