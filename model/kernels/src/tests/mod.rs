//! Every operation, plain and on the CPU, forward against loops in f64 and back against finite differences of these.
mod attention;
mod cores;
mod decode;
mod determinism;
mod experts;
mod head;
mod mixers;
pub(crate) mod naive;
mod parts;
mod round;
mod rows;
mod through;
mod update;

use burn::backend::Flex;
use burn::prelude::*;

type B = Flex;

/// Numbers that look random, the same every time.
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let words = crate::plain::words(seed);
    let uniform = |at: u32| f64::from(crate::plain::at(at, words)) / f64::from(1 << 24);
    // Two uniform numbers make one that is near to normal, and rounded to f32 so that both sides see the same.
    (0..len as u32)
        .map(|at| f64::from(((uniform(2 * at) + uniform(2 * at + 1) - 1.0) * 2.0) as f32))
        .collect()
}

fn tensor<const D: usize>(numbers: &[f64], shape: [usize; D]) -> Tensor<B, D> {
    let numbers: Vec<f32> = numbers.iter().map(|x| *x as f32).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Default::default())
}

fn ints<const D: usize>(numbers: &[i32], shape: [usize; D]) -> Tensor<B, D, Int> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), shape), &Default::default())
}

fn floats<const D: usize>(x: Tensor<B, D>) -> Vec<f64> {
    x.into_data().convert::<f32>().to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Holds numbers to within `tolerance` of the largest of the right ones.
#[track_caller]
pub(crate) fn near(what: &str, got: &[f64], right: &[f64], tolerance: f64) {
    assert_eq!(got.len(), right.len(), "{what}: how many");
    let size = right.iter().fold(1e-3_f64, |most, x| most.max(x.abs()));
    for (at, (got, right)) in got.iter().zip(right).enumerate() {
        assert!((got - right).abs() <= tolerance * size, "{what}[{at}]: {got}, but it is {right}");
    }
}

/// The gradient of `sum(weights * f(x))` by central differences.
fn slope(x: &[f64], weights: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let step = 1e-5;
    let total = |x: &[f64]| f(x).iter().zip(weights).map(|(y, w)| y * w).sum::<f64>();
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|at| {
            moved[at] = x[at] + step;
            let above = total(&moved);
            moved[at] = x[at] - step;
            let below = total(&moved);
            moved[at] = x[at];
            (above - below) / (2.0 * step)
        })
        .collect()
}
