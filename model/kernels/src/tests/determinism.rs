//! The same bits for any number of threads.
use super::update::adam;
use super::{B, ints, numbers, tensor};
use crate::ops::{Angles, Dropout, Objective, Ops, Placing, Sight, Turned};
use burn::prelude::*;

fn bits<const D: usize>(x: Tensor<B, D>) -> Vec<u32> {
    x.into_data().to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

fn head_of(seed: u64, rows: usize, width: usize) -> Tensor<B, 2> {
    tensor(&numbers(rows * width, seed), [rows, width])
}

/// Every operation that shares work, on sizes that take several parts.
fn all() -> Vec<Vec<u32>> {
    let [rows, width, wide] = [300, 96, 260];
    let x = tensor(&numbers(rows * width, 1), [rows, width]);
    let y = tensor(&numbers(rows * wide, 2), [rows, wide]);
    let weight = tensor(&numbers(width, 3), [width]);
    let heads = [2, rows / 2, 4, width / 4];
    let grad = tensor(&numbers(rows * width, 5), heads);
    // As many heads of queries as of keys and values together.
    let heads = [2, rows / 2, 8, width / 4];
    let all = tensor(&numbers(2 * rows * width, 6), heads);
    let starts = ints(&vec![0; rows], [2, rows / 2]);
    let table = tensor(&numbers(50 * width / 8, 8), [50, width / 8]);
    let angles = Angles { cos: table.clone(), sin: table };
    let ids = ints(&(0..rows as i32).map(|row| row % 50).collect::<Vec<_>>(), [rows]);
    let dropped = Dropout { rate: 0.3, seed: 1 };
    let sight = Sight { starts, scale: 0.2, dropped };
    let attended = B::attend(all.clone(), 4, &sight);
    let of_all = B::attend_back(all.clone(), &sight, attended.clone(), grad);
    let norm = |seed| tensor(&numbers(width / 4, seed), [width / 4]);
    let norms = Some([norm(11), norm(12)]);
    let placing = Placing { heads: 4, angles, positions: ids.clone(), norms, epsilon: 1e-5 };
    let by_row: Tensor<B, 3> = all.reshape([rows, 8, width / 4]);
    let (of_placed, of_norms) = B::place_back(Some(by_row.clone()), &placing, by_row.clone());
    let weights = vec![head_of(9, 50, width), head_of(10, 30, width)];
    let sides = tensor(&numbers(rows * 80, 13), [rows, 80]);
    let gated = B::swiglu_back(y.clone(), y.clone().narrow(1, 0, wide / 2));
    let back = B::rms_norm_back(x.clone(), weight.clone(), 1e-5, x.clone(), Some(x.clone()), true);
    let head = head_of(9, 50, width);
    let loss = B::head_loss(x.clone(), head, ids.clone(), &Objective::PLAIN, 0.01, true);
    let (back_x, [back_head]) = loss.back.unwrap();
    let flat: Tensor<B, 1> = y.clone().reshape([rows * wide]);
    let step = adam(1.0);
    let [moved, ..] = B::adamw(vec![[0; 4].map(|_| flat.clone().abs())], &step).remove(0);
    vec![
        bits(B::product(x.clone(), y.clone(), Turned::Left)),
        bits(B::product(y.clone(), y.clone(), Turned::Right)),
        bits(B::rms_norm(x.clone(), weight, 1e-5)),
        bits(back.grad),
        bits(back.of_weight),
        bits(back.output.unwrap()),
        bits(B::place(by_row, &placing)),
        [bits(of_placed), of_norms.unwrap().map(bits).concat()].concat(),
        bits(B::project(x.clone(), weights.clone())),
        B::project_back(x.clone(), weights, sides, None, [true; 2]).map(|grad| bits(grad.unwrap())).concat(),
        [attended.output, of_all].map(bits).concat(),
        bits(attended.peak),
        bits(B::swiglu(y.clone())),
        [gated.output, gated.grad].map(bits).concat(),
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
