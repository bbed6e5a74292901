//! Noise, dropout, AdamW, Muon, sums of squares.
use super::{B, floats, naive, near, numbers, tensor};
use crate::ops::{AdamStep, Dropout, Move, Ops, Push};
use crate::plain;
use burn::prelude::*;

#[test]
fn noise_is_the_same_everywhere_and_even() {
    let device = Default::default();
    let got = floats(B::noise(40_000, 7, &device));
    near("noise", &got, &floats(plain::noise::<B>(40_000, 7, &device)), 0.0);
    assert!(got.iter().all(|x| (0.0..1.0).contains(x)));
    let mut tenths = [0; 10];
    got.iter().for_each(|x| tenths[(x * 10.0) as usize] += 1);
    assert!(tenths.iter().all(|many| (3_750..4_250).contains(many)), "{tenths:?}");
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    // Neighbours, and the same place under a seed that differs by one, have nothing in common.
    let other = floats(B::noise(40_000, 8, &device));
    for pair in [&got[1..], &other] {
        let products: Vec<f64> = got.iter().zip(pair).map(|(a, b)| (a - 0.5) * (b - 0.5)).collect();
        assert!(mean(&products).abs() < 0.002, "{}", mean(&products));
    }
}

#[test]
fn dropout_drops_its_share_and_keeps_the_sum() {
    let x = tensor(&vec![1.0; 300 * 70], [300, 70]);
    for rate in [0.1, 0.5] {
        let by = |seed| Dropout { rate, seed };
        let got = floats(B::dropout(x.clone(), by(3)));
        near("dropped", &got, &floats(plain::dropout(x.clone(), by(3))), 0.0);
        let dropped = got.iter().filter(|x| **x == 0.0).count() as f64 / got.len() as f64;
        assert!((dropped - rate).abs() < 0.01, "{dropped}");
        assert!(got.iter().all(|x| *x == 0.0 || (x - 1.0 / (1.0 - rate)).abs() < 1e-6));
        assert_ne!(got, floats(B::dropout(x.clone(), by(4))));
    }
    assert_eq!(floats(B::dropout(x.clone(), Dropout::NONE)), floats(x));
}

#[test]
fn what_others_hold_is_never_written_to() {
    let x = tensor(&numbers(3 * 50, 1), [3, 50]);
    let before = floats(x.clone());
    let _ = B::dropout(x.clone(), Dropout { rate: 0.5, seed: 1 });
    let flat: Tensor<B, 1> = x.clone().reshape([150]);
    let step = adam(1.0);
    let _ = B::adamw(vec![[0; 4].map(|_| flat.clone())], &step);
    let push = Push { scale: tensor(&[0.5], [1]), momentum: 0.9, nesterov: true };
    let _ = B::muon(vec![[flat.clone(), flat.clone()]], [3, 50], &push);
    let _ = B::moved(vec![[flat.clone(), flat.clone()]], &by(0.1));
    assert_eq!(floats(x), before);
    assert_eq!(floats(flat), before);
}

#[test]
fn sums_of_squares() {
    for len in [0, 1, 4_095, 10_000] {
        let x = numbers(len, 1);
        let right = x.iter().map(|x| x * x).sum::<f64>();
        near("cpu", &floats(B::sum_squares(tensor(&x, [len]))), &[right], 1e-5);
        if len > 0 {
            near("plain", &floats(plain::sum_squares(tensor(&x, [len]))), &[right], 1e-5);
        }
    }
}

#[test]
fn adamw_takes_the_steps_that_its_formulas_say() {
    let len = 20_000;
    let [start, mut mean, mut square] = [numbers(len, 1), vec![0.0; len], vec![0.0; len]];
    let mut right = start.clone();
    let flat = |x: &[f64]| tensor(x, [len]);
    let fresh = || [&start, &mean, &square].map(|x| flat(x));
    let (mut of_plain, mut of_cpu) = (fresh(), fresh());
    for count in 1..=3 {
        let grad = numbers(len, 10 + count);
        let step = AdamStep {
            rate: 0.01 * count as f64,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            decay: 0.1,
            scale: tensor(&[0.5], [1]),
            step: count,
        };
        for at in 0..len {
            let grad = grad[at] * 0.5;
            mean[at] = 0.9 * mean[at] + 0.1 * grad;
            square[at] = 0.95 * square[at] + 0.05 * grad * grad;
            let first = mean[at] / (1.0 - 0.9_f64.powi(count as i32));
            let second = square[at] / (1.0 - 0.95_f64.powi(count as i32));
            right[at] = right[at] * (1.0 - step.rate * 0.1) - step.rate * first / (second.sqrt() + 1e-8);
        }
        let given = |[weight, mean, square]: [_; 3]| [weight, flat(&grad), mean, square];
        of_plain = plain::adamw(given(of_plain), &step);
        of_cpu = B::adamw(vec![given(of_cpu)], &step).remove(0);
        for (body, made) in [("plain", &of_plain), ("cpu", &of_cpu)] {
            for (made, (name, right)) in
                made.iter().zip([("weight", &right), ("mean", &mean), ("square", &square)])
            {
                near(&format!("{body} {name} {count}"), &floats(made.clone()), right, 1e-6);
            }
        }
    }
}

#[test]
fn muon_goes_the_ways_that_its_formulas_say() {
    for ([rows, columns], nesterov) in [([1, 1], true), ([3, 7], false), ([12, 5], true), ([16, 16], false)] {
        let len = rows * columns;
        let push = Push { scale: tensor(&[0.5], [1]), momentum: 0.9, nesterov };
        let given: Vec<_> = (0..3).map(|at| [numbers(len, 2 * at + 1), numbers(len, 2 * at + 2)]).collect();
        let one = |at: usize| given[at].each_ref().map(|x| tensor(x, [len]));
        let together = B::muon((0..3).map(one).collect(), [rows, columns], &push);
        assert_eq!(together.len(), 3);
        for (at, [way, kept]) in together.into_iter().enumerate() {
            let [grad, momentum] = &given[at];
            let grad: Vec<f64> = grad.iter().map(|x| x * 0.5).collect();
            let right: Vec<f64> = momentum.iter().zip(&grad).map(|(m, g)| m * 0.9 + g).collect();
            near("momentum", &floats(kept), &right, 1e-6);
            let ahead = |(m, g): (&f64, &f64)| if nesterov { g + m * 0.9 } else { *m };
            let ahead: Vec<f64> = right.iter().zip(&grad).map(ahead).collect();
            let size = 0.2 * (rows.max(columns) as f64).sqrt();
            let right: Vec<f64> =
                naive::newton_schulz(&ahead, [rows, columns]).into_iter().map(|x| x * size).collect();
            let way = floats(way);
            near(&format!("way of {rows} by {columns}"), &way, &right, 1e-3);
            let [[alone, _]] = <[_; 1]>::try_from(B::muon(vec![one(at)], [rows, columns], &push)).unwrap();
            assert_eq!(way, floats(alone), "by itself it goes the same way");
        }
    }
}

#[test]
fn a_weight_moves_and_decays() {
    let (weight, way) = (numbers(10_000, 1), numbers(10_000, 2));
    let flat = |x: &[f64]| tensor(x, [10_000]);
    let right: Vec<f64> = weight.iter().zip(&way).map(|(w, x)| w * (1.0 - 0.02 * 0.1) - x * 0.02).collect();
    // By itself, and among others.
    for count in [1, 3] {
        let moved = B::moved(vec![[flat(&weight), flat(&way)]; count], &by(0.02));
        assert_eq!(moved.len(), count);
        moved.into_iter().for_each(|moved| near("moved", &floats(moved), &right, 1e-6));
    }
}

/// A first step, with this scale.
pub(super) fn adam(scale: f64) -> AdamStep<B> {
    let scale = tensor(&[scale], [1]);
    AdamStep { rate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, decay: 0.1, scale, step: 1 }
}

fn by(rate: f64) -> Move<B> {
    Move { rate, decay: 0.1, scale: tensor(&[1.0], [1]) }
}

#[test]
fn a_step_is_clipped_by_its_norm_and_changes_nothing_where_that_is_no_number() {
    let one = |x: f64| tensor(&[x], [1]);
    let clip = |squares: &[f64], loss, before, most| {
        floats(B::clip(tensor(squares, [squares.len()]), one(loss), one(before), most))
    };
    near("within", &clip(&[9.0, 16.0], 2.0, 1.0, 6.0), &[1.0, 5.0, 2.0], 1e-7);
    near("above", &clip(&[9.0, 16.0], 2.0, 0.3, 2.0), &[0.4, 5.0, 2.0], 1e-7);
    near("any size", &clip(&[9.0, 16.0], 2.0, 1.0, 0.0), &[1.0, 5.0, 2.0], 1e-7);
    for (square, loss, before) in
        [(f64::INFINITY, 1.0, 1.0), (f64::NAN, 1.0, 1.0), (1.0, f64::NAN, 1.0), (1.0, 1.0, f64::NAN)]
    {
        assert!(clip(&[square], loss, before, 1.0)[0].is_nan(), "{square} {loss} {before}");
    }

    let len = 9_000;
    let [weight, grad, mean, square] = [1, 2, 3, 4].map(|seed| tensor(&numbers(len, seed), [len]));
    let none = one(f64::NAN);
    let step = adam(f64::NAN);
    let given = || [&weight, &grad, &mean, &square].map(Tensor::clone);
    for same in [B::adamw(vec![given()], &step).remove(0), plain::adamw(given(), &step)] {
        assert_eq!(same.map(floats), [&weight, &mean, &square].map(|x| floats(x.clone())));
    }
    let push = Push { scale: none.clone(), momentum: 0.9, nesterov: true };
    for [_, momentum] in B::muon(vec![[grad.clone(), mean.clone()]], [90, 100], &push) {
        assert_eq!(floats(momentum), floats(mean.clone()));
    }
    // As it is chosen where nobody waits to know.
    for (scale, right) in [(0.5, &mean), (f64::NAN, &weight)] {
        let [got] = plain::chosen(&one(scale), [weight.clone()], [mean.clone()]);
        assert_eq!(floats(got), floats(right.clone()));
    }
    let same = B::moved(vec![[weight.clone(), grad]], &Move { rate: 0.1, decay: 0.1, scale: none });
    assert_eq!(same.into_iter().map(floats).collect::<Vec<_>>(), [floats(weight)]);
}
