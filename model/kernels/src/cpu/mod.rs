//! Bodies for the CPU: fused, over contiguous rows, on as many threads as [`with_threads`] says, else on all.
//!
//! Sums are cut into parts whose sizes depend on the shapes alone, and those of parts are added in the parts' order, so the same
//! instruction set gives the same bits for any number of threads. Where no sum is cut, parts may go by the threads.
mod along;
mod attention;
mod cached;
mod dealt;
mod decode;
mod fixed;
mod head;
mod learn;
mod lines;
mod link;
mod memory;
mod near;
mod numbers;
mod place;
mod pool;
mod product;
mod round;
mod rows;
mod share;
mod threads;
mod tiles;
mod update;
mod vector;
mod weights;

#[cfg(test)]
pub(crate) use cached::{Cache, How, attend_kept};
pub use decode::Cpu;
#[cfg(test)]
pub(crate) use head::head_loss_by;
pub use round::mean_size;
pub(crate) use round::to_three_values;
pub use share::{fill, share_out};
pub use threads::with_threads;
pub use weights::{likeliest, weights};

use crate::experts::Dealing;
use crate::ops::{
    AdamStep, Attended, Dropout, Gated, HeadLoss, Learning, Linking, LogitLoss, Normed, Objective, Ops,
    Placing, Rounding, Sight, Turned,
};
use burn::backend::Flex;
use burn::prelude::*;

impl Ops for Flex {
    fn product(a: Tensor<Self, 2>, b: Tensor<Self, 2>, turned: Turned) -> Tensor<Self, 2> {
        product::product(a, b, turned)
    }

    fn project(x: Tensor<Self, 2>, weights: Vec<Tensor<Self, 2>>) -> Tensor<Self, 2> {
        let weights = Self::stacked(weights, x.dtype());
        product::project(x, weights)
    }

    fn project_back(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        grad: Tensor<Self, 2>,
        so_far: Option<Tensor<Self, 2>>,
        wanted: [bool; 2],
    ) -> [Option<Tensor<Self, 2>>; 2] {
        product::project_back(x, weights, grad, so_far, wanted)
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        rows::rms_norm(x, weight, epsilon)
    }

    fn rms_norm_back(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 1>,
        epsilon: f64,
        grad: Tensor<Self, 2>,
        so_far: Option<Tensor<Self, 2>>,
        again: bool,
    ) -> Normed<Self> {
        rows::rms_norm_back(x, weight, epsilon, grad, so_far, again)
    }

    fn place(x: Tensor<Self, 3>, placing: &Placing<Self>) -> Tensor<Self, 3> {
        place::place(x, placing)
    }

    fn place_back(
        x: Option<Tensor<Self, 3>>,
        placing: &Placing<Self>,
        grad: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Option<[Tensor<Self, 1>; 2]>) {
        place::place_back(x, placing, grad)
    }

    fn attend(x: Tensor<Self, 4>, heads: usize, sight: &Sight<Self>) -> Attended<Self> {
        attention::attend(x, heads, sight)
    }

    fn attend_back(
        x: Tensor<Self, 4>,
        sight: &Sight<Self>,
        attended: Attended<Self>,
        grad: Tensor<Self, 4>,
    ) -> Tensor<Self, 4> {
        attention::attend_back(x, sight, attended, grad)
    }

    fn add(x: Tensor<Self, 2>, y: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rows::add(x, y)
    }

    fn learn(x: Tensor<Self, 4>, learning: &Learning<Self>) -> Tensor<Self, 4> {
        learn::learn(x, learning)
    }

    fn learn_back(x: Tensor<Self, 4>, learning: &Learning<Self>, grad: Tensor<Self, 4>) -> Tensor<Self, 4> {
        learn::learn_back(x, learning, grad)
    }

    fn link(links: Tensor<Self, 3>, eta: Tensor<Self, 1>, linking: &Linking<Self>) -> Tensor<Self, 3> {
        link::link(links, eta, linking)
    }

    fn link_back(
        links: Tensor<Self, 3>,
        found: Tensor<Self, 3>,
        linking: &Linking<Self>,
        grad: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Tensor<Self, 1>) {
        link::link_back(links, found, linking, grad)
    }

    fn dealt(x: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        dealt::dealt(x, dealing)
    }

    fn dealt_back(grad: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        dealt::gathered(grad, None, dealing)
    }

    fn gathered(x: Tensor<Self, 2>, shares: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        dealt::gathered(x, Some(shares), dealing)
    }

    fn gathered_back(
        x: Tensor<Self, 2>,
        shares: Tensor<Self, 2>,
        dealing: &Dealing<Self>,
        grad: Tensor<Self, 2>,
    ) -> [Tensor<Self, 2>; 2] {
        dealt::gathered_back(x, shares, dealing, grad)
    }

    fn swiglu(both: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rows::swiglu(both)
    }

    fn swiglu_back(both: Tensor<Self, 2>, grad: Tensor<Self, 2>) -> Gated<Self> {
        rows::swiglu_back(both, grad)
    }

    fn rounded(weight: Tensor<Self, 2>, to: Rounding) -> Tensor<Self, 2> {
        round::rounded(weight, to)
    }

    fn rounded_rows(x: Tensor<Self, 2>) -> Tensor<Self, 2> {
        round::rounded_rows(x)
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

    const BETWEEN: usize = head::LOGITS;

    fn logit_loss(
        logits: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> LogitLoss<Self> {
        head::logit_loss(logits, labels, objective, share, back)
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

    fn adamw(weights: Vec<[Tensor<Self, 1>; 4]>, step: &AdamStep<Self>) -> Vec<[Tensor<Self, 1>; 3]> {
        update::adamw(weights, step)
    }
}
