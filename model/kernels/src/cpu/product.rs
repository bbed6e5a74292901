//! Products of matrices, by the crate `gemm`.
use super::memory::to_fill;
use super::numbers::{Floats, made};
use super::share::{by_parts, each};
use crate::ops::Turned;
use crate::plain;
use burn::backend::Flex;
use burn::prelude::*;
use gemm::Parallelism;

type Matrix2 = Tensor<Flex, 2>;

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

/// The longest slice of the inner dimension. `gemm` cuts longer ones as it likes, by the size of the CPU's first cache, and
/// sums would come out otherwise on a CPU with the same instructions and another cache. Up to this length it cuts nothing.
const SLICE: usize = 512;

/// `out = scale * a b`, or added to what is there, on this thread. `out` has rows that are `stride` apart.
///
/// A sum runs along each slice of the inner dimension, and the slices' sums are added up one after another. The slices depend
/// on `k` alone, and are of one length but for the last, since a short one would cost nearly as much as a long one.
pub(super) fn multiply(
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    (out, stride): (&mut [f32], usize),
    scale: f32,
    add: bool,
) {
    let slice = k.div_ceil(k.div_ceil(SLICE).max(1)).max(1);
    let first = slice.min(k);
    multiply_slice([m, n, first], a, b, (out, stride), scale, add);
    for at in (first..k).step_by(slice) {
        let size = [m, n, slice.min(k - at)];
        multiply_slice(size, a.beyond(at), b.below(at), (out, stride), scale, true);
    }
}

/// The same for one slice of the inner dimension.
#[expect(unsafe_code, reason = "gemm takes pointers")]
fn multiply_slice(
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
    // An even number, as most machines have of cores: of three parts on two threads one waits for the third.
    let parts = by_work.min(by_len);
    let parts = if parts > 1 { parts.next_multiple_of(2) } else { parts };
    len.div_ceil(parts).next_multiple_of(16)
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

pub(super) fn product(a: Matrix2, b: Matrix2, turned: Turned) -> Matrix2 {
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

/// Products with several weights go by the rows of x, each weight to columns of its own.
pub(super) fn project(x: Matrix2, weights: Vec<Matrix2>) -> Matrix2 {
    if weights.len() == 1 {
        return plain::project(x, weights);
    }
    let ([rows, inner], dtype) = (x.dims(), x.dtype());
    let outs: Vec<usize> = weights.iter().map(|weight| weight.dims()[0]).collect();
    let (x, weights) = (Floats::of(x), weights.into_iter().map(Floats::of).collect::<Vec<_>>());
    let (x, width) = (Matrix::new(x.get(), inner), outs.iter().sum::<usize>());
    let mut all = if inner == 0 { vec![0.0; rows * width] } else { to_fill(rows * width) };
    let part = part(rows, rows * width * inner);
    by_parts([&mut all], [(part * width).max(1)], |at, [all]| {
        let (rows, mut first) = (all.len() / width.max(1), 0);
        for (weight, out) in weights.iter().zip(&outs) {
            let weight = Matrix::new(weight.get(), inner).turned();
            let to = all.get_mut(first..).unwrap_or_default();
            multiply([rows, *out, inner], x.below(at * part), weight, (to, width), 1.0, false);
            first += out;
        }
    });
    made(all, [rows, width], dtype)
}

pub(super) fn project_back(
    x: Matrix2,
    weights: Vec<Matrix2>,
    grad: Matrix2,
    so_far: Option<Matrix2>,
    [of_x, of_weight]: [bool; 2],
) -> [Option<Matrix2>; 2] {
    let of_weight = of_weight.then(|| product(grad.clone(), x.clone(), Turned::Left));
    if !of_x || weights.len() == 1 {
        let [of_x, _] = plain::project_back(x, weights, grad, so_far, [of_x, false]);
        return [of_x, of_weight];
    }
    let ([rows, inner], dtype) = (x.dims(), x.dtype());
    let outs: Vec<usize> = weights.iter().map(|weight| weight.dims()[0]).collect();
    let width = outs.iter().sum::<usize>();
    let (grad, weights) = (Floats::of(grad), weights.into_iter().map(Floats::of).collect::<Vec<_>>());
    let grad = Matrix::new(grad.get(), width);
    let mut sum = to_fill(rows * inner);
    let part = part(rows, rows * width * inner);
    by_parts([&mut sum], [(part * inner).max(1)], |at, [sum]| {
        let (rows, mut first) = (sum.len() / inner.max(1), 0);
        for (weight, out) in weights.iter().zip(&outs) {
            let (own, weight) = (grad.below(at * part).beyond(first), Matrix::new(weight.get(), inner));
            multiply([rows, inner, *out], own, weight, (sum, inner), 1.0, first > 0);
            first += out;
        }
    });
    let own: Matrix2 = made(sum, [rows, inner], dtype);
    [Some(so_far.into_iter().fold(own, |own, so_far| own + so_far)), of_weight]
}

#[cfg(test)]
mod tests {
    use super::super::with_threads;
    use super::*;
    use crate::tests::{naive, near, numbers};

    fn narrow(numbers: &[f64]) -> Vec<f32> {
        numbers.iter().map(|x| *x as f32).collect()
    }

    /// A matrix of these sizes as it is, and the same one turned in memory and in what is said of it.
    fn both<'a>(straight: &'a [f32], turned: &'a [f32], [rows, columns]: [usize; 2]) -> [Matrix<'a>; 2] {
        [Matrix::new(straight, columns), Matrix::new(turned, rows).turned()]
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn sums_are_put_together_in_the_same_way_whatever_the_caches_are() {
        let k = 1300;
        // Three slices; how `gemm` would cut differs by whether a result is tiny, small or large.
        let slices = [0..434, 434..868, 868..1300];
        for [m, n] in [[5, 7], [40, 40], [130, 90]] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let (a_turned, b_turned) = (narrow(&naive::turn(&a, [m, k])), narrow(&naive::turn(&b, [k, n])));
            let (a, b) = (narrow(&a), narrow(&b));
            let start = narrow(&numbers(m * n, 3));
            for (a, b, add) in both(&a, &a_turned, [m, k])
                .into_iter()
                .flat_map(|x| both(&b, &b_turned, [k, n]).map(|y| (x, y)))
                .flat_map(|(a, b)| [(a, b, false), (a, b, true)])
            {
                let mut right = if add { start.clone() } else { vec![0.0; m * n] };
                for slice in &slices {
                    let (a, b) = (a.beyond(slice.start), b.below(slice.start));
                    let mut part = vec![0.0; m * n];
                    multiply_slice([m, n, slice.len()], a, b, (&mut part, n), 0.5, false);
                    right.iter_mut().zip(part).for_each(|(right, part)| *right += part);
                }
                let mut got = start.clone();
                multiply([m, n, k], a, b, (&mut got, n), 0.5, add);
                assert!(bits(&got) == bits(&right), "{m} {n} {add}");
            }
        }
    }

    #[test]
    fn parts_of_rows_and_columns_make_up_the_product() {
        // One that is cut along its rows, and two along their columns; the last part is always a shorter one.
        for ([m, k, n], parts) in [([300, 200, 260], 2), ([16, 512, 1040], 2), ([16, 1040, 1060], 6)] {
            let side: usize = if 4 * m >= n { m } else { n };
            assert_eq!(side.div_ceil(part(side, m * k * n)), parts, "otherwise this tests nothing");
            let (a, b, start) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            let product = naive::product(&a, &b, [m, k, n]);
            let (a_turned, b_turned) = (narrow(&naive::turn(&a, [m, k])), narrow(&naive::turn(&b, [k, n])));
            let (a, b) = (narrow(&a), narrow(&b));
            for (add, threads) in [(false, 1), (true, 1), (false, 3), (true, 3)] {
                let right: Vec<f64> =
                    product.iter().zip(&start).map(|(x, start)| if add { x + start } else { *x }).collect();
                for (a, b) in both(&a, &a_turned, [m, k]).into_iter().zip(both(&b, &b_turned, [k, n])) {
                    let mut got = narrow(&start);
                    with_threads(threads, || multiply_shared([m, n, k], a, b, &mut got, add));
                    let got: Vec<f64> = got.into_iter().map(f64::from).collect();
                    near(&format!("{m} {k} {n} {add} {threads}"), &got, &right, 1e-5);
                }
            }
        }
    }
}
