//! Rows dealt to experts and back, and products by expert: each body against loops in f64, and the way back against slopes.
use super::{B, floats, near, numbers, slope, tensor};
use crate::cpu;
use crate::experts::{Dealing, parts};
use crate::ops::Ops;
use crate::plain;
use burn::backend::Autodiff;
use burn::prelude::*;

const ROWS: usize = 7;
const WIDTH: usize = 5;
const CHOSEN: usize = 2;
const COUNT: usize = 4;
/// Nobody chose the third.
const EXPERTS: [u32; ROWS * CHOSEN] = [0, 1, 3, 0, 1, 0, 3, 1, 1, 3, 0, 3, 3, 1];

fn dealing(multiple: usize) -> Dealing<B> {
    Dealing::new(&EXPERTS, CHOSEN, COUNT, multiple, &Default::default())
}

fn ints(x: &Tensor<B, 1, Int>) -> Vec<usize> {
    x.to_data().iter::<i32>().map(|x| x as usize).collect()
}

/// What `dealt` is: the row of each place, or zeros.
fn dealt_by_loops(x: &[f64], dealing: &Dealing<B>) -> Vec<f64> {
    let row = |row: &usize| x.chunks(WIDTH).nth(*row).map_or(vec![0.0; WIDTH], <[f64]>::to_vec);
    ints(&dealing.rows).iter().flat_map(row).collect()
}

/// What `gathered` is: the sum of what stands at the places of each row, as much as each counts.
fn gathered_by_loops(x: &[f64], shares: &[f64], dealing: &Dealing<B>) -> Vec<f64> {
    let mut sum = vec![0.0; ROWS * WIDTH];
    for (choice, place) in ints(&dealing.places).into_iter().enumerate() {
        for at in 0..WIDTH {
            sum[choice / CHOSEN * WIDTH + at] += shares[choice] * x[place * WIDTH + at];
        }
    }
    sum
}

#[test]
fn rows_go_to_their_experts_and_back() {
    for multiple in [1, 4] {
        let dealing = dealing(multiple);
        let [_, places] = dealing.sizes();
        let (x, given) = (numbers(ROWS * WIDTH, 1), numbers(places * WIDTH, 2));
        let (shares, grad) = (numbers(ROWS * CHOSEN, 3), numbers(ROWS * WIDTH, 4));
        let rows = || tensor(&x, [ROWS, WIDTH]);
        let (of_places, of_shares) = (|| tensor(&given, [places, WIDTH]), || tensor(&shares, [ROWS, CHOSEN]));
        let grads = || tensor(&grad, [ROWS, WIDTH]);

        let right = dealt_by_loops(&x, &dealing);
        near("plain dealt", &floats(plain::dealt(rows(), &dealing)), &right, 1e-6);
        near("dealt", &floats(B::dealt(rows(), &dealing)), &right, 1e-6);
        let right = slope(&x, &given, |x| dealt_by_loops(x, &dealing));
        near("plain dealt_back", &floats(plain::dealt_back(of_places(), &dealing)), &right, 1e-6);
        near("dealt_back", &floats(B::dealt_back(of_places(), &dealing)), &right, 1e-6);

        let right = gathered_by_loops(&given, &shares, &dealing);
        near("plain gathered", &floats(plain::gathered(of_places(), of_shares(), &dealing)), &right, 1e-6);
        near("gathered", &floats(B::gathered(of_places(), of_shares(), &dealing)), &right, 1e-6);
        let of_x = slope(&given, &grad, |given| gathered_by_loops(given, &shares, &dealing));
        let counts = slope(&shares, &grad, |shares| gathered_by_loops(&given, shares, &dealing));
        let back = [
            plain::gathered_back(of_places(), of_shares(), &dealing, grads()),
            B::gathered_back(of_places(), of_shares(), &dealing, grads()),
        ];
        for [got, shares] in back {
            near("gathered_back", &floats(got), &of_x, 1e-6);
            near("gathered_back of shares", &floats(shares), &counts, 1e-6);
        }
    }
}

#[test]
fn each_expert_multiplies_its_own_places() {
    const OUTS: [usize; 2] = [3, 2];
    for multiple in [1, 4] {
        let dealing = dealing(multiple);
        let [_, places] = dealing.sizes();
        let x = numbers(places * WIDTH, 5);
        let weights: Vec<Vec<f64>> =
            (0..2 * COUNT).map(|at| numbers(OUTS[at % 2] * WIDTH, 10 + at as u64)).collect();
        let across: usize = OUTS.iter().sum();
        let by_loops = |x: &[f64], weights: &[Vec<f64>]| -> Vec<f64> {
            let mut out = vec![0.0; places * across];
            for (expert, (first, len)) in parts(&dealing.ends).into_iter().enumerate() {
                let rows = weights[2 * expert..2 * expert + 2].iter().flat_map(|one| one.chunks(WIDTH));
                for (at, row) in rows.enumerate() {
                    for place in first..first + len {
                        let own = &x[place * WIDTH..][..WIDTH];
                        out[place * across + at] = own.iter().zip(row).map(|(a, b)| a * b).sum();
                    }
                }
            }
            out
        };
        let right = by_loops(&x, &weights);
        let of = |at: usize| tensor::<2>(&weights[at], [OUTS[at % 2], WIDTH]);
        let all = || (0..COUNT).map(|expert| vec![of(2 * expert), of(2 * expert + 1)]).collect();
        let got = B::project_dealt(tensor(&x, [places, WIDTH]), all(), &dealing.ends);
        near("project_dealt", &floats(got), &right, 1e-5);

        // Through automatic differentiation, as a block does it.
        let grad = numbers(places * across, 6);
        let taped = |x: Tensor<B, 2>| Tensor::<Autodiff<B>, 2>::from_inner(x).require_grad();
        let own: Vec<Vec<_>> =
            (0..COUNT).map(|expert| (0..2).map(|part| taped(of(2 * expert + part))).collect()).collect();
        let rows = taped(tensor(&x, [places, WIDTH]));
        let out = Autodiff::<B>::project_dealt(rows.clone(), own.clone(), &dealing.ends);
        let grads = crate::back_from(out, tensor(&grad, [places, across]));
        let of_x = slope(&x, &grad, |x| by_loops(x, &weights));
        near("of x", &floats(rows.grad(&grads).unwrap()), &of_x, 1e-5);
        for (at, weight) in own.iter().flatten().enumerate() {
            let right = slope(&weights[at], &grad, |weight| {
                let mut weights = weights.clone();
                weights[at] = weight.to_vec();
                by_loops(&x, &weights)
            });
            let got = floats(weight.grad(&grads).unwrap());
            near("of a weight", &got, &right, 1e-5);
            assert_eq!(got.iter().all(|x| *x == 0.0), at / 2 == 2, "who was not chosen has nothing to learn");
        }
    }
}

#[test]
fn what_stands_beside_gets_a_gradient_of_its_own() {
    type A = Autodiff<B>;
    let taped = |seed| Tensor::<A, 2>::from_inner(tensor(&numbers(6, seed), [3, 2])).require_grad();
    let (x, y) = (taped(1), taped(2));
    let beside = A::beside(x.clone(), y.clone(), Tensor::from_floats([5.0, -1.0], &Default::default()));
    assert_eq!(floats(beside.clone().inner()), floats(x.clone().inner()));
    let grad = numbers(6, 3);
    let grads = crate::back_from(beside, tensor(&grad, [3, 2]));
    near("of x", &floats(x.grad(&grads).unwrap()), &grad, 1e-7);
    assert_eq!(floats(y.grad(&grads).unwrap()), [5.0, -1.0].repeat(3));
}

#[test]
fn threads_change_no_bit() {
    let experts: Vec<u32> = (0..6000).map(|at| (at * at * 7 % 5) as u32).collect();
    let dealing = Dealing::<B>::new(&experts, 3, 5, 1, &Default::default());
    let all = |threads| {
        cpu::with_threads(threads, || {
            let (x, given) =
                (tensor(&numbers(2000 * 24, 1), [2000, 24]), tensor(&numbers(6000 * 24, 2), [6000, 24]));
            let shares = tensor(&numbers(6000, 3), [2000, 3]);
            let mut all =
                vec![B::dealt(x.clone(), &dealing), B::gathered(given.clone(), shares.clone(), &dealing)];
            all.push(B::dealt_back(given.clone(), &dealing));
            all.extend(B::gathered_back(given, shares, &dealing, x));
            all.into_iter().map(floats).collect::<Vec<_>>()
        })
    };
    assert_eq!(all(1), all(3));
}
