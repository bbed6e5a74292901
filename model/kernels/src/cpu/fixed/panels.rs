//! How weights stand in memory: in panels, as products want them.
use super::codes::coded;
use super::pages::Words;
use super::rows::lay;
use crate::cpu::tiles::{BLOCK, OFFSET, PANEL, QUAD, SCALES, WORDS};
use crate::decode::Kept;
use crate::parts::{Part, Parts};
use half::{bf16, f16};

/// A weight `[rows, width]` in panels.
pub(super) struct Panels {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) kept: Kept,
    words: Words,
}

impl Panels {
    /// Takes so many numbers at once, where a row has no more.
    pub(super) fn new<P: Part>(parts: &Parts<'_, P>, kept: Kept, portion: usize) -> Result<Self, P::Error> {
        let (rows, width) = (parts.rows(), parts.width);
        let mut all = Self { rows, width, kept, words: Words::zero(0) };
        let words = all.words_of_panel();
        all.words = Words::zero(rows.div_ceil(PANEL) * words);
        let mut laid = 0;
        parts.by_portions(portion, |_, _, numbers| {
            let rows = laid..laid + numbers.len() / width;
            laid = rows.end;
            lay(all.words.all_mut(), words, rows, |row, panel, at| {
                put(&numbers[row * width..][..width], kept, panel, at);
            });
            Ok(())
        })?;
        Ok(all)
    }

    /// Words of a panel: a number of each row, two of them in bf16, or blocks in codes.
    pub(super) fn words_of_panel(&self) -> usize {
        match self.kept {
            Kept::F32 => self.width * PANEL,
            Kept::Bf16 => self.width.div_ceil(2) * PANEL,
            Kept::Int8 => self.width.div_ceil(BLOCK) * SCALES + self.width.div_ceil(QUAD) * PANEL,
        }
    }

    pub(super) fn all(&self) -> &[u32] {
        self.words.all()
    }

    /// A row, in f32.
    pub(super) fn widen(&self, row: usize, out: &mut [f32]) {
        let words = self.words_of_panel();
        let (panel, at) = (&self.all()[row / PANEL * words..][..words], row % PANEL);
        let column = || panel.iter().skip(at).step_by(PANEL);
        match self.kept {
            Kept::F32 => out.iter_mut().zip(column()).for_each(|(out, word)| *out = f32::from_bits(*word)),
            Kept::Bf16 => {
                for (out, word) in out.chunks_mut(2).zip(column()) {
                    let pair = [word << 16, word & 0xffff_0000].map(f32::from_bits);
                    out.copy_from_slice(&pair[..out.len()]);
                }
            }
            Kept::Int8 => {
                for (out, block) in out.chunks_mut(BLOCK).zip(panel.chunks(WORDS)) {
                    let (scales, codes) = block.split_at(SCALES);
                    let scale = f16::from_bits(bytemuck::cast_slice::<u32, u16>(scales)[at]).to_f32();
                    let quads = codes.iter().skip(at).step_by(PANEL);
                    for (out, quad) in out.chunks_mut(QUAD).zip(quads) {
                        let codes = quad.to_ne_bytes().map(|code| f32::from((code ^ OFFSET) as i8) * scale);
                        out.copy_from_slice(&codes[..out.len()]);
                    }
                }
            }
        }
    }
}

/// Puts a row into its place of a panel.
fn put(row: &[f32], kept: Kept, panel: &mut [u32], at: usize) {
    match kept {
        Kept::F32 => {
            let places = panel.iter_mut().skip(at).step_by(PANEL);
            places.zip(row).for_each(|(place, x)| *place = x.to_bits());
        }
        Kept::Bf16 => {
            let bits = |x: &f32| u32::from(bf16::from_f32(*x).to_bits());
            let places = panel.iter_mut().skip(at).step_by(PANEL);
            for (place, pair) in places.zip(row.chunks(2)) {
                *place = bits(&pair[0]) | pair.get(1).map_or(0, bits) << 16;
            }
        }
        Kept::Int8 => {
            for (row, block) in row.chunks(BLOCK).zip(panel.chunks_mut(WORDS)) {
                let (scales, words) = block.split_at_mut(SCALES);
                let mut codes = [0; BLOCK];
                let scale = coded(row, &mut codes);
                bytemuck::cast_slice_mut(scales)[at] = f16::from_f32(scale).to_bits();
                let places = words.iter_mut().skip(at).step_by(PANEL);
                for (place, quad) in places.zip(codes.as_chunks::<QUAD>().0) {
                    *place = u32::from_ne_bytes(quad.map(|code| code as u8 ^ OFFSET));
                }
            }
        }
    }
}
