//! What each operation keeps. Of the gradients of a result only those that are wanted are made.
use super::{Tracked, inner, raw, tracked, tracked_with};
use crate::decode::DeviceResult;
use crate::ops::{Angles, Attended, Dropout, HeadLoss, Objective, Ops, Sight, Turned};
use crate::plain;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::prelude::*;

impl<B: Ops, C: CheckpointStrategy> Ops for Tracked<B, C> {
    fn product(a: Tensor<Self, 2>, b: Tensor<Self, 2>, turned: Turned) -> Tensor<Self, 2> {
        let (left, right) = (inner(&a), inner(&b));
        let output = B::product(left.clone(), right.clone(), turned);
        tracked([raw(a), raw(b)], output, move |grad, [of_a, of_b]| {
            let a = of_a.then(|| match turned {
                Turned::Neither => B::product(grad.clone(), right.clone(), Turned::Right),
                Turned::Left => B::product(right.clone(), grad.clone(), Turned::Right),
                Turned::Right => B::product(grad.clone(), right, Turned::Neither),
            });
            let b = of_b.then(|| match turned {
                Turned::Neither => B::product(left, grad, Turned::Left),
                Turned::Left => B::product(left, grad, Turned::Neither),
                Turned::Right => B::product(grad, left, Turned::Left),
            });
            [a.map(raw), b.map(raw)]
        })
    }

    fn project(x: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let rows = inner(&x);
        let narrow = plain::narrow(inner(&weight), rows.dtype());
        let output = B::product(rows.clone(), narrow.clone(), Turned::Right);
        tracked_with([raw(x), raw(weight)], output, move |grad, mut sources| {
            let wanted = sources.wanted();
            let so_far = sources.so_far(0);
            B::project_back(rows, narrow, grad, so_far, wanted).map(|grad| grad.map(raw))
        })
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        let (rows, scale) = (inner(&x), inner(&weight));
        let output = B::rms_norm(rows.clone(), scale.clone(), epsilon);
        tracked_with([raw(x), raw(weight)], output, move |grad, mut sources| {
            let (x, weight) = match sources.so_far(0) {
                None => B::rms_norm_back(rows, scale, epsilon, grad),
                Some(so_far) => B::rms_norm_back_added(rows, scale, epsilon, grad, so_far),
            };
            [Some(raw(x)), Some(raw(weight))]
        })
    }

    fn rotate(
        x: Tensor<Self, 3>,
        angles: &Angles<Self>,
        positions: Tensor<Self, 1, Int>,
        back: bool,
    ) -> Tensor<Self, 3> {
        let angles = Angles { cos: inner(&angles.cos), sin: inner(&angles.sin) };
        let positions = positions.inner();
        let output = B::rotate(inner(&x), &angles, positions.clone(), back);
        tracked([raw(x)], output, move |grad, _| [Some(raw(B::rotate(grad, &angles, positions, !back)))])
    }

    fn attend(sources: [Tensor<Self, 4>; 3], sight: &Sight<Self>) -> Attended<Self> {
        let below = sources.each_ref().map(inner);
        let sight =
            Sight { starts: sight.starts.clone().inner(), scale: sight.scale, dropped: sight.dropped };
        let attended = B::attend(below.clone(), &sight);
        let kept = attended.clone();
        let output = tracked(sources.map(raw), attended.output, move |grad, _| {
            B::attend_back(below, &sight, kept, grad).map(|grad| Some(raw(grad)))
        });
        Attended { output, lse: Tensor::from_inner(attended.lse), peak: Tensor::from_inner(attended.peak) }
    }

    fn add(x: Tensor<Self, 2>, y: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let output = B::add(inner(&x), inner(&y));
        tracked([raw(x), raw(y)], output, |grad, _| [Some(raw(grad.clone())), Some(raw(grad))])
    }

    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let (left, right) = (inner(&gate), inner(&up));
        let output = B::swiglu(left.clone(), right.clone());
        tracked([raw(gate), raw(up)], output, move |grad, _| {
            let (gate, up) = B::swiglu_back(left, right, grad);
            [Some(raw(gate)), Some(raw(up))]
        })
    }

    fn embed(weight: Tensor<Self, 2>, ids: Tensor<Self, 1, Int>) -> Tensor<Self, 2> {
        let ids = ids.inner();
        let [vocabulary, _] = weight.dims();
        let output = B::embed(inner(&weight), ids.clone());
        tracked([raw(weight)], output, move |grad, _| [Some(raw(B::embed_back(ids, vocabulary, grad)))])
    }

    fn head_loss(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> HeadLoss<Self> {
        let (rows, head, labels) = (inner(&x), inner(&weight), labels.inner());
        let made = B::head_loss(rows, head, labels, objective, share, back);
        let plain = Tensor::from_inner(made.plain);
        let Some((of_x, of_weight)) = made.back else {
            return HeadLoss { loss: Tensor::from_inner(made.loss), plain, back: None };
        };
        let loss = tracked([raw(x), raw(weight)], made.loss, move |grad: Tensor<B, 1>, _| {
            let times = |x: Tensor<B, 2>| x.clone() * grad.clone().cast(x.dtype()).unsqueeze();
            [Some(raw(times(of_x))), Some(raw(times(of_weight)))]
        });
        HeadLoss { loss, plain, back: None }
    }

    fn noise(len: usize, seed: u64, device: &Self::Device) -> Tensor<Self, 1> {
        Tensor::from_inner(B::noise(len, seed, device))
    }

    fn dropout(x: Tensor<Self, 2>, dropped: Dropout) -> Tensor<Self, 2> {
        if !dropped.any() {
            return x;
        }
        let output = B::dropout(inner(&x), dropped);
        tracked([raw(x)], output, move |grad, _| [Some(raw(B::dropout(grad, dropped)))])
    }

    fn checked(device: &Self::Device) -> DeviceResult<()> {
        B::checked(device)
    }
}
