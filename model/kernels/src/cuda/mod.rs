//! The operations on CUDA, in training and in use. What has no body of its own for some sizes is done as Burn does it.
mod decode;
mod kept;
mod machine;
mod train;

pub use decode::{Gpu, GpuModel};
pub use kept::keep_kernels_in;
pub use machine::{GpuLibrary, gpu_count, gpu_libraries, gpu_memory, gpu_name};
pub use train::{failure as gpu_failure, on_gpus};

use crate::decode::DeviceResult;
use crate::experts::Dealing;
use crate::group::{Bucket, Member};
use crate::ops::{
    AdamStep, Attended, Dropout, Gated, HeadLoss, Later, Learning, Linking, LogitLoss, Move, Normed,
    Objective, Ops, Placing, Push, Sight, Turned,
};
use crate::plain;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use machine::too_little;

impl Ops for Cuda {
    /// Tensor cores read ten bits of a number's fraction. So each number is taken apart into what they read and what is left
    /// of it, and three products are added up: only that of both rests, which is too small to count, is missing.
    fn multiply<const D: usize>(a: Tensor<Self, D>, b: Tensor<Self, D>) -> Tensor<Self, D> {
        if a.dtype() != DType::F32 {
            return a.matmul(b);
        }
        if let Some(product) = train::multiply_few(&a, &b) {
            return product;
        }
        let ((a, rest_of_a), (b, rest_of_b)) = (apart(a), apart(b));
        a.clone().matmul(rest_of_b) + rest_of_a.matmul(b.clone()) + a.matmul(b)
    }

    fn product(a: Tensor<Self, 2>, b: Tensor<Self, 2>, turned: Turned) -> Tensor<Self, 2> {
        train::product(&a, &b, turned).unwrap_or_else(|| plain::product(a, b, turned))
    }

    fn stacked(weights: Vec<Tensor<Self, 2>>, dtype: DType) -> Vec<Tensor<Self, 2>> {
        if let [weight] = weights.as_slice()
            && weight.dtype() == dtype
        {
            return weights;
        }
        let all = train::stacked(&weights, dtype).unwrap_or_else(|| {
            Tensor::cat(weights.into_iter().map(|weight| plain::narrow(weight, dtype)).collect(), 0)
        });
        vec![all]
    }

    fn project_onto(
        sum: Tensor<Self, 2>,
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        dropped: Dropout,
    ) -> Tensor<Self, 2> {
        let weight = plain::narrow(weight, x.dtype());
        let made = if dropped.any() { None } else { train::project_onto(&sum, &x, &weight) };
        made.unwrap_or_else(|| sum + Self::dropout(Self::project(x, vec![weight]), dropped))
    }

    fn project_back(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        grad: Tensor<Self, 2>,
        mut so_far: Option<Tensor<Self, 2>>,
        wanted: [bool; 2],
    ) -> [Option<Tensor<Self, 2>>; 2] {
        train::project_back(&x, &weights, &grad, &mut so_far, wanted)
            .unwrap_or_else(|| plain::project_back(x, weights, grad, so_far, wanted))
    }

    fn project_apart_stacked(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        outs: &[usize],
    ) -> Tensor<Self, 2> {
        train::project_apart(&x, &weights, outs).unwrap_or_else(|| plain::project_apart(x, weights, outs))
    }

    fn project_apart_back(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        outs: &[usize],
        grad: Tensor<Self, 2>,
    ) -> [Tensor<Self, 2>; 2] {
        train::project_apart_back(&x, &weights, outs, &grad)
            .unwrap_or_else(|| plain::project_apart_back(x, weights, outs, grad))
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        train::rms_norm(&x, &weight, epsilon).unwrap_or_else(|| plain::rms_norm(x, weight, epsilon))
    }

    fn rms_norm_back(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 1>,
        epsilon: f64,
        grad: Tensor<Self, 2>,
        so_far: Option<Tensor<Self, 2>>,
        again: bool,
    ) -> Normed<Self> {
        train::rms_norm_back(&x, &weight, epsilon, &grad, so_far.as_ref(), again)
            .unwrap_or_else(|| plain::rms_norm_back(x, weight, epsilon, grad, so_far, again))
    }

    fn place(x: Tensor<Self, 3>, placing: &Placing<Self>) -> Tensor<Self, 3> {
        match train::Placed::of(&x, placing) {
            Some(how) => train::place(x, &how),
            None => plain::place(x, placing),
        }
    }

    fn place_back(
        x: Option<Tensor<Self, 3>>,
        placing: &Placing<Self>,
        grad: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Option<[Tensor<Self, 1>; 2]>) {
        match train::Placed::of(&grad, placing) {
            Some(how) => train::place_back(x.as_ref(), &how, grad),
            None => plain::place_back(x, placing, grad),
        }
    }

    fn attend(x: Tensor<Self, 4>, heads: usize, sight: &Sight<Self>) -> Attended<Self> {
        train::attend(&x, heads, sight).unwrap_or_else(|| plain::attend(x, heads, sight))
    }

    fn attend_back(
        x: Tensor<Self, 4>,
        sight: &Sight<Self>,
        attended: Attended<Self>,
        grad: Tensor<Self, 4>,
    ) -> Tensor<Self, 4> {
        train::attend_back(&x, sight, &attended, &grad)
            .unwrap_or_else(|| plain::attend_back(x, sight, attended, grad))
    }

    fn learn(x: Tensor<Self, 4>, learning: &Learning<Self>) -> Tensor<Self, 4> {
        train::learn(&x, learning).unwrap_or_else(|| plain::learn(x, learning))
    }

    fn learn_back(x: Tensor<Self, 4>, learning: &Learning<Self>, grad: Tensor<Self, 4>) -> Tensor<Self, 4> {
        train::learn_back(&x, learning, &grad).unwrap_or_else(|| plain::learn_back(x, learning, grad))
    }

    fn bounded(both: Tensor<Self, 2>, biases: [Tensor<Self, 1>; 2], most: f64) -> Tensor<Self, 2> {
        train::bounded(&both, biases.each_ref(), most).unwrap_or_else(|| plain::bounded(both, biases, most))
    }

    fn bounded_back(
        both: Tensor<Self, 2>,
        biases: [Tensor<Self, 1>; 2],
        most: f64,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, [Tensor<Self, 1>; 2]) {
        train::bounded_back(&both, biases.each_ref(), most, &grad)
            .unwrap_or_else(|| plain::bounded_back(both, biases, most, grad))
    }

    fn link(links: Tensor<Self, 3>, eta: Tensor<Self, 1>, linking: &Linking<Self>) -> Tensor<Self, 3> {
        train::link(&links, &eta, linking).unwrap_or_else(|| plain::link(links, eta, linking))
    }

    fn link_back(
        links: Tensor<Self, 3>,
        found: Tensor<Self, 3>,
        linking: &Linking<Self>,
        grad: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Tensor<Self, 1>) {
        train::link_back(&links, &found, linking, &grad)
            .unwrap_or_else(|| plain::link_back(links, found, linking, grad))
    }

    const PLACES: usize = 128;

    fn dealt(x: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        train::dealt(&x, dealing).unwrap_or_else(|| plain::dealt(x, dealing))
    }

    fn dealt_back(grad: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        train::gathered(&grad, None, dealing).unwrap_or_else(|| plain::dealt_back(grad, dealing))
    }

    fn gathered(x: Tensor<Self, 2>, shares: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        train::gathered(&x, Some(&shares), dealing).unwrap_or_else(|| plain::gathered(x, shares, dealing))
    }

    fn gathered_back(
        x: Tensor<Self, 2>,
        shares: Tensor<Self, 2>,
        dealing: &Dealing<Self>,
        grad: Tensor<Self, 2>,
    ) -> [Tensor<Self, 2>; 2] {
        train::gathered_back(&x, &shares, dealing, &grad)
            .unwrap_or_else(|| plain::gathered_back(x, shares, dealing, grad))
    }

    fn project_dealt(
        x: Tensor<Self, 2>,
        weights: Vec<Vec<Tensor<Self, 2>>>,
        ends: &[usize],
    ) -> Tensor<Self, 2> {
        let dtype = x.dtype();
        let weights: Vec<_> = weights.into_iter().map(|own| Self::stacked(own, dtype)).collect();
        train::project_dealt(&x, &weights, ends).unwrap_or_else(|| plain::project_dealt(x, weights, ends))
    }

    fn project_dealt_back(
        x: Tensor<Self, 2>,
        weights: Vec<Vec<Tensor<Self, 2>>>,
        ends: &[usize],
        grad: Tensor<Self, 2>,
        wanted: [bool; 2],
    ) -> [Option<Tensor<Self, 2>>; 2] {
        train::project_dealt_back(&x, &weights, ends, &grad, wanted)
            .unwrap_or_else(|| plain::project_dealt_back(x, weights, ends, grad, wanted))
    }

    fn swiglu(both: Tensor<Self, 2>) -> Tensor<Self, 2> {
        train::swiglu(&both).unwrap_or_else(|| plain::swiglu(both))
    }

    fn swiglu_back(both: Tensor<Self, 2>, grad: Tensor<Self, 2>) -> Gated<Self> {
        train::swiglu_back(&both, &grad).unwrap_or_else(|| plain::swiglu_back(both, grad))
    }

    fn embed_back(ids: Tensor<Self, 1, Int>, vocabulary: usize, grad: Tensor<Self, 2>) -> Tensor<Self, 2> {
        train::embed_back(&ids, vocabulary, &grad).unwrap_or_else(|| plain::embed_back(ids, vocabulary, grad))
    }

    fn head_loss(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> HeadLoss<Self> {
        train::head_loss(&x, &weight, &labels, objective, share, back)
            .unwrap_or_else(|| plain::head_loss(x, weight, labels, objective, share, back))
    }

    fn logit_loss(
        logits: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> LogitLoss<Self> {
        if train::can_tell(&logits, &labels) {
            train::logit_loss(logits, labels, objective, share, back)
        } else {
            plain::logit_loss(logits, labels, objective, share, back)
        }
    }

    fn sum_squares(x: Tensor<Self, 1>) -> Tensor<Self, 1> {
        train::sum_squares(&x).unwrap_or_else(|| plain::sum_squares(x))
    }

    fn squares(all: Vec<Tensor<Self, 1>>) -> Tensor<Self, 1> {
        train::squares(&all)
            .unwrap_or_else(|| Tensor::cat(all.into_iter().map(Self::sum_squares).collect(), 0))
    }

    fn clip(
        squares: Tensor<Self, 1>,
        loss: Tensor<Self, 1>,
        before: Tensor<Self, 1>,
        most: f64,
    ) -> Tensor<Self, 1> {
        train::clip(&squares, &loss, &before, most)
            .unwrap_or_else(|| plain::clip(squares, loss, before, most))
    }

    fn adamw(weights: Vec<[Tensor<Self, 1>; 4]>, step: &AdamStep<Self>) -> Vec<[Tensor<Self, 1>; 3]> {
        if weights.iter().all(train::can_step) {
            train::adamw(weights, step)
        } else {
            weights.into_iter().map(|one| plain::adamw(one, step)).collect()
        }
    }

    const TOGETHER: usize = train::TOGETHER;

    fn muon(
        matrices: Vec<[Tensor<Self, 1>; 2]>,
        shape: [usize; 2],
        push: &Push<Self>,
    ) -> Vec<[Tensor<Self, 1>; 2]> {
        if train::can_find(&matrices, shape) {
            train::muon(matrices, shape, push)
        } else {
            plain::muon(matrices, shape, push)
        }
    }

    fn moved(weights: Vec<[Tensor<Self, 1>; 2]>, by: &Move<Self>) -> Vec<Tensor<Self, 1>> {
        if train::can_move(&weights) {
            train::moved(weights, by)
        } else {
            weights.into_iter().map(|one| plain::moved(one, by)).collect()
        }
    }

    /// The GPU is never without work while a step's loss comes back.
    const AHEAD: usize = 2;

    fn later(x: Tensor<Self, 1>) -> Later {
        train::later(x)
    }

    fn checked(_: &Self::Device) -> DeviceResult<()> {
        train::failure().map_or(Ok(()), Err)
    }

    fn join(member: &Member, device: &Self::Device) -> DeviceResult<Option<String>> {
        train::join(member, device)
    }

    fn made(member: &Member, number: usize, device: &Self::Device) {
        if member.linked() {
            train::made(number, device);
        }
    }

    fn owned(x: Tensor<Self, 1>) -> Tensor<Self, 1> {
        train::owned(x)
    }

    fn together(member: &Member, buckets: Vec<Bucket<Self>>) -> DeviceResult<Vec<Vec<Tensor<Self, 1>>>> {
        if member.linked() { train::together(member, buckets) } else { plain::together(member, buckets) }
    }
}

/// A number as its first eleven bits and the rest of it, by Veltkamp's way.
fn apart<const D: usize>(x: Tensor<Cuda, D>) -> (Tensor<Cuda, D>, Tensor<Cuda, D>) {
    let times = x.clone().mul_scalar(8193.0_f32);
    let first = times.clone() - (times - x.clone());
    (first.clone(), x - first)
}
