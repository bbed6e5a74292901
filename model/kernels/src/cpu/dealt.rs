//! Rows dealt to experts, and what experts gave put together again: each row by itself.
use super::memory::to_fill;
use super::numbers::{Floats, Ints, made};
use super::share::{by_rows, by_rows_with};
use crate::experts::Dealing;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

type Matrix = Tensor<Flex, 2>;

pub(super) fn dealt(x: Matrix, dealing: &Dealing<Flex>) -> Matrix {
    let ([given, width], dtype) = (x.dims(), x.dtype());
    let (x, rows) = (Floats::of(x), Ints::of(dealing.rows.clone()));
    let (x, rows) = (x.get(), rows.get());
    let mut out = to_fill(rows.len() * width);
    by_rows(&mut out, width, |first, out| {
        for (out, row) in out.chunks_exact_mut(width).zip(&rows[first..]) {
            match *row as usize {
                empty if empty == given => out.fill(0.0),
                row => out.copy_from_slice(&x[row * width..][..width]),
            }
        }
    });
    made(out, [rows.len(), width], dtype)
}

/// The sum of what stands at the places of each row, each times its share, where there are shares.
pub(super) fn gathered(x: Matrix, shares: Option<Matrix>, dealing: &Dealing<Flex>) -> Matrix {
    let ([rows, _], [_, width]) = (dealing.sizes(), x.dims());
    let (dtype, chosen) = (x.dtype(), dealing.chosen);
    let (x, places, shares) = (Floats::of(x), Ints::of(dealing.places.clone()), shares.map(Floats::of));
    let (x, places, shares) = (x.get(), places.get(), shares.as_ref().map(Floats::get));
    let mut out = to_fill(rows * width);
    by_rows(&mut out, width, |first, out| {
        for (row, out) in (first..).zip(out.chunks_exact_mut(width)) {
            out.fill(0.0);
            for choice in row * chosen..(row + 1) * chosen {
                let share = shares.map_or(1.0, |shares| shares[choice]);
                let own = &x[places[choice] as usize * width..][..width];
                out.iter_mut().zip(own).for_each(|(out, x)| *out += share * x);
            }
        }
    });
    made(out, [rows, width], dtype)
}

pub(super) fn gathered_back(x: Matrix, shares: Matrix, dealing: &Dealing<Flex>, grad: Matrix) -> [Matrix; 2] {
    let ([all, width], dtype, [rows, chosen]) = (x.dims(), x.dtype(), shares.dims());
    let (x, shares, grad) = (Floats::of(x), Floats::of(shares), Floats::of(grad));
    let (x, shares, grad) = (x.get(), shares.get(), grad.get());
    let order = Ints::of(dealing.order.clone());
    let order = order.get();
    // By places, so that each has its numbers; then by choices.
    let (mut of_x, mut of_places) = (to_fill(all * width), vec![0.0_f32; all]);
    by_rows_with(&mut of_x, width, &mut of_places, |first, of_x, of_places| {
        let own = (first..).zip(of_x.chunks_exact_mut(width)).zip(of_places);
        for ((place, of_x), of_share) in own {
            let choice = order[place] as usize;
            if choice == shares.len() {
                of_x.fill(0.0);
                continue;
            }
            let (share, grad) = (shares[choice], &grad[choice / chosen * width..][..width]);
            of_x.iter_mut().zip(grad).for_each(|(out, grad)| *out = share * grad);
            let products = x[place * width..][..width].iter().zip(grad);
            *of_share = products.map(|(x, grad)| f64::from(x * grad)).sum::<f64>() as f32;
        }
    });
    let places = Ints::of(dealing.places.clone());
    let of_shares: Vec<f32> = places.get().iter().map(|place| of_places[*place as usize]).collect();
    [made(of_x, [all, width], dtype), made(of_shares, [rows, chosen], DType::F32)]
}
