//! Rounding at random: to neighbours alone, and right in the mean.
use super::*;
use crate::optim::code::Code;
use crate::optim::rounding::{seed, to_bf16};
use crate::optim::state::{Codes, Sort};

/// The largest number of bf16 that is not above a positive one.
fn below(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xffff_0000)
}

fn above(x: f32) -> f32 {
    if below(x) == x { x } else { f32::from_bits((x.to_bits() & 0xffff_0000) + 0x1_0000) }
}

#[test]
fn bf16_takes_one_of_both_neighbours_and_is_right_in_the_mean() {
    // All over the magnitudes, and close to powers of two, where neighbours below are nearer than those above.
    let spread = numbers(400, 1).into_iter().map(|x| x * 10_f32.powf(x * 6.0));
    let edges = [1.0, 1.003, 0.999, 0.9999, 2.0001, 1.9961, 1.998, 255.9, 256.3, 0.0, 1e-30, 3e30];
    let given: Vec<f32> = spread.chain(edges).chain(edges.map(|x| -x)).collect();
    let rounds = 3000;
    let mut sums = vec![0.0_f64; given.len()];
    for round in 0..rounds {
        let got = floats(to_bf16::<B>(tensor(&given), seed([round, 0, 0, 0])));
        for ((x, got), sum) in given.iter().zip(got).zip(&mut sums) {
            let (low, high) = (below(x.abs()), above(x.abs()));
            assert!(got.abs() == low || got.abs() == high, "{x} became {got}");
            assert!(got == 0.0 || got.signum() == x.signum());
            *sum += f64::from(got);
        }
    }
    for (x, sum) in given.iter().zip(sums) {
        let (gap, mean) = (f64::from(above(x.abs()) - below(x.abs())), sum / rounds as f64);
        // Five times what chance does at its widest.
        let chance = 5.0 * 0.5 * gap / (rounds as f64).sqrt();
        assert!(
            (mean - f64::from(*x)).abs() <= chance + 1e-7 * f64::from(x.abs()),
            "{x} became {mean} in the mean"
        );
    }
}

#[test]
fn numbers_that_bf16_has_and_numbers_that_are_none_stay() {
    let exact = [1.5, -0.0078125, 3.0e38, f32::INFINITY, f32::NEG_INFINITY];
    assert_eq!(floats(to_bf16::<B>(tensor(&exact), 7)), exact.map(|x| below(x.abs()) * x.signum()));
    assert!(floats(to_bf16::<B>(tensor(&[f32::NAN]), 7))[0].is_nan());
}

#[test]
fn codes_are_near_and_right_in_the_mean() {
    let device = Default::default();
    // Four blocks, the last not full, each with a size of its own, and one of nothing.
    let mut given: Vec<f32> = numbers(900, 5);
    given.iter_mut().enumerate().for_each(|(at, x)| *x = x.powi(5) * 10_f32.powi(at as i32 / 256 * 7 - 9));
    given[256..512].fill(0.0);
    for (code, squares) in [(Code::<B>::signed(&device), false), (Code::squares(&device), true)] {
        let given: Vec<f32> = given.iter().map(|x| if squares { x * x } else { *x }).collect();
        // The least that a block tells from nothing.
        let share = if squares { 2.6e-10 } else { 1.9e-5 };
        let largest = given.chunks(256).map(|block| block.iter().fold(0.0_f32, |a, b| a.max(b.abs())));
        let least: Vec<f32> = largest.flat_map(|largest| [largest * share; 256]).collect();
        let rounds = 500;
        let mut sums = vec![0.0_f64; given.len()];
        for round in 0..rounds {
            let (codes, scales) = code.encode(tensor(&given), round);
            let got = floats(code.decode(codes, scales, given.len()));
            for (((x, got), least), sum) in given.iter().zip(got).zip(&least).zip(&mut sums) {
                let off = (got - x).abs();
                assert!(off <= 0.0906 * x.abs() || off <= *least, "{x} became {got}");
                assert!(!squares || got > 0.0 || *least == 0.0, "a square of nothing");
                *sum += f64::from(got);
            }
        }
        for ((x, sum), least) in given.iter().zip(sums).zip(least) {
            // A square under the least is the least.
            let floor = if squares && *x < least { least } else { 0.0 };
            let chance = 5.0 * 0.5 * (0.0906 * x.abs()).max(least) / (rounds as f32).sqrt();
            let mean = (sum / rounds as f64) as f32;
            assert!((mean - x).abs() <= chance + floor + 1e-5 * x.abs(), "{x} became {mean} in the mean");
        }
    }
}

#[test]
fn what_shrinks_slowly_does_not_stand_still() {
    let codes = Codes::<B>::new(&Default::default());
    for state in [StateKind::Bf16, StateKind::Int8] {
        for sort in [Sort::Mean, Sort::Square, Sort::Momentum] {
            // The first number of each block stays, so that the scale does, and all others lose a thousandth each step.
            let stays: Vec<f32> = (0..2048).map(|at| if at % 256 == 0 { 1.0 } else { 0.0 }).collect();
            let first = tensor(&stays);
            let keep = first.clone().mul_scalar(0.001).add_scalar(0.999);
            let mut kept = codes.close(tensor(&vec![1.0; 2048]), state, sort, 0);
            for step in 1..=2000 {
                let x = codes.open(kept, sort, 2048) * keep.clone();
                kept = codes.close(x, state, sort, seed([step, 0, 0, 0]));
            }
            let left = floats(codes.open(kept, sort, 2048) * (first.neg() + 1.0));
            let mean = left.iter().sum::<f32>() / 2040.0;
            let right = 0.999_f32.powi(2000);
            assert!((mean / right - 1.0).abs() < 0.05, "{state:?} {sort:?}: {mean}, but it is {right}");
        }
    }
}

#[test]
fn seeds_differ() {
    let mut seen = std::collections::HashSet::new();
    for step in 0..20 {
        for at in 0..20 {
            for piece in 0..4 {
                for purpose in 0..3 {
                    assert!(seen.insert(seed([step, at, piece, purpose])));
                }
            }
        }
    }
}
