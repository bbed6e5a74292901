//! Products of parts of rows, each with a weight of its own: all at once, from where the parts lie to where what comes of them does.
use super::blas::{Product, Shape};
use super::product::{multiplies, multiply_all};
use super::tensor::Numbers;
use crate::ops::Turned;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

/// Parts begin where the library reads fast.
const STEP: usize = 8;

/// Rows and weights whose products can be made here: the weights are one behind the other.
struct Apart {
    x: Numbers,
    weights: Numbers,
    rows: usize,
    /// Numbers of a part of a row.
    wide: usize,
    /// Numbers that each weight gives, and all of them.
    outs: Vec<usize>,
    sum: usize,
    dtype: DType,
}

impl Apart {
    fn of(x: &Tensor<Cuda, 2>, weights: &[Tensor<Cuda, 2>], outs: &[usize]) -> Option<Self> {
        let ([rows, all], dtype, [stacked]) = (x.dims(), x.dtype(), weights) else { return None };
        let (wide, sum) = (all / outs.len(), outs.iter().sum());
        let sizes = wide * outs.len() == all && stacked.dims() == [sum, wide] && stacked.dtype() == dtype;
        let steps = wide.is_multiple_of(STEP) && outs.iter().all(|out| *out > 0 && out.is_multiple_of(STEP));
        let known = matches!(dtype, DType::F32 | DType::BF16);
        (sizes && steps && known && rows > 0 && wide > 0 && multiplies()).then(|| Self {
            x: Numbers::of(x.clone()),
            weights: Numbers::of(stacked.clone()),
            rows,
            wide,
            outs: outs.to_vec(),
            sum,
            dtype,
        })
    }

    /// From one row to the next.
    fn across(&self) -> usize {
        self.wide * self.outs.len()
    }

    /// Which weights there are: of each its number, its first row, and how many.
    fn each(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let firsts = self.outs.iter().scan(0, |first, out| {
            *first += out;
            Some(*first - out)
        });
        firsts.zip(&self.outs).enumerate().map(|(at, (first, out))| (at, first, *out))
    }

    fn shape(
        &self,
        turned: Turned,
        [m, n, k]: [usize; 3],
        strides: [usize; 3],
        narrow_result: bool,
    ) -> Shape {
        let narrow = self.dtype == DType::BF16;
        Shape {
            turned,
            count: 1,
            m,
            n,
            k,
            narrow,
            narrow_result: narrow && narrow_result,
            added: false,
            strides,
        }
    }
}

/// What is behind a place of some numbers.
fn from(numbers: &Numbers, first: usize) -> Numbers {
    numbers.part(first, numbers.len() - first)
}

/// Asks for the products of both sides, to where each goes.
pub(super) fn make(all: Vec<(Shape, [Numbers; 3])>) {
    let memory: Vec<&Numbers> = all.iter().flat_map(|(_, places)| places).collect();
    let product = |(at, (shape, _)): (usize, &(Shape, [Numbers; 3]))| {
        let [a, b, to] = [0, 1, 2].map(|which| 3 * at + which);
        Product { shape: *shape, places: [a, b, to, to], times: [1.0, 0.0] }
    };
    multiply_all(&memory, all.iter().enumerate().map(product).collect());
}

pub(crate) fn project_apart(
    x: &Tensor<Cuda, 2>,
    weights: &[Tensor<Cuda, 2>],
    outs: &[usize],
) -> Option<Tensor<Cuda, 2>> {
    let apart = Apart::of(x, weights, outs)?;
    let Apart { rows, wide, sum, .. } = apart;
    let to = Numbers::room(&apart.x, [rows, sum], apart.dtype);
    let strides = [apart.across(), 0, sum];
    let one = |(at, first, out)| {
        let shape = apart.shape(Turned::Right, [rows, out, wide], strides, true);
        (shape, [from(&apart.x, at * wide), from(&apart.weights, first * wide), from(&to, first)])
    };
    make(apart.each().map(one).collect());
    Some(to.tensor())
}

pub(crate) fn project_apart_back(
    x: &Tensor<Cuda, 2>,
    weights: &[Tensor<Cuda, 2>],
    outs: &[usize],
    grad: &Tensor<Cuda, 2>,
) -> Option<[Tensor<Cuda, 2>; 2]> {
    let apart = Apart::of(x, weights, outs)?;
    let Apart { rows, wide, sum, .. } = apart;
    if grad.dims() != [rows, sum] || grad.dtype() != apart.dtype {
        return None;
    }
    let (grad, across) = (Numbers::of(grad.clone()), apart.across());
    let of_x = Numbers::room(&apart.x, [rows, across], apart.dtype);
    let of_weights = Numbers::room(&apart.x, [sum, wide], DType::F32);
    let two = |(at, first, out)| {
        let (part, own) = (at * wide, first * wide);
        let to_x = apart.shape(Turned::Neither, [rows, wide, out], [sum, 0, across], true);
        let to_weight = apart.shape(Turned::Left, [out, wide, rows], [sum, across, 0], false);
        [
            (to_x, [from(&grad, first), from(&apart.weights, own), from(&of_x, part)]),
            (to_weight, [from(&grad, first), from(&apart.x, part), from(&of_weights, own)]),
        ]
    };
    make(apart.each().flat_map(two).collect());
    Some([of_x.tensor(), of_weights.tensor()])
}
