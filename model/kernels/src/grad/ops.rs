//! What each operation keeps. Of the gradients of a result only those that are wanted are made.
use super::{Tracked, apart, behind, inner, raw, tracked, tracked_with};
use crate::decode::DeviceResult;
use crate::experts::Dealing;
use crate::ops::{
    Angles, Attended, Cores, Dropout, HeadLoss, Learning, Linking, Objective, Ops, Placing, Rounding, Sight,
    Turned,
};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::prelude::*;

impl<B: Ops, C: CheckpointStrategy> Ops for Tracked<B, C> {
    fn multiply<const D: usize>(a: Tensor<Self, D>, b: Tensor<Self, D>) -> Tensor<Self, D> {
        let (left, right) = (inner(&a), inner(&b));
        let output = B::multiply(left.clone(), right.clone());
        tracked([raw(a), raw(b)], output, move |grad: Tensor<B, D>, [of_a, of_b]| {
            let turned = |x: Tensor<B, D>| x.swap_dims(D - 2, D - 1);
            let a = of_a.then(|| B::multiply(grad.clone(), turned(right)));
            let b = of_b.then(|| B::multiply(turned(left), grad));
            [a.map(raw), b.map(raw)]
        })
    }

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

    fn project(x: Tensor<Self, 2>, weights: Vec<Tensor<Self, 2>>) -> Tensor<Self, 2> {
        let rows = inner(&x);
        let narrow = B::stacked(weights.iter().map(inner).collect(), rows.dtype());
        let output = B::project(rows.clone(), narrow.clone());
        tracked_with([raw(x), raw(behind(weights))], output, move |grad, mut sources| {
            let wanted = sources.wanted();
            let so_far = sources.so_far(0);
            B::project_back(rows, narrow, grad, so_far, wanted).map(|grad| grad.map(raw))
        })
    }

    fn project_normed(
        x: Tensor<Self, 2>,
        norm: Tensor<Self, 1>,
        epsilon: f64,
        weights: Vec<Tensor<Self, 2>>,
    ) -> Tensor<Self, 2> {
        let (rows, scale) = (inner(&x), inner(&norm));
        let narrow = B::stacked(weights.iter().map(inner).collect(), rows.dtype());
        let output = B::project_normed(rows.clone(), scale.clone(), epsilon, narrow.clone());
        tracked_with([raw(x), raw(norm), raw(behind(weights))], output, move |grad, mut sources| {
            let [_, _, wanted] = sources.wanted();
            let back = B::project_back(rows.clone(), narrow.clone(), grad.clone(), None, [true, false]);
            let [of_normed, _] = back;
            let of_normed = of_normed.expect("it was asked for");
            // What the norm gave is there on its own way back, and needed for the weights' gradient alone.
            let back = B::rms_norm_back(rows, scale, epsilon, of_normed, sources.so_far(0), wanted);
            let of_weights = back
                .output
                .and_then(|normed| B::project_back(normed, narrow, grad, None, [false, true])[1].take());
            [Some(raw(back.grad)), Some(raw(back.of_weight)), of_weights.map(raw)]
        })
    }

    fn project_apart(x: Tensor<Self, 2>, weights: Vec<Tensor<Self, 2>>) -> Tensor<Self, 2> {
        let rows = inner(&x);
        let outs: Vec<usize> = weights.iter().map(|weight| weight.dims()[0]).collect();
        let narrow = B::stacked(weights.iter().map(inner).collect(), rows.dtype());
        let output = B::project_apart_stacked(rows.clone(), narrow.clone(), &outs);
        tracked([raw(x), raw(behind(weights))], output, move |grad, _| {
            B::project_apart_back(rows, narrow, &outs, grad).map(|grad| Some(raw(grad)))
        })
    }

    fn project_onto(
        sum: Tensor<Self, 2>,
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        dropped: Dropout,
    ) -> Tensor<Self, 2> {
        let rows = inner(&x);
        let narrow = B::stacked(vec![inner(&weight)], rows.dtype()).remove(0);
        let output = B::project_onto(inner(&sum), rows.clone(), narrow.clone(), dropped);
        tracked_with([raw(sum), raw(x), raw(weight)], output, move |grad, mut sources| {
            let [_, of_x, of_weight] = sources.wanted();
            let (so_far, own) = (sources.so_far(1), B::dropout(grad.clone(), dropped));
            let [of_x, of_weight] = B::project_back(rows, vec![narrow], own, so_far, [of_x, of_weight]);
            [Some(raw(grad)), of_x.map(raw), of_weight.map(raw)]
        })
    }

    fn project_gated_onto(
        sum: Tensor<Self, 2>,
        both: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        dropped: Dropout,
    ) -> Tensor<Self, 2> {
        let ungated = inner(&both);
        let narrow = B::stacked(vec![inner(&weight)], ungated.dtype());
        let output = B::project_onto(inner(&sum), B::swiglu(ungated.clone()), narrow[0].clone(), dropped);
        let sources = [raw(sum), raw(both), raw(weight)];
        tracked(sources, output, move |grad: Tensor<B, 2>, [_, _, wanted]| {
            let own = B::dropout(grad.clone(), dropped);
            let of_gated = B::project_back(own.clone(), narrow.clone(), own.clone(), None, [true, false]);
            let [of_gated, _] = of_gated;
            let gated = B::swiglu_back(ungated, of_gated.expect("it was asked for"));
            let [_, of_weight] = B::project_back(gated.output, narrow, own, None, [false, wanted]);
            [Some(raw(grad)), Some(raw(gated.grad)), of_weight.map(raw)]
        })
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        let (rows, scale) = (inner(&x), inner(&weight));
        let output = B::rms_norm(rows.clone(), scale.clone(), epsilon);
        tracked_with([raw(x), raw(weight)], output, move |grad, mut sources| {
            let back = B::rms_norm_back(rows, scale, epsilon, grad, sources.so_far(0), false);
            [Some(raw(back.grad)), Some(raw(back.of_weight))]
        })
    }

    fn place(x: Tensor<Self, 3>, placing: &Placing<Self>) -> Tensor<Self, 3> {
        let below = placed_below(placing);
        match placing.norms.clone() {
            None => {
                let (rows, source) = apart(x, raw(below.angles.cos.clone()));
                let output = B::place(rows, &below);
                tracked([source], output, move |grad, _| [Some(raw(B::place_back(None, &below, grad).0))])
            }
            Some([of_query, of_key]) => {
                let rows = inner(&x);
                let output = B::place(rows.clone(), &below);
                tracked([raw(x), raw(of_query), raw(of_key)], output, move |grad, _| {
                    let (of_x, norms) = B::place_back(Some(rows), &below, grad);
                    let [of_query, of_key] = norms.expect("there are norms").map(|norm| Some(raw(norm)));
                    [Some(raw(of_x)), of_query, of_key]
                })
            }
        }
    }

    fn attend(x: Tensor<Self, 4>, heads: usize, sight: &Sight<Self>) -> Attended<Self> {
        let below = inner(&x);
        let sight = sight_below(sight);
        let attended = B::attend(below.clone(), heads, &sight);
        let kept = attended.clone();
        let output = tracked([raw(x)], attended.output, move |grad, _| {
            [Some(raw(B::attend_back(below, &sight, kept, grad)))]
        });
        Attended { output, lse: Tensor::from_inner(attended.lse), peak: Tensor::from_inner(attended.peak) }
    }

    fn attend_near(
        x: Tensor<Self, 4>,
        spaces: Tensor<Self, 2>,
        sight: &Sight<Self>,
        window: Option<usize>,
    ) -> Tensor<Self, 4> {
        let (below, space, sight) = (inner(&x), inner(&spaces), sight_below(sight));
        let output = B::attend_near(below.clone(), space.clone(), &sight, window);
        tracked([raw(x), raw(spaces)], output, move |grad, _| {
            let (of_x, of_spaces) = B::attend_near_back(below, space, &sight, window, grad);
            [Some(raw(of_x)), Some(raw(of_spaces))]
        })
    }

    fn learn(x: Tensor<Self, 4>, learning: &Learning<Self>) -> Tensor<Self, 4> {
        let below = inner(&x);
        let Learning { heads, begins, rate } = learning.clone();
        let learning = Learning { heads, begins: begins.inner(), rate };
        let output = B::learn(below.clone(), &learning);
        tracked([raw(x)], output, move |grad, _| [Some(raw(B::learn_back(below, &learning, grad)))])
    }

    fn bounded(both: Tensor<Self, 2>, biases: [Tensor<Self, 1>; 2], most: f64) -> Tensor<Self, 2> {
        let (below, own) = (inner(&both), biases.each_ref().map(inner));
        let output = B::bounded(below.clone(), own.clone(), most);
        let [potential, coupling] = biases.map(raw);
        tracked([raw(both), potential, coupling], output, move |grad, _| {
            let (of_both, [of_potential, of_coupling]) = B::bounded_back(below, own, most, grad);
            [Some(raw(of_both)), Some(raw(of_potential)), Some(raw(of_coupling))]
        })
    }

    fn link(links: Tensor<Self, 3>, eta: Tensor<Self, 1>, linking: &Linking<Self>) -> Tensor<Self, 3> {
        let (below, linking) = (inner(&links), Linking { begins: linking.begins.clone().inner() });
        let output = B::link(below.clone(), inner(&eta), &linking);
        let found = output.clone();
        tracked([raw(links), raw(eta)], output, move |grad, _| {
            let (of_links, of_eta) = B::link_back(below, found, &linking, grad);
            [Some(raw(of_links)), Some(raw(of_eta))]
        })
    }

    const PLACES: usize = B::PLACES;

    fn dealt(x: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        let dealing = dealt_below(dealing);
        let output = B::dealt(inner(&x), &dealing);
        tracked([raw(x)], output, move |grad, _| [Some(raw(B::dealt_back(grad, &dealing)))])
    }

    fn gathered(x: Tensor<Self, 2>, shares: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        let (below, counts, dealing) = (inner(&x), inner(&shares), dealt_below(dealing));
        let output = B::gathered(below.clone(), counts.clone(), &dealing);
        tracked([raw(x), raw(shares)], output, move |grad, _| {
            B::gathered_back(below, counts, &dealing, grad).map(|grad| Some(raw(grad)))
        })
    }

    fn project_dealt(
        x: Tensor<Self, 2>,
        weights: Vec<Vec<Tensor<Self, 2>>>,
        ends: &[usize],
    ) -> Tensor<Self, 2> {
        let (rows, ends) = (inner(&x), ends.to_vec());
        let narrow = |own: &Vec<Tensor<Self, 2>>| B::stacked(own.iter().map(inner).collect(), rows.dtype());
        let narrow: Vec<_> = weights.iter().map(narrow).collect();
        let output = B::project_dealt(rows.clone(), narrow.clone(), &ends);
        let all = behind(weights.into_iter().flatten().collect());
        tracked([raw(x), raw(all)], output, move |grad, wanted| {
            B::project_dealt_back(rows, narrow, &ends, grad, wanted).map(|grad| grad.map(raw))
        })
    }

    fn beside(x: Tensor<Self, 2>, y: Tensor<Self, 2>, grad: Tensor<Self, 1>) -> Tensor<Self, 2> {
        let ([rows, width], own) = (y.dims(), inner(&grad));
        tracked([raw(x.clone()), raw(y)], inner(&x), move |grad: Tensor<B, 2>, [_, wanted]| {
            let of_y = wanted.then(|| raw(own.unsqueeze::<2>().expand([rows, width])));
            [Some(raw(grad)), of_y]
        })
    }

    fn add(x: Tensor<Self, 2>, y: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let output = B::add(inner(&x), inner(&y));
        tracked([raw(x), raw(y)], output, |grad, _| [Some(raw(grad.clone())), Some(raw(grad))])
    }

    fn swiglu(both: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let ungated = inner(&both);
        let output = B::swiglu(ungated.clone());
        tracked([raw(both)], output, move |grad, _| [Some(raw(B::swiglu_back(ungated, grad).grad))])
    }

    fn rounded(weight: Tensor<Self, 2>, to: Rounding) -> Tensor<Self, 2> {
        let output = B::rounded(inner(&weight), to);
        tracked([raw(weight)], output, |grad, _| [Some(raw(grad))])
    }

    fn rounded_rows(x: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let output = B::rounded_rows(inner(&x));
        tracked([raw(x)], output, |grad, _| [Some(raw(grad))])
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
        let Some((of_x, [of_weight])) = made.back else {
            return HeadLoss { loss: Tensor::from_inner(made.loss), plain, back: None };
        };
        let loss = tracked([raw(x), raw(weight)], made.loss, move |grad: Tensor<B, 1>, _| {
            let times = |x: Tensor<B, 2>| x.clone() * grad.clone().cast(x.dtype()).unsqueeze();
            [Some(raw(times(of_x))), Some(raw(times(of_weight)))]
        });
        HeadLoss { loss, plain, back: None }
    }

    fn cores_loss(
        x: Tensor<Self, 2>,
        cores: Cores<Self>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> HeadLoss<Self, 2> {
        let Cores { first, second, ranks, rows, width } = cores;
        let below = Cores { first: inner(&first), second: inner(&second), ranks, rows, width };
        let made = B::cores_loss(inner(&x), below, labels.inner(), objective, share, back);
        let plain = Tensor::from_inner(made.plain);
        let Some((of_x, [of_first, of_second])) = made.back else {
            return HeadLoss { loss: Tensor::from_inner(made.loss), plain, back: None };
        };
        let sources = [raw(x), raw(first), raw(second)];
        let loss = tracked(sources, made.loss, move |grad: Tensor<B, 1>, _| {
            let times = |x: Tensor<B, 2>| x.clone() * grad.clone().cast(x.dtype()).unsqueeze();
            [of_x, of_first, of_second].map(|grad| Some(raw(times(grad))))
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

/// What the backend below sees.
fn sight_below<B: Backend, C: CheckpointStrategy>(sight: &Sight<Tracked<B, C>>) -> Sight<B> {
    Sight { starts: sight.starts.clone().inner(), scale: sight.scale, dropped: sight.dropped }
}

/// How the backend below deals.
fn dealt_below<B: Backend, C: CheckpointStrategy>(dealing: &Dealing<Tracked<B, C>>) -> Dealing<B> {
    let below = |ints: &Tensor<Tracked<B, C>, 1, Int>| ints.clone().inner();
    Dealing {
        rows: below(&dealing.rows),
        order: below(&dealing.order),
        places: below(&dealing.places),
        ends: dealing.ends.clone(),
        loads: dealing.loads.clone(),
        chosen: dealing.chosen,
    }
}

/// How the backend below places.
fn placed_below<B: Backend, C: CheckpointStrategy>(placing: &Placing<Tracked<B, C>>) -> Placing<B> {
    Placing {
        heads: placing.heads,
        angles: Angles { cos: inner(&placing.angles.cos), sin: inner(&placing.angles.sin) },
        positions: placing.positions.clone().inner(),
        norms: placing.norms.as_ref().map(|norms| norms.each_ref().map(inner)),
        epsilon: placing.epsilon,
    }
}
