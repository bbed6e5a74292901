//! The operations in automatic differentiation: what they hand back is what the operations say, through a chain of all.
use super::{B, floats, ints, near, numbers, tensor};
use crate::ops::{Angles, Attended, Dropout, NO_LABEL, Objective, Ops, Placing, Sight, Turned};
use crate::plain;
use burn::backend::Autodiff;
use burn::prelude::*;

type A = Autodiff<B>;

type Norm = fn(Tensor<A, 2>, Tensor<A, 1>, f64) -> Tensor<A, 2>;
type Onto = fn(Tensor<A, 2>, Tensor<A, 2>, Tensor<A, 2>, Dropout) -> Tensor<A, 2>;
type Normed = fn(Tensor<A, 2>, Tensor<A, 1>, f64, Vec<Tensor<A, 2>>) -> Tensor<A, 2>;

/// The operations under test, or their plain bodies, which Burn differentiates by itself.
struct Bodies {
    product: fn(Tensor<A, 2>, Tensor<A, 2>, Turned) -> Tensor<A, 2>,
    norm: Norm,
    project: fn(Tensor<A, 2>, Vec<Tensor<A, 2>>) -> Tensor<A, 2>,
    normed: Normed,
    onto: Onto,
    gated: Onto,
    place: fn(Tensor<A, 3>, &Placing<A>) -> Tensor<A, 3>,
    attend: fn(Tensor<A, 4>, usize, &Sight<A>) -> Attended<A>,
    add: fn(Tensor<A, 2>, Tensor<A, 2>) -> Tensor<A, 2>,
    swiglu: fn(Tensor<A, 2>) -> Tensor<A, 2>,
    embed: fn(Tensor<A, 2>, Tensor<A, 1, Int>) -> Tensor<A, 2>,
    ours: bool,
}

const OURS: Bodies = Bodies {
    product: A::product,
    norm: A::rms_norm,
    project: A::project,
    normed: A::project_normed,
    onto: A::project_onto,
    gated: A::project_gated_onto,
    place: A::place,
    attend: A::attend,
    add: A::add,
    swiglu: A::swiglu,
    embed: A::embed,
    ours: true,
};

/// Loops over heads by Burn's operations alone.
fn place(x: Tensor<A, 3>, placing: &Placing<A>) -> Tensor<A, 3> {
    let [query, key, value] = plain::parts(x, placing.heads);
    let normed = |x: Tensor<A, 3>, at: usize| match &placing.norms {
        None => x,
        Some(norms) => {
            let dims @ [rows, heads, width] = x.dims();
            plain::rms_norm(x.reshape([rows * heads, width]), norms[at].clone(), placing.epsilon)
                .reshape(dims)
        }
    };
    let turned = |x| plain::rotate(x, &placing.angles, placing.positions.clone(), false);
    Tensor::cat(vec![turned(normed(query, 0)), turned(normed(key, 1)), value], 1)
}

const PLAIN: Bodies = Bodies {
    product: plain::product,
    norm: plain::rms_norm,
    project: |x, weights| {
        Tensor::cat(weights.into_iter().map(|w| x.clone().matmul(w.transpose())).collect(), 1)
    },
    normed: |x, norm, epsilon, weights| (PLAIN.project)(plain::rms_norm(x, norm, epsilon), weights),
    onto: |sum, x, weight, dropped| sum + plain::dropout(x.matmul(weight.transpose()), dropped),
    gated: |sum, both, weight, dropped| (PLAIN.onto)(sum, plain::swiglu(both), weight, dropped),
    place,
    attend: plain::attend,
    add: |x, y| x + y,
    swiglu: plain::swiglu,
    embed: plain::embed,
    ours: false,
};

/// A small model with tied weights in which every operation stands; its loss and all gradients.
fn run(by: &Bodies, qk_norm: bool) -> Vec<Vec<f64>> {
    let [batch, tokens, heads, kv, width, vocabulary] = [2, 5, 2, 1, 6, 11];
    let rows = batch * tokens;
    let leaf = |seed, shape: [usize; 2]| {
        Tensor::<A, 2>::from_inner(tensor(&numbers(shape[0] * shape[1], seed), shape)).require_grad()
    };
    let (embedding, norm) = (leaf(1, [vocabulary, 12]), leaf(2, [1, 12]));
    let weights = [12, 6, 6, 12, 7, 7, 12].into_iter().zip(3..);
    let mut weights: Vec<_> = weights.map(|(out, seed)| leaf(seed, [out, 12])).collect();
    weights.push(leaf(20, [12, 7]));
    let [of_query, of_key] = [21, 22].map(|seed| leaf(seed, [1, width]));
    let ids: Vec<i32> = (0..rows as i32).map(|row| row * 3 % 11).collect();
    let labels: Vec<i32> = ids.iter().map(|id| if *id == 3 { NO_LABEL } else { (id + 1) % 11 }).collect();
    let ids = Tensor::<A, 1, Int>::from_inner(ints(&ids, [rows]));
    let labels = Tensor::<A, 1, Int>::from_inner(ints(&labels, [rows]));
    let places: Vec<i32> = (0..rows as i32).map(|row| row % tokens as i32).collect();
    let places = Tensor::<A, 1, Int>::from_inner(ints(&places, [rows]));
    let table =
        |seed| Tensor::<A, 2>::from_inner(tensor(&numbers(tokens * width / 2, seed), [tokens, width / 2]));
    let angles = Angles { cos: table(18), sin: table(19) };
    let starts = Tensor::<A, 2, Int>::from_inner(ints(&[0, 0, 1, 2, 3, 0, 0, 0, 3, 3], [batch, tokens]));

    let x = (by.embed)(embedding.clone(), ids);
    let norm_weight = || norm.clone().reshape([12]);
    // x goes into the norm and on beside it, so that its gradient comes from two sides.
    let all = (by.normed)(x.clone(), norm_weight(), 1e-5, weights[..3].to_vec());
    let norms = || Some([of_query.clone(), of_key.clone()].map(|norm| norm.reshape([width])));
    let norms = if qk_norm { norms() } else { None };
    let placing = Placing { heads, angles, positions: places, norms, epsilon: 1e-5 };
    let placed = (by.place)(all.reshape([rows, heads + 2 * kv, width]), &placing);
    let sight = Sight { starts, scale: 0.4, dropped: Dropout { rate: 0.3, seed: 5 } };
    let attended = (by.attend)(placed.reshape([batch, tokens, heads + 2 * kv, width]), heads, &sight);
    let attended = (by.project)(attended.output.reshape([rows, 12]), vec![weights[3].clone()]);
    let x = (by.add)(x, attended);
    let both = (by.normed)(x.clone(), norm_weight(), 1e-5, weights[4..6].to_vec());
    let x = (by.gated)(x, both, weights[7].clone(), Dropout { rate: 0.2, seed: 6 });
    // What it is added to goes in as well, so that both its gradients come from one step.
    let x = (by.onto)(x.clone(), x, weights[3].clone(), Dropout { rate: 0.1, seed: 7 });
    // Those that stand alone.
    let normed = (by.norm)(x.clone(), norm_weight(), 1e-5);
    let gated = (by.swiglu)(Tensor::cat(
        vec![
            (by.product)(normed, weights[0].clone(), Turned::Neither),
            (by.product)(weights[6].clone(), x.clone().transpose(), Turned::Neither).transpose(),
        ],
        1,
    ));
    let x = (by.add)(x, gated);
    let objective = Objective { z: 0.01, ..Objective::PLAIN };
    let loss = if by.ours {
        A::head_loss(x, embedding.clone(), labels, &objective, 0.1, true).loss
    } else {
        // Plain all the way: the logits and their loss as Burn differentiates them.
        plain::head_loss(x, embedding.clone(), labels, &objective, 0.1, false).loss
    };
    let grads = loss.backward();
    let mut all = vec![floats(loss.inner())];
    let heads = if qk_norm { vec![of_query, of_key] } else { Vec::new() };
    for leaf in [embedding, norm].iter().chain(&weights).chain(&heads) {
        all.push(floats(leaf.grad(&grads).unwrap()));
    }
    all
}

#[test]
fn a_chain_of_all_operations_has_the_gradients_that_burn_finds_by_itself() {
    for qk_norm in [false, true] {
        for (at, (ours, plain)) in run(&OURS, qk_norm).iter().zip(run(&PLAIN, qk_norm)).enumerate() {
            near(&format!("gradient {at}"), ours, &plain, 2e-5);
        }
    }
}

#[test]
fn gradients_are_made_of_those_weights_alone_that_want_them() {
    let x = Tensor::<A, 2>::from_inner(tensor(&numbers(40, 1), [4, 10]));
    let weight = |seed| Tensor::<A, 2>::from_inner(tensor(&numbers(30, seed), [3, 10]));
    let (first, second, third) = (weight(2), weight(3).require_grad(), weight(4));
    let y = A::project(x.clone(), vec![first.clone(), second.clone(), third.clone()]);
    let grads = y.sum().backward();
    let rows = numbers(40, 1);
    let sums: Vec<f64> = (0..10).map(|at| rows.iter().skip(at).step_by(10).sum()).collect();
    near("second", &floats(second.grad(&grads).unwrap()), &sums.repeat(3), 1e-6);
    assert!(first.grad(&grads).is_none() && third.grad(&grads).is_none() && x.grad(&grads).is_none());
}

#[test]
fn dropout_lets_through_what_it_let_through() {
    let x = Tensor::<A, 2>::from_inner(tensor(&numbers(60, 1), [6, 10])).require_grad();
    let y = A::dropout(x.clone(), Dropout { rate: 0.4, seed: 9 });
    let kept: Vec<f64> = floats(y.clone().inner()).iter().map(|y| f64::from(*y != 0.0) / 0.6).collect();
    let grads = y.sum().backward();
    near("dropout", &floats(x.grad(&grads).unwrap()), &kept, 1e-6);
}

#[test]
fn the_gradient_of_a_loss_that_is_multiplied_is_multiplied() {
    let x = Tensor::<A, 2>::from_inner(tensor(&numbers(8, 1), [4, 2])).require_grad();
    let weight = Tensor::<A, 2>::from_inner(tensor(&numbers(6, 2), [3, 2]));
    let labels = Tensor::<A, 1, Int>::from_inner(ints(&[0, 1, 2, 0], [4]));
    let back = |times: f64| {
        let loss = A::head_loss(x.clone(), weight.clone(), labels.clone(), &Objective::PLAIN, 1.0, true).loss;
        floats(x.grad(&loss.mul_scalar(times).backward()).unwrap())
    };
    let (once, thrice) = (back(1.0), back(3.0));
    near("times three", &thrice, &once.iter().map(|x| x * 3.0).collect::<Vec<_>>(), 1e-6);
}

#[test]
fn the_way_back_may_begin_anywhere() {
    let x = Tensor::<A, 2>::from_inner(tensor(&numbers(8, 1), [4, 2])).require_grad();
    let y = x.clone() * x.clone();
    let grad = tensor(&numbers(8, 2), [4, 2]);
    let right: Vec<f64> = numbers(8, 1).iter().zip(numbers(8, 2)).map(|(x, grad)| 2.0 * x * grad).collect();
    let grads = crate::back_from(y, grad);
    near("from the middle", &floats(x.grad(&grads).unwrap()), &right, 1e-6);
}
