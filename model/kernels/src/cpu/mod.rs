//! Bodies for the CPU: fused, over contiguous rows, on as many threads as [`with_threads`] says, else on all.
//!
//! Sums are cut into parts whose sizes depend on the shapes alone, and those of parts are added in the parts' order, so the same
//! instruction set gives the same bits for any number of threads. Where no sum is cut, parts may go by the threads.
mod attention;
mod cached;
mod decode;
mod fixed;
mod head;
mod lines;
mod memory;
mod numbers;
mod pool;
mod product;
mod rows;
mod share;
mod threads;
mod tiles;
mod update;
mod vector;
mod weights;

#[cfg(test)]
pub(crate) use cached::{Cache, attend_kept};
pub use decode::Cpu;
#[cfg(test)]
pub(crate) use head::head_loss_by;
pub use share::{fill, share_out};
pub use threads::with_threads;
pub use weights::{likeliest, weights};

use crate::ops::{AdamStep, Angles, Attended, Dropout, HeadLoss, Objective, Ops, Sight, Turned};
use burn::backend::Flex;
use burn::prelude::*;

impl Ops for Flex {
    fn product(a: Tensor<Self, 2>, b: Tensor<Self, 2>, turned: Turned) -> Tensor<Self, 2> {
        product::product(a, b, turned)
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        rows::rms_norm(x, weight, epsilon)
    }

    fn rms_norm_back(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 1>,
        epsilon: f64,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 1>) {
        rows::rms_norm_back(x, weight, epsilon, grad)
    }

    fn rotate(
        x: Tensor<Self, 3>,
        angles: &Angles<Self>,
        positions: Tensor<Self, 1, Int>,
        back: bool,
    ) -> Tensor<Self, 3> {
        rows::rotate(x, angles, positions, back)
    }

    fn attend(sources: [Tensor<Self, 4>; 3], sight: &Sight<Self>) -> Attended<Self> {
        attention::attend(sources, sight)
    }

    fn attend_back(
        sources: [Tensor<Self, 4>; 3],
        sight: &Sight<Self>,
        attended: Attended<Self>,
        grad: Tensor<Self, 4>,
    ) -> [Tensor<Self, 4>; 3] {
        attention::attend_back(sources, sight, attended, grad)
    }

    fn add(x: Tensor<Self, 2>, y: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rows::add(x, y)
    }

    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rows::swiglu(gate, up)
    }

    fn swiglu_back(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        rows::swiglu_back(gate, up, grad)
    }

    fn embed(weight: Tensor<Self, 2>, ids: Tensor<Self, 1, Int>) -> Tensor<Self, 2> {
        rows::embed(weight, ids)
    }

    fn embed_back(ids: Tensor<Self, 1, Int>, vocabulary: usize, grad: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rows::embed_back(ids, vocabulary, grad)
    }

    fn head_loss(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> HeadLoss<Self> {
        head::head_loss(x, weight, labels, objective, share, back)
    }

    fn noise(len: usize, seed: u64, _: &Self::Device) -> Tensor<Self, 1> {
        update::noise(len, seed)
    }

    fn dropout(x: Tensor<Self, 2>, dropped: Dropout) -> Tensor<Self, 2> {
        update::dropout(x, dropped)
    }

    fn sum_squares(x: Tensor<Self, 1>) -> Tensor<Self, 1> {
        update::sum_squares(x)
    }

    fn adamw(
        weight: Tensor<Self, 1>,
        grad: Tensor<Self, 1>,
        means: (Tensor<Self, 1>, Tensor<Self, 1>),
        step: &AdamStep,
    ) -> (Tensor<Self, 1>, (Tensor<Self, 1>, Tensor<Self, 1>)) {
        update::adamw(weight, grad, means, step)
    }
}
