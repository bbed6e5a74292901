//! The step of Muon: momentum, and a matrix with the same directions whose singular values are all near one.
use super::{unless_bad, wide};
use crate::ops::{Move, Ops, Push, Turned};
use burn::prelude::*;

/// The quintic `ax + bx³ + cx⁵`, steep at nothing: five rounds bring 0.003 to where one is.
pub(crate) const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
pub(crate) const ROUNDS: usize = 5;
/// Keeps the division from nothing.
pub(crate) const SMALLEST: f64 = 1e-7;

/// How large the step is for singular values of one: its numbers are then as large as those of a step of AdamW, 0.2 in the mean.
pub(crate) fn size([rows, columns]: [usize; 2]) -> f64 {
    0.2 * (rows.max(columns) as f64).sqrt()
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

/// Which way momentum goes with this gradient, and momentum.
pub fn ahead<B: Ops>(grad: Tensor<B, 1>, momentum: Tensor<B, 1>, push: &Push<B>) -> [Tensor<B, 1>; 2] {
    let grad = grad * push.scale.clone();
    let own = grad.clone();
    let [kept] = unless_bad(&push.scale, [momentum], |[momentum]| [momentum.mul_scalar(push.momentum) + own]);
    if !push.nesterov {
        return [kept.clone(), kept];
    }
    [grad + kept.clone().mul_scalar(push.momentum), kept]
}

pub(crate) fn muon<B: Ops>(
    matrices: Vec<[Tensor<B, 1>; 2]>,
    [rows, columns]: [usize; 2],
    push: &Push<B>,
) -> Vec<[Tensor<B, 1>; 2]> {
    let of_one = |[grad, momentum]: [Tensor<B, 1>; 2]| {
        let [ahead, kept] = ahead(grad, momentum, push);
        let way = newton_schulz::<B>(ahead.reshape([rows, columns])).reshape([rows * columns]);
        [way.mul_scalar(size([rows, columns])), kept]
    };
    matrices.into_iter().map(of_one).collect()
}

pub(crate) fn moved<B: Ops>([weight, way]: [Tensor<B, 1>; 2], by: &Move<B>) -> Tensor<B, 1> {
    let [weight] = unless_bad(&by.scale, [weight], |[weight]| {
        [weight.mul_scalar(1.0 - by.rate * by.decay) - wide(way).mul_scalar(by.rate)]
    });
    weight
}
