//! A table of two cores: its rows are what the formula says, and its loss is that of a head which is the table, also on the way back.
use super::{B, floats, ints, naive, near, numbers, slope, tensor};
use crate::ops::{Cores, HeadLoss, NO_LABEL, Objective, Ops};
use crate::plain;
use burn::backend::Autodiff;
use burn::prelude::*;

/// Rows of the first and second core, ranks, what is between, rows and width of the table.
#[derive(Clone, Copy)]
struct Sizes {
    cores: [usize; 2],
    ranks: usize,
    parts: [usize; 2],
    rows: usize,
    width: usize,
}

const SIZES: [Sizes; 4] = [
    Sizes { cores: [1, 2], ranks: 1, parts: [1, 1], rows: 2, width: 1 },
    Sizes { cores: [3, 4], ranks: 2, parts: [2, 3], rows: 12, width: 6 },
    // Neither all rows are there nor all columns.
    Sizes { cores: [4, 3], ranks: 3, parts: [3, 2], rows: 11, width: 5 },
    Sizes { cores: [2, 5], ranks: 1, parts: [4, 2], rows: 7, width: 7 },
];

const MIXED: Objective =
    Objective { cross_entropy: 0.6, focal: 0.3, gamma: 2.0, smooth: 0.1, epsilon: 0.1, z: 0.02 };

impl Sizes {
    fn numbers(self) -> [Vec<f64>; 2] {
        let of = |at: usize| numbers(self.cores[at] * self.ranks * self.parts[at], at as u64 + 1);
        [of(0), of(1)]
    }

    fn cores<T: Backend>(self, of: impl Fn(usize, [usize; 2]) -> Tensor<T, 2>) -> Cores<T> {
        let Self { cores, ranks, parts, rows, width } = self;
        let [first, second] = [0, 1].map(|at| of(at, [cores[at], ranks * parts[at]]));
        Cores { first, second, ranks, rows, width }
    }

    /// The table, number by number.
    fn table(self, [first, second]: &[Vec<f64>; 2]) -> Vec<f64> {
        let Self { cores: [_, n], ranks, parts: [a, b], rows, width } = self;
        let number = |row: usize, column: usize| -> f64 {
            let of = |rank: usize| {
                let first = first[((row / n) * ranks + rank) * a + column / b];
                first * second[((row % n) * ranks + rank) * b + column % b]
            };
            (0..ranks).map(of).sum()
        };
        (0..rows).flat_map(|row| (0..width).map(move |column| number(row, column))).collect()
    }
}

#[test]
fn rows_are_what_the_formula_says() {
    for sizes in SIZES {
        let all = sizes.numbers();
        let right = sizes.table(&all);
        let cores = || sizes.cores(|at, shape| tensor::<2>(&all[at], shape));
        near("table", &floats(cores().table()), &right, 1e-6);
        let ids: Vec<i32> = [sizes.rows - 1, 0, sizes.rows / 2].map(|id| id as i32).to_vec();
        let some: Vec<f64> =
            ids.iter().flat_map(|id| &right[*id as usize * sizes.width..][..sizes.width]).copied().collect();
        near("rows", &floats(cores().rows_of(ints(&ids, [3]))), &some, 1e-6);
    }
}

#[test]
fn the_loss_and_its_gradients() {
    for sizes in SIZES {
        for objective in [Objective::PLAIN, MIXED] {
            let (count, share) = (9, 0.125);
            let x = numbers(count * sizes.width, 7);
            let [first, second] = sizes.numbers();
            let label = |at: usize| if at % 5 == 3 { NO_LABEL } else { (at * 3 % sizes.rows) as i32 };
            let labels: Vec<i32> = (0..count).map(label).collect();
            let right = |x: &[f64], first: &[f64], second: &[f64]| {
                let table = sizes.table(&[first.to_vec(), second.to_vec()]);
                naive::loss(x, &table, &labels, sizes.width, &objective)
            };
            let (loss, entropy) = right(&x, &first, &second);
            let of_x = slope(&x, &[share], |x| vec![right(x, &first, &second).0]);
            let of_first = slope(&first, &[share], |first| vec![right(&x, first, &second).0]);
            let of_second = slope(&second, &[share], |second| vec![right(&x, &first, second).0]);
            let all = [first, second];
            let run = |chunk: usize| -> HeadLoss<B, 2> {
                let cores = sizes.cores(|at, shape| tensor(&all[at], shape));
                let (x, labels) = (tensor(&x, [count, sizes.width]), ints(&labels, [count]));
                plain::cores_loss_by(chunk, x, cores, labels, &objective, share, true)
            };
            for chunk in [0, 2, count] {
                let made = run(chunk);
                near("loss", &floats(made.loss), &[loss * share], 1e-5);
                near("plain", &floats(made.plain), &[entropy * share], 1e-5);
                let (back_x, [back_first, back_second]) = made.back.unwrap();
                near("back to x", &floats(back_x), &of_x, 3e-5);
                near("back to the first", &floats(back_first), &of_first, 3e-5);
                near("back to the second", &floats(back_second), &of_second, 3e-5);
            }
        }
    }
}

#[test]
fn what_flows_back_through_it_is_what_it_says() {
    type A = Autodiff<B>;
    let (sizes, count) = (SIZES[2], 6);
    let (all, x) = (sizes.numbers(), numbers(count * sizes.width, 7));
    let labels = || ints(&[1, 0, 10, NO_LABEL, 4, 4], [count]);
    let x = || tensor::<2>(&x, [count, sizes.width]);
    let cores = || sizes.cores(|at, shape| tensor(&all[at], shape));
    let right = B::cores_loss(x(), cores(), labels(), &MIXED, 1.0, true);
    let (of_x, [of_first, of_second]) = right.back.unwrap();
    let leaf = |x: Tensor<B, 2>| Tensor::<A, 2>::from_inner(x).require_grad();
    let (leaf_x, leaves) = (leaf(x()), sizes.cores(|at, shape| leaf(tensor(&all[at], shape))));
    let taped =
        A::cores_loss(leaf_x.clone(), leaves.clone(), Tensor::from_inner(labels()), &MIXED, 1.0, true);
    let back = taped.loss.mul_scalar(3.0).backward();
    let pairs = [(leaf_x, of_x), (leaves.first, of_first), (leaves.second, of_second)];
    for (leaf, right) in pairs {
        near("on the tape", &floats(leaf.grad(&back).unwrap()), &floats(right * 3.0), 1e-6);
    }
    assert!(B::cores_loss(x(), cores(), labels(), &MIXED, 1.0, false).back.is_none());
}

#[test]
fn no_rows_give_no_loss_and_no_gradient() {
    let sizes = SIZES[1];
    let all = sizes.numbers();
    let cores = sizes.cores(|at, shape| tensor(&all[at], shape));
    let made = B::cores_loss(tensor(&[], [0, sizes.width]), cores, ints(&[], [0]), &MIXED, 1.0, true);
    let (of_x, [of_first, of_second]) = made.back.unwrap();
    assert_eq!((of_x.dims(), floats(made.loss)), ([0, 6], vec![0.0]));
    assert_eq!((floats(of_first), floats(of_second)), (vec![0.0; 12], vec![0.0; 24]));
}
