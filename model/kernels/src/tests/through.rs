//! The operations in automatic differentiation: what they hand back is what the operations say, through a chain of all.
use super::{B, floats, ints, near, numbers, tensor};
use crate::ops::{Angles, Dropout, NO_LABEL, Objective, Ops, Sight, Turned};
use crate::plain;
use burn::backend::Autodiff;
use burn::prelude::*;

type A = Autodiff<B>;

type Rotate = fn(Tensor<A, 3>, &Angles<A>, Tensor<A, 1, Int>, bool) -> Tensor<A, 3>;

/// The operations under test, or their plain bodies, which Burn differentiates by itself.
struct Bodies {
    product: fn(Tensor<A, 2>, Tensor<A, 2>, Turned) -> Tensor<A, 2>,
    norm: fn(Tensor<A, 2>, Tensor<A, 1>, f64) -> Tensor<A, 2>,
    rotate: Rotate,
    add: fn(Tensor<A, 2>, Tensor<A, 2>) -> Tensor<A, 2>,
    swiglu: fn(Tensor<A, 2>, Tensor<A, 2>) -> Tensor<A, 2>,
    embed: fn(Tensor<A, 2>, Tensor<A, 1, Int>) -> Tensor<A, 2>,
    ours: bool,
}

const OURS: Bodies = Bodies {
    product: A::product,
    norm: A::rms_norm,
    rotate: A::rotate,
    add: A::add,
    swiglu: A::swiglu,
    embed: A::embed,
    ours: true,
};

const PLAIN: Bodies = Bodies {
    product: plain::product,
    norm: plain::rms_norm,
    rotate: plain::rotate,
    add: |x, y| x + y,
    swiglu: plain::swiglu,
    embed: plain::embed,
    ours: false,
};

/// A small model with tied weights in which every operation stands; its loss and all gradients.
fn run(by: &Bodies) -> Vec<Vec<f64>> {
    let [batch, tokens, heads, width, vocabulary] = [2, 5, 2, 6, 11];
    let rows = batch * tokens;
    let leaf = |seed, shape: [usize; 2]| {
        Tensor::<A, 2>::from_inner(tensor(&numbers(shape[0] * shape[1], seed), shape)).require_grad()
    };
    let (embedding, norm) = (leaf(1, [vocabulary, 12]), leaf(2, [1, 12]));
    let weights = [3, 4, 5, 6, 7].map(|seed| leaf(seed, [12, 12]));
    let ids: Vec<i32> = (0..rows as i32).map(|row| row * 3 % 11).collect();
    let labels: Vec<i32> = ids.iter().map(|id| if *id == 3 { NO_LABEL } else { (id + 1) % 11 }).collect();
    let ids = Tensor::<A, 1, Int>::from_inner(ints(&ids, [rows]));
    let labels = Tensor::<A, 1, Int>::from_inner(ints(&labels, [rows]));
    let places: Vec<i32> = (0..rows as i32).map(|row| row % tokens as i32).collect();
    let places = Tensor::<A, 1, Int>::from_inner(ints(&places, [rows]));
    let table =
        |seed| Tensor::<A, 2>::from_inner(tensor(&numbers(tokens * width / 2, seed), [tokens, width / 2]));
    let angles = Angles { cos: table(8), sin: table(9) };
    let starts = Tensor::<A, 2, Int>::from_inner(ints(&[0, 0, 1, 2, 3, 0, 0, 0, 3, 3], [batch, tokens]));

    let x = (by.embed)(embedding.clone(), ids);
    let normed = (by.norm)(x.clone(), norm.clone().reshape([12]), 1e-5);
    let part = |at: usize| (by.product)(normed.clone(), weights[at].clone(), Turned::Right);
    let turn = |x: Tensor<A, 2>| {
        let x = x.reshape([rows, heads, width]);
        (by.rotate)(x, &angles, places.clone(), false).reshape([batch, tokens, heads, width])
    };
    let (query, key, value) = (turn(part(0)), turn(part(1)), part(2).reshape([batch, tokens, heads, width]));
    let sight = Sight { starts, scale: 0.4, dropped: Dropout { rate: 0.3, seed: 5 } };
    let attended = if by.ours {
        A::attend([query, key, value], &sight)
    } else {
        plain::attend([query, key, value], &sight)
    };
    let x = (by.add)(x, attended.output.reshape([rows, 12]));
    let gated = (by.swiglu)(
        (by.product)(x.clone(), weights[3].clone(), Turned::Neither),
        (by.product)(weights[4].clone(), x.clone().transpose(), Turned::Neither).transpose(),
    );
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
    for leaf in [embedding, norm].iter().chain(&weights) {
        all.push(floats(leaf.grad(&grads).unwrap()));
    }
    all
}

#[test]
fn a_chain_of_all_operations_has_the_gradients_that_burn_finds_by_itself() {
    for (at, (ours, plain)) in run(&OURS).iter().zip(run(&PLAIN)).enumerate() {
        near(&format!("gradient {at}"), ours, &plain, 2e-5);
    }
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
