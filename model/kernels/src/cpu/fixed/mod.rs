//! Weights that stay as they are, in as few bytes as wished, and products with them: what a token costs while a model is used is
//! reading them.
mod codes;
mod pages;
mod panels;

pub(super) use codes::Coded;

use super::memory::to_fill;
use super::numbers::{Floats, made};
use super::share::{by_columns, by_rows};
use super::threads;
use super::tiles::{Instructions, PANEL, Pairs, QUAD, Quads, Singles, Way, products};
use crate::decode::Kept;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use panels::Panels;

/// A matrix `[out, in]`.
pub struct Fixed(Panels);

impl Fixed {
    pub(super) fn new(weight: Tensor<Flex, 2>, kept: Kept) -> Self {
        let shape = weight.dims();
        Self(Panels::new(Floats::of(weight).get(), shape, kept))
    }
}

pub(super) fn times(x: Tensor<Flex, 2>, Fixed(weight): &Fixed) -> Tensor<Flex, 2> {
    let ([count, width], rows) = (x.dims(), weight.rows);
    assert_eq!(width, weight.width, "x has other rows than the weight");
    let x = Floats::of(x);
    let mut out = to_fill(count * rows);
    multiply(x.get(), weight, &mut out, Instructions::at_hand());
    made(out, [count, rows], DType::F32)
}

fn multiply(x: &[f32], weight: &Panels, out: &mut [f32], instructions: Instructions) {
    let (width, panels) = (weight.width, weight.all());
    match weight.kept {
        Kept::F32 => {
            let way = Singles { panels, step: width * PANEL, depth: width, x, stride: width };
            shared(way, weight, out, instructions);
        }
        Kept::Bf16 => {
            let padded: Vec<f32>;
            let x = if width % 2 == 0 {
                x
            } else {
                padded = x.chunks_exact(width).flat_map(|row| row.iter().copied().chain([0.0])).collect();
                &padded
            };
            shared(Pairs { panels, pairs: width.div_ceil(2), x }, weight, out, instructions);
        }
        Kept::Int8 => {
            let x = &Coded::new(x, width);
            shared(Quads { panels, quads: width.div_ceil(QUAD), x }, weight, out, instructions);
        }
    }
}

/// Panels that are one part of a product's work, which may depend on the threads: no sum is cut. Memory is read faster the longer it
/// goes on, but each thread shall have a part or two, and each part be worth a thread's while.
fn panels_of_part(weight: &Panels) -> usize {
    const LONG: usize = 1 << 17;
    const SHORT: usize = 1 << 13;
    let (all, words) = (weight.rows.div_ceil(PANEL), weight.words_of_panel().max(1));
    (LONG / words).min(all / (2 * threads::count())).max(SHORT / words).max(1)
}

/// Shares the panels among the threads.
fn shared(way: impl Way + Sync, weight: &Panels, out: &mut [f32], instructions: Instructions) {
    let (rows, part) = (weight.rows, panels_of_part(weight));
    let count = out.len() / rows.max(1);
    by_columns(out, rows, part * PANEL, |column, mut columns| {
        let first = column / PANEL;
        let panels = first..(first + part).min(rows.div_ceil(PANEL));
        products(instructions, way, panels, count, |panel, row, numbers| {
            let out = &mut columns.row(row)[(panel - first) * PANEL..];
            let len = out.len().min(PANEL);
            out[..len].copy_from_slice(&numbers[..len]);
        });
    });
}

pub(super) fn looked_up(Fixed(weight): &Fixed, ids: &[u32]) -> Tensor<Flex, 2> {
    let width = weight.width;
    let mut out = to_fill(ids.len() * width);
    by_rows(&mut out, width, |first, out| {
        let rows = out.chunks_exact_mut(width.max(1));
        rows.zip(&ids[first..]).for_each(|(out, id)| weight.widen(*id as usize, out));
    });
    made(out, [ids.len(), width], DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;

    fn narrow(len: usize, seed: u64) -> Vec<f32> {
        numbers(len, seed).into_iter().map(|x| x as f32).collect()
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn every_cpu_and_every_company_gives_the_same_bits() {
        // Panels that are not full, parts of several panels, widths that end within a word and within a block.
        for [rows, width] in [[7, 5], [150, 33], [333, 64], [70, 1100]] {
            let count = 15;
            let (weight, x) = (narrow(rows * width, 1), narrow(count * width, 2));
            for kept in [Kept::F32, Kept::Bf16, Kept::Int8] {
                let weight = Panels::new(&weight, [rows, width], kept);
                // Each row by itself.
                let mut right = vec![0.0; count * rows];
                for (x, out) in x.chunks_exact(width).zip(right.chunks_exact_mut(rows)) {
                    multiply(x, &weight, out, Instructions::Base);
                }
                for instructions in Instructions::all() {
                    for count in [1, 2, 3, 8, count] {
                        let mut got = vec![f32::NAN; count * rows];
                        multiply(&x[..count * width], &weight, &mut got, instructions);
                        let right = &right[..count * rows];
                        assert!(
                            bits(&got) == bits(right),
                            "{rows} {width} {kept:?} {instructions:?} {count}"
                        );
                    }
                }
            }
        }
    }
}
