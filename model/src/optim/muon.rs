//! The step of Muon: a matrix with the same directions whose singular values are all near one.
use burn::prelude::*;
use muse_kernels::{Ops, Turned};

/// The quintic `ax + bx³ + cx⁵`, steep at nothing: five rounds bring 0.003 to where one is.
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
const ROUNDS: usize = 5;
/// Keeps the division from nothing.
const SMALLEST: f64 = 1e-7;

/// How large the step is for singular values of one: its numbers are then as large as those of a step of AdamW, 0.2 in the mean.
pub(super) fn size(shape: [usize; 2]) -> f64 {
    0.2 * (shape[0].max(shape[1]) as f64).sqrt()
}

/// Brings singular values near one by the iteration of Newton and Schulz: those that start at 0.003 of the Frobenius norm or
/// above end between 0.65 and 1.25.
///
/// # Shapes
/// `[rows, columns] -> [rows, columns]`
pub fn newton_schulz<B: Ops>(matrix: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, columns] = matrix.dims();
    let norm = B::sum_squares(matrix.clone().reshape([rows * columns])).sqrt().add_scalar(SMALLEST);
    let mut x = matrix / norm.unsqueeze::<2>();
    let [a, b, c] = QUINTIC;
    for _ in 0..ROUNDS {
        // On the shorter side, where the squares are smaller.
        let turned = if rows > columns { Turned::Left } else { Turned::Right };
        let gram = B::product(x.clone(), x.clone(), turned);
        let fourth = B::product(gram.clone(), gram.clone(), Turned::Neither);
        let factor = gram.mul_scalar(b) + fourth.mul_scalar(c);
        let (left, right) = if rows > columns { (x.clone(), factor) } else { (factor, x.clone()) };
        x = x.mul_scalar(a) + B::product(left, right, Turned::Neither);
    }
    x
}
