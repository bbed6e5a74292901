//! Numbers that are rounded while they are used: to the values that are said, of the sizes that are said, and straight through on
//! the way back.
use super::{B, floats, near, numbers, tensor};
use crate::cpu::Cpu;
use crate::decode::{Decode, Kept, Step};
use crate::ops::{Ops, Rounding};
use crate::parts::{InMemory, Parts};
use crate::{plain, with_threads};
use burn::backend::Autodiff;
use burn::prelude::*;
use half::f16;

type Rounds = fn(Tensor<B, 2>, Rounding) -> Tensor<B, 2>;
type RoundsRows = fn(Tensor<B, 2>) -> Tensor<B, 2>;
const BODIES: [(&str, Rounds, RoundsRows); 2] =
    [("plain", plain::rounded::<B>, plain::rounded_rows::<B>), ("cpu", B::rounded, B::rounded_rows)];
const SHAPES: [[usize; 2]; 4] = [[1, 1], [3, 7], [40, 64], [9, 1100]];

/// Holds that each number of `got` is a code times its row's or block's scale, and the code the nearest.
#[track_caller]
fn in_codes(what: &str, got: &[f64], x: &[f64], scale_of: impl Fn(f64) -> f64) {
    let largest = x.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let scale = scale_of(largest / 127.0);
    for (got, x) in got.iter().zip(x) {
        let code = got / scale;
        assert!(
            (code - code.round()).abs() < 1e-4 && code.abs() < 127.5,
            "{what}: {got} is no code of {scale}"
        );
        // The larger one where both are as near.
        let right = x / (largest / 127.0);
        assert!((code.round() - right).abs() < 0.502, "{what}: {x} became {got}");
    }
}

#[test]
fn three_values_are_the_mean_size_with_the_signs_of_the_larger_ones() {
    for [rows, width] in SHAPES {
        let x = numbers(rows * width, 1);
        let scale = x.iter().map(|x| x.abs()).sum::<f64>() / x.len() as f64;
        let right: Vec<f64> = x.iter().map(|x| (x / scale).round().clamp(-1.0, 1.0) * scale).collect();
        for (body, rounded, _) in BODIES {
            let got = floats(rounded(tensor(&x, [rows, width]), Rounding::Ternary));
            near(&format!("{body} {rows} {width}"), &got, &right, 1e-5);
            let size = got.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            assert!(got.iter().all(|x| [0.0, size].contains(&x.abs())), "{body}: more than three values");
        }
    }
}

#[test]
fn blocks_of_8_bits_are_codes_by_their_largest_number() {
    for [rows, width] in SHAPES {
        let x = numbers(rows * width, 2);
        for (body, rounded, _) in BODIES {
            let got = floats(rounded(tensor(&x, [rows, width]), Rounding::Int8));
            for (x, got) in x.chunks(width).zip(got.chunks(width)) {
                for (x, got) in x.chunks(32).zip(got.chunks(32)) {
                    in_codes(body, got, x, |scale| f16::from_f64(scale).to_f64());
                }
            }
        }
    }
}

#[test]
fn rows_are_codes_by_their_own_largest_number() {
    for [rows, width] in SHAPES {
        let x = numbers(rows * width, 3);
        for (body, _, rounded_rows) in BODIES {
            let got = floats(rounded_rows(tensor(&x, [rows, width])));
            x.chunks(width).zip(got.chunks(width)).for_each(|(x, got)| in_codes(body, got, x, |scale| scale));
        }
    }
}

#[test]
fn zeros_stay_and_what_is_no_number_is_not_hidden() {
    for (body, rounded, rounded_rows) in BODIES {
        for to in [Rounding::Ternary, Rounding::Int8] {
            assert_eq!(floats(rounded(tensor(&[0.0; 70], [2, 35]), to)), [0.0; 70], "{body} {to:?}");
            let strange = tensor(&[1.0, f64::NAN, 0.1, -2.0], [2, 2]);
            assert!(floats(rounded(strange, to)).iter().any(|x| x.is_nan()), "{body} {to:?}");
        }
        assert_eq!(floats(rounded_rows(tensor(&[0.0; 70], [2, 35]))), [0.0; 70], "{body}");
        for strange in [f64::NAN, f64::INFINITY] {
            let got = floats(rounded_rows(tensor(&[1.0, strange, 0.1, -2.0], [2, 2])));
            assert!(got[..2].iter().any(|x| x.is_nan()), "{body}: {got:?}");
            assert!(got[2..].iter().all(|x| x.is_finite()), "{body}: another row");
        }
    }
}

#[test]
fn blocks_of_8_bits_are_what_a_model_in_use_keeps() {
    let (rows, width) = (37, 75);
    let x: Vec<f32> = numbers(rows * width, 4).iter().map(|x| *x as f32).collect();
    let mut cpu = Cpu::new(Kept::Int8);
    let kept = cpu.matrix(&Parts::of(&[InMemory::new(&x, width)], width)).unwrap();
    let ids: Vec<u32> = (0..rows as u32).collect();
    let step = Step { feeds: &[], ids: &ids, wanted: &[] };
    let right = floats(cpu.looked_up(&step, &kept).unwrap());
    let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    assert_eq!(floats(B::rounded(tensor(&wide, [rows, width]), Rounding::Int8)), right);
}

#[test]
fn the_way_back_goes_straight_through() {
    let (x, grad) = (numbers(60, 5), numbers(60, 6));
    type A = Autodiff<B>;
    let ways: [fn(Tensor<A, 2>) -> Tensor<A, 2>; 3] =
        [|x| A::rounded(x, Rounding::Ternary), |x| A::rounded(x, Rounding::Int8), A::rounded_rows];
    for way in ways {
        let source = Tensor::<A, 2>::from_inner(tensor(&x, [6, 10])).require_grad();
        let sum = (way(source.clone()) * Tensor::from_inner(tensor(&grad, [6, 10]))).sum();
        near("straight through", &floats(source.grad(&sum.backward()).unwrap()), &grad, 1e-7);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let x = numbers(300 * 700, 7);
    let all = |threads| {
        with_threads(threads, || {
            let x = || tensor(&x, [300, 700]);
            let weights = [Rounding::Ternary, Rounding::Int8].map(|to| floats(B::rounded(x(), to)));
            (weights, floats(B::rounded_rows(x())))
        })
    };
    assert!(all(1) == all(3));
}
