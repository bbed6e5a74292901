//! Numbers in codes of 8 bits with a scale for each block.
use crate::cpu::tiles::{BLOCK, QUAD, SIXTEEN};
use crate::cpu::vector::{largest, largest_of, wide};
use crate::plain::{A_LITTLE_MORE, MOST};

/// Rows in codes, each of as many blocks and quads as hold it.
#[derive(Default)]
pub(in crate::cpu) struct Coded {
    /// Four codes each, as they stand in memory.
    pub(in crate::cpu) quads: Vec<i32>,
    /// The scale of each block, and the sum of its codes.
    pub(in crate::cpu) blocks: Vec<(f32, i32)>,
}

impl Coded {
    pub(super) fn new(rows: &[f32], width: usize) -> Self {
        let count = rows.len() / width;
        let (quads, blocks) = (width.div_ceil(QUAD), width.div_ceil(BLOCK));
        let mut all = Self { quads: vec![0; count * quads], blocks: vec![(0.0, 0); count * blocks] };
        let places = all.quads.chunks_exact_mut(quads).zip(all.blocks.chunks_exact_mut(blocks));
        for (row, (quads, blocks)) in rows.chunks_exact(width).zip(places) {
            code_row(row, quads, blocks);
        }
        all
    }
}

/// Rows in codes, each with one scale, and of as many quads as weights of three values have.
pub(in crate::cpu) struct CodedRows {
    /// Four codes each, as they stand in memory.
    pub(in crate::cpu) quads: Vec<i32>,
    /// The scale of each row, and the sum of its codes.
    pub(in crate::cpu) rows: Vec<(f32, i32)>,
}

impl CodedRows {
    pub(super) fn new(rows: &[f32], width: usize) -> Self {
        let quads = width.div_ceil(SIXTEEN) * (SIXTEEN / QUAD);
        let count = rows.len() / width;
        let mut all = Self { quads: vec![0; count * quads], rows: vec![(0.0, 0); count] };
        let places = all.quads.chunks_exact_mut(quads).zip(&mut all.rows);
        for (row, (quads, beside)) in rows.chunks_exact(width).zip(places) {
            *beside = code_whole_row(row, quads);
        }
        all
    }
}

wide! {
    /// Codes of a row by its largest number; gives the scale, and their sum.
    fn code_whole_row(row: &[f32], quads: &mut [i32]) -> (f32, i32) {
        let largest = largest_of(row, f32::abs);
        let times = if largest > 0.0 { A_LITTLE_MORE / largest } else { 0.0 };
        let mut sum = 0;
        for (quad, row) in quads.iter_mut().zip(row.chunks(QUAD)) {
            let mut codes = [0_i8; QUAD];
            codes.iter_mut().zip(row).for_each(|(code, x)| *code = (x * times).round() as i8);
            sum += codes.iter().map(|code| i32::from(*code)).sum::<i32>();
            *quad = i32::from_ne_bytes(codes.map(|code| code as u8));
        }
        (largest / MOST, sum)
    }
}

wide! {
    fn code_row(row: &[f32], quads: &mut [i32], blocks: &mut [(f32, i32)]) {
        let parts = row.chunks(BLOCK).zip(quads.chunks_mut(BLOCK / QUAD)).zip(blocks);
        for ((row, quads), block) in parts {
            let mut codes = [0_i8; BLOCK];
            let scale = match <&[f32; BLOCK]>::try_from(row) {
                Ok(whole) => coded(whole, &mut codes),
                Err(_) => coded(row, &mut codes),
            };
            *block = (scale, codes.iter().map(|code| i32::from(*code)).sum());
            for (quad, codes) in quads.iter_mut().zip(codes.as_chunks::<QUAD>().0) {
                *quad = i32::from_ne_bytes(codes.map(|code| code as u8));
            }
        }
    }
}

/// The codes of a block of numbers, or of what is left of one; gives its scale.
#[inline(always)]
pub(super) fn coded(block: &[f32], codes: &mut [i8; BLOCK]) -> f32 {
    let mut sizes = [0.0; BLOCK];
    sizes.iter_mut().zip(block).for_each(|(size, x)| *size = x.abs());
    let largest = largest(&sizes);
    let times = if largest > 0.0 { MOST / largest } else { 0.0 };
    codes.iter_mut().zip(block).for_each(|(code, x)| *code = (x * times).round() as i8);
    largest / MOST
}
