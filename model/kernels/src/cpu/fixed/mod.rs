//! Weights that stay as they are, in as few bytes as wished, and products with them: what a token costs while a model is used is
//! reading them.
mod codes;
mod pages;
mod panels;
mod rows;
mod trits;

pub(super) use codes::{Coded, CodedRows};

use super::memory::to_fill;
use super::numbers::{Floats, made};
use super::share::{by_columns, by_rows};
use super::threads;
use super::tiles::{self, Instructions, PANEL, Pairs, QUAD, Quads, Singles, Way, products};
use crate::decode::Kept;
use crate::parts::{Part, Parts};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use panels::Panels;
use trits::Trits;

/// A matrix `[out, in]`.
pub struct Fixed(Vec<Weight>);

/// One of those that a matrix is of, each for numbers of its own.
enum Weight {
    Panels(Panels),
    Trits(Trits),
}

impl Fixed {
    /// Takes so many numbers at once, where a row has no more.
    pub(super) fn new<P: Part>(parts: &Parts<'_, P>, kept: Kept, portion: usize) -> Result<Self, P::Error> {
        let weight = |parts: Parts<'_, P>| match parts.ternary {
            true => Trits::new(&parts).map(Weight::Trits),
            false => Panels::new(&parts, kept, portion).map(Weight::Panels),
        };
        parts.matrices().map(weight).collect::<Result<_, _>>().map(Self)
    }
}

impl Weight {
    /// How many numbers it gives, and how many it is multiplied by.
    fn shape(&self) -> [usize; 2] {
        match self {
            Self::Panels(Panels { rows, width, .. }) | Self::Trits(Trits { rows, width, .. }) => {
                [*rows, *width]
            }
        }
    }

    fn widen(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Panels(panels) => panels.widen(row, out),
            Self::Trits(trits) => trits.widen(row, out),
        }
    }
}

pub(super) fn times(x: Tensor<Flex, 2>, Fixed(parts): &Fixed) -> Tensor<Flex, 2> {
    let [count, width] = x.dims();
    let sum = |at: usize| parts.iter().map(|part| part.shape()[at]).sum::<usize>();
    let rows = sum(0);
    assert_eq!(width, sum(1), "x has other rows than the weight");
    let x = Floats::of(x);
    let mut out = to_fill(count * rows);
    if let [weight] = &parts[..] {
        multiply(x.get(), weight, &mut out, Instructions::at_hand());
        return made(out, [count, rows], DType::F32);
    }
    let (mut row, mut column) = (0, 0);
    for part in parts {
        let [rows_of_part, wide] = part.shape();
        let own: Vec<f32> =
            x.get().chunks_exact(width).flat_map(|x| &x[column..column + wide]).copied().collect();
        let mut given = to_fill(count * rows_of_part);
        multiply(&own, part, &mut given, Instructions::at_hand());
        let places = out.chunks_exact_mut(rows).zip(given.chunks_exact(rows_of_part));
        places.for_each(|(out, given)| out[row..row + rows_of_part].copy_from_slice(given));
        (row, column) = (row + rows_of_part, column + wide);
    }
    made(out, [count, rows], DType::F32)
}

fn multiply(x: &[f32], weight: &Weight, out: &mut [f32], instructions: Instructions) {
    match weight {
        Weight::Panels(panels) => by_panels(x, panels, out, instructions),
        Weight::Trits(trits) => {
            let x = &CodedRows::new(x, trits.width);
            let way = tiles::Trits { panels: trits.all(), words: trits.words_of_row(), x };
            shared(way, [trits.rows, trits.words_of_panel()], out, instructions);
        }
    }
}

fn by_panels(x: &[f32], weight: &Panels, out: &mut [f32], instructions: Instructions) {
    let (width, panels, shape) = (weight.width, weight.all(), [weight.rows, weight.words_of_panel()]);
    match weight.kept {
        Kept::F32 => {
            let way = Singles { panels, step: width * PANEL, depth: width, x, stride: width };
            shared(way, shape, out, instructions);
        }
        Kept::Bf16 => {
            let padded: Vec<f32>;
            let x = if width % 2 == 0 {
                x
            } else {
                padded = x.chunks_exact(width).flat_map(|row| row.iter().copied().chain([0.0])).collect();
                &padded
            };
            shared(Pairs { panels, pairs: width.div_ceil(2), x }, shape, out, instructions);
        }
        Kept::Int8 => {
            let x = &Coded::new(x, width);
            shared(Quads { panels, quads: width.div_ceil(QUAD), x }, shape, out, instructions);
        }
    }
}

/// Panels that are one part of a product's work, which may depend on the threads: no sum is cut. Memory is read faster the longer it
/// goes on, but each thread shall have a part or two, and each part be worth a thread's while.
fn panels_of_part([rows, words]: [usize; 2]) -> usize {
    const LONG: usize = 1 << 17;
    const SHORT: usize = 1 << 13;
    let (all, words) = (rows.div_ceil(PANEL), words.max(1));
    (LONG / words).min(all / (2 * threads::count())).max(SHORT / words).max(1)
}

/// Shares the panels of a weight of so many rows, and so many words a panel, among the threads.
fn shared(way: impl Way + Sync, shape: [usize; 2], out: &mut [f32], instructions: Instructions) {
    let (rows, part) = (shape[0], panels_of_part(shape));
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

/// Rows of a matrix whose parts are all for the same numbers.
pub(super) fn looked_up(Fixed(parts): &Fixed, ids: &[u32]) -> Tensor<Flex, 2> {
    let [weight] = &parts[..] else { unreachable!("tokens have rows in one part") };
    let [_, width] = weight.shape();
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
    use crate::parts::InMemory;
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
            let kept = [Kept::F32, Kept::Bf16, Kept::Int8].map(Some);
            for kept in kept.into_iter().chain([None]) {
                let parts = [InMemory::new(&weight, width)];
                let parts = Parts { ternary: kept.is_none(), ..Parts::of(&parts, width) };
                let fixed = Fixed::new(&parts, kept.unwrap_or(Kept::F32), usize::MAX).unwrap();
                let [weight] = &fixed.0[..] else { panic!("one matrix") };
                // Each row by itself.
                let mut right = vec![0.0; count * rows];
                for (x, out) in x.chunks_exact(width).zip(right.chunks_exact_mut(rows)) {
                    multiply(x, weight, out, Instructions::Base);
                }
                for instructions in Instructions::all() {
                    for count in [1, 2, 3, 8, count] {
                        let mut got = vec![f32::NAN; count * rows];
                        multiply(&x[..count * width], weight, &mut got, instructions);
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

    #[test]
    fn rows_that_come_in_portions_stand_as_those_that_come_at_once() {
        // Parts that end within a panel, and portions that begin and end within one.
        let width = 75;
        let numbers = [40, 3, 101].map(|rows| narrow(rows * width, rows as u64));
        let parts = numbers.each_ref().map(|part| InMemory::new(part, width));
        for kept in [Kept::F32, Kept::Bf16, Kept::Int8] {
            let words = |portion| {
                let fixed = Fixed::new(&Parts::of(&parts, width), kept, portion).unwrap();
                let [Weight::Panels(panels)] = &fixed.0[..] else { panic!("one matrix in panels") };
                panels.all().to_vec()
            };
            let right = words(usize::MAX);
            for rows in [1, 5, 31, 32, 33, 64] {
                assert!(words(rows * width + 7) == right, "{kept:?} {rows}");
            }
        }
    }
}
