//! What is nearest to a matrix in a smaller form: two matrices with few numbers between them, two cores of few ranks. In plain numbers,
//! for those who have no net.
use crate::config::{Embedding, Shape};
use crate::net::{Role, Start, Weight};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Ops, Turned};
use nalgebra::DMatrix;
use std::f64::consts::FRAC_PI_4;

/// Directions that are looked at beside those that are kept.
const BESIDE: usize = 16;
/// Rounds of looking end where what is kept grows by no larger share of all squares, or after so many.
const ENOUGH: f64 = 1e-7;
const MOST_ROUNDS: usize = 100;

/// A matrix is too strange: it holds what is no number.
#[derive(Debug, thiserror::Error)]
#[error("it holds what is no number")]
pub struct NoNumber;

/// The two matrices `[rank, columns]` and `[rows, rank]` whose product is nearest to a matrix of so many columns: that of its largest
/// singular values. Both are of one size. Found round by round, as the space that the largest ones span settles.
pub fn factors(matrix: Vec<f32>, columns: usize, rank: usize) -> Result<[Vec<f32>; 2], NoNumber> {
    let rows = matrix.len() / columns;
    let rank = rank.min(rows).min(columns);
    let squares: f64 = matrix.iter().map(|x| f64::from(*x).powi(2)).sum();
    if !squares.is_finite() {
        return Err(NoNumber);
    }
    let looked = (rank + BESIDE).min(rows).min(columns);
    let matrix = tensor(matrix, columns);
    let name = Weight { name: "first directions".into(), shape: vec![columns, looked], role: Role::Matrix };
    let mut right = DMatrix::from_row_iterator(
        columns,
        looked,
        Start::Normal(1.0).numbers(&name, 0).into_iter().map(f64::from),
    );
    let (mut kept, mut rounds) = (0.0, 0);
    loop {
        right = right.qr().q();
        let (left, small) = wide(times(&matrix, &right, Turned::Neither))?.qr().unpack();
        // The singular values of the matrix within that space.
        let found = small.svd(true, true);
        let values = found.singular_values.rows(0, rank);
        let grown = values.norm_squared() - kept;
        kept = values.norm_squared();
        rounds += 1;
        if grown > ENOUGH * squares && rounds < MOST_ROUNDS {
            right = wide(times(&matrix, &left, Turned::Left))?;
            continue;
        }
        let (Some(u), Some(v)) = (&found.u, &found.v_t) else { return Err(NoNumber) };
        let root = DMatrix::from_diagonal(&values.map(f64::sqrt));
        let left = left * u.columns(0, rank) * &root;
        let right = root * v.rows(0, rank) * right.transpose();
        return Ok([numbers(&right), numbers(&left)]);
    }
}

/// The two cores and the phase whose table is nearest to one of trained rows, by its largest singular values: a row of one matrix is a
/// number of a row of the first core, a column one of the second. They are for cores whose rows have sizes.
pub fn cores(table: &[f32], embedding: Embedding, shape: &Shape) -> Result<[Vec<f32>; 3], NoNumber> {
    let ranks = embedding.tensor_train;
    let [[m, of_first], [n, of_second]] = embedding.cores(shape.vocab_size, shape.width);
    let (a, b) = (of_first / ranks, of_second / ranks);
    let mut matrix = vec![0.0; m * a * n * b];
    for (token, row) in table.chunks(shape.width).enumerate() {
        for (at, part) in row.chunks(b).enumerate() {
            let begin = (token / n * a + at) * n * b + token % n * b;
            matrix[begin..begin + part.len()].copy_from_slice(part);
        }
    }
    let found = ranks.min(m * a).min(n * b);
    let [right, left] = factors(matrix, n * b, ranks)?;
    // The phase counts each rank by its cosine, and all by the root of their number.
    let times = ((ranks as f64).sqrt() / FRAC_PI_4.cos()).sqrt() as f32;
    let (mut first, mut second) = (vec![0.0; m * of_first], vec![0.0; n * of_second]);
    for rank in 0..found {
        for at in 0..m * a {
            first[at / a * of_first + rank * a + at % a] = left[at * found + rank] * times;
        }
        for at in 0..n * b {
            second[at / b * of_second + rank * b + at % b] = right[rank * n * b + at] * times;
        }
    }
    Ok([first, second, vec![FRAC_PI_4 as f32; ranks]])
}

fn tensor(numbers: Vec<f32>, columns: usize) -> Tensor<Flex, 2> {
    let rows = numbers.len() / columns;
    Tensor::from_data(TensorData::new(numbers, [rows, columns]), (&Default::default(), DType::F32))
}

fn times(matrix: &Tensor<Flex, 2>, other: &DMatrix<f64>, turned: Turned) -> Tensor<Flex, 2> {
    Flex::product(matrix.clone(), tensor(numbers(other), other.ncols()), turned)
}

fn wide(x: Tensor<Flex, 2>) -> Result<DMatrix<f64>, NoNumber> {
    let [rows, columns] = x.dims();
    let wide = DMatrix::from_row_iterator(rows, columns, x.into_data().iter::<f64>());
    if wide.iter().all(|x| x.is_finite()) { Ok(wide) } else { Err(NoNumber) }
}

/// Row by row.
fn numbers(matrix: &DMatrix<f64>) -> Vec<f32> {
    matrix.row_iter().flat_map(|row| row.iter().map(|x| *x as f32).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acting;
    use crate::config::Model;

    fn drawn(name: &str, rows: usize, columns: usize) -> Vec<f32> {
        let weight = Weight { name: name.into(), shape: vec![rows, columns], role: Role::Matrix };
        Start::Normal(1.0).numbers(&weight, 3)
    }

    /// How far numbers are from others, beside these.
    fn distance(made: &[f32], right: &[f32]) -> f64 {
        let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
        let off = squares(&mut made.iter().zip(right).map(|(a, b)| f64::from(a - b)));
        (off / squares(&mut right.iter().map(|x| f64::from(*x)))).sqrt()
    }

    #[test]
    fn a_product_of_few_ranks_is_found_again() {
        let (rows, columns, rank) = (60, 90, 7);
        let matrix = acting::whole(drawn("a", rank, columns), drawn("b", rows, rank), rank);
        let [first, second] = factors(matrix.clone(), columns, rank).unwrap();
        assert_eq!([first.len(), second.len()], [rank * columns, rows * rank]);
        assert!(distance(&acting::whole(first, second, rank), &matrix) < 1e-5);
    }

    #[test]
    fn no_product_of_as_many_ranks_is_nearer() {
        // No values stand out of this one, which is the hardest to find.
        let (rows, columns) = (70, 50);
        let matrix = drawn("flat", rows, columns);
        let wide = DMatrix::from_row_iterator(rows, columns, matrix.iter().map(|x| f64::from(*x)));
        let values = wide.singular_values();
        for rank in [1, 10, 50] {
            let [first, second] = factors(matrix.clone(), columns, rank).unwrap();
            let off = distance(&acting::whole(first, second, rank), &matrix);
            let least = (values.rows(rank, 50 - rank).norm_squared() / values.norm_squared()).sqrt();
            assert!((off - least).abs() < 1e-4, "{rank}: {off} of {least}");
        }
        assert!(factors(vec![1.0, f32::NAN], 2, 1).is_err());
        assert!(factors(vec![0.0; 12], 3, 2).is_ok_and(|all| all.concat().iter().all(|x| *x == 0.0)));
    }

    #[test]
    fn a_table_of_cores_is_found_again() {
        let embedding = Embedding { normed: false, ..Embedding::of_rank(3) };
        // Cores of 8 and 7 rows, of 5 and 5 numbers: tables that use all of it, and that are cut at both sides.
        for (vocabulary, width, most) in [(56, 25, 1e-5), (50, 24, 0.4)] {
            let shape = Shape { width, ..Model::new(1, 24, 4, 8).shape(vocabulary, 8) };
            let [first, second] = embedding.cores(vocabulary, width);
            assert_eq!([first, second], [[8, 15], [7, 15]]);
            let phase = vec![0.3, 1.2, -0.4];
            let made = [drawn("first", first[0], first[1]), drawn("second", second[0], second[1]), phase];
            let table = acting::table(embedding, &shape, made);
            let found = acting::table(embedding, &shape, cores(&table, embedding, &shape).unwrap());
            let off = distance(&found, &table);
            assert!(off < most, "{vocabulary} {width}: {off}");
        }
    }
}
