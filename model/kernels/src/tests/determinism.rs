//! The same bits for any number of threads.
use super::{B, ints, numbers, tensor};
use crate::ops::{AdamStep, Angles, Dropout, Objective, Ops, Sight, Turned};
use burn::prelude::*;

fn bits<const D: usize>(x: Tensor<B, D>) -> Vec<u32> {
    x.into_data().to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Every operation that shares work, on sizes that take several parts.
fn all() -> Vec<Vec<u32>> {
    let [rows, width, wide] = [300, 96, 260];
    let x = tensor(&numbers(rows * width, 1), [rows, width]);
    let y = tensor(&numbers(rows * wide, 2), [rows, wide]);
    let weight = tensor(&numbers(width, 3), [width]);
    let heads = [2, rows / 2, 4, width / 4];
    let kv = [2, rows / 2, 2, width / 4];
    let [query, grad] = [4, 5].map(|seed| tensor(&numbers(rows * width, seed), heads));
    let [key, value] = [6, 7].map(|seed| tensor(&numbers(rows * width / 2, seed), kv));
    let starts = ints(&vec![0; rows], [2, rows / 2]);
    let table = tensor(&numbers(50 * width / 8, 8), [50, width / 8]);
    let angles = Angles { cos: table.clone(), sin: table };
    let ids = ints(&(0..rows as i32).map(|row| row % 50).collect::<Vec<_>>(), [rows]);
    let dropped = Dropout { rate: 0.3, seed: 1 };
    let sight = Sight { starts, scale: 0.2, dropped };
    let attended = B::attend([query.clone(), key.clone(), value.clone()], &sight);
    let [of_query, of_key, of_value] =
        B::attend_back([query.clone(), key, value], &sight, attended.clone(), grad);
    let (of_x, of_weight) = B::rms_norm_back(x.clone(), weight.clone(), 1e-5, x.clone());
    let head = tensor(&numbers(50 * width, 9), [50, width]);
    let loss = B::head_loss(x.clone(), head, ids.clone(), &Objective::PLAIN, 0.01, true);
    let (back_x, back_head) = loss.back.unwrap();
    let flat: Tensor<B, 1> = y.clone().reshape([rows * wide]);
    let step = AdamStep { rate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, decay: 0.1, scale: 1.0, step: 1 };
    let (moved, _) = B::adamw(flat.clone(), flat.clone(), (flat.clone(), flat.clone().abs()), &step);
    vec![
        bits(B::product(x.clone(), y.clone(), Turned::Left)),
        bits(B::product(y.clone(), y.clone(), Turned::Right)),
        bits(B::rms_norm(x.clone(), weight, 1e-5)),
        bits(of_x),
        bits(of_weight),
        bits(B::rotate(x.clone().reshape([rows, 4, width / 4]), &angles, ids.clone(), false)),
        [attended.output, of_query, of_key, of_value].map(bits).concat(),
        bits(attended.peak),
        bits(B::swiglu(y.clone(), y.clone())),
        bits(B::embed_back(ids, 50, x.clone())),
        [bits(loss.loss), bits(back_x), bits(back_head)].concat(),
        bits(B::dropout(y, dropped)),
        bits(B::sum_squares(flat)),
        bits(moved),
    ]
}

#[test]
fn bits_do_not_depend_on_threads() {
    let with = |threads| crate::with_threads(threads, all);
    let one = with(1);
    for threads in [2, 3, 7] {
        assert!(with(threads) == one, "{threads} threads give other bits");
    }
}
