//! Weights of three values in two bits each, in panels as products want them.
use super::pages::Words;
use super::rows::lay;
use crate::cpu::round::mean_size;
use crate::cpu::tiles::{PANEL, QUAD, SIXTEEN};
use crate::parts::{Part, Parts, ThreeValues};

/// What stands for zero.
const ZERO: u32 = 1;

/// A weight `[rows, width]` of three values: zero, and the scale of its row with either sign.
pub(super) struct Trits {
    pub(super) rows: usize,
    pub(super) width: usize,
    words: Words,
}

impl Trits {
    /// Each part as it is stored, or rounded by its own mean size, for which all of it must be there.
    pub(super) fn new<P: Part>(parts: &Parts<'_, P>) -> Result<Self, P::Error> {
        let (rows, width) = (parts.rows(), parts.width);
        let mut all = Self { rows, width, words: Words::zero(0) };
        let words = all.words_of_panel();
        all.words = Words::zero(rows.div_ceil(PANEL) * words);
        let mut laid = 0;
        for part in parts.parts {
            let rows = laid..laid + part.rows();
            laid = rows.end;
            let values = parts.three_values(part)?;
            let scale = match &values {
                ThreeValues::Stored(two_bits) => two_bits.size,
                ThreeValues::Rounded(numbers) => mean_size(numbers),
            };
            lay(all.words.all_mut(), words, rows, |row, panel, at| {
                let (scales, words) = panel.split_at_mut(PANEL);
                scales[at] = scale.to_bits();
                let places = words.iter_mut().skip(at).step_by(PANEL);
                match &values {
                    ThreeValues::Stored(two_bits) => {
                        let (codes, shift) = two_bits.row(row, width);
                        places
                            .zip(codes.chunks(SIXTEEN))
                            .for_each(|(place, codes)| *place = taken(codes, shift));
                    }
                    ThreeValues::Rounded(numbers) => {
                        let row = numbers[row * width..][..width].chunks(SIXTEEN);
                        places.zip(row).for_each(|(place, numbers)| *place = rounded(numbers, scale));
                    }
                }
            });
        }
        Ok(all)
    }

    /// Words of a row, without its scale.
    pub(super) fn words_of_row(&self) -> usize {
        self.width.div_ceil(SIXTEEN)
    }

    /// Words of a panel.
    pub(super) fn words_of_panel(&self) -> usize {
        (1 + self.words_of_row()) * PANEL
    }

    pub(super) fn all(&self) -> &[u32] {
        self.words.all()
    }

    /// A row, in f32.
    pub(super) fn widen(&self, row: usize, out: &mut [f32]) {
        let words = self.words_of_panel();
        let mut column = self.all()[row / PANEL * words..][..words].iter().skip(row % PANEL).step_by(PANEL);
        let scale = f32::from_bits(column.next().copied().unwrap_or(0));
        for (out, word) in out.chunks_mut(SIXTEEN).zip(column) {
            for (at, out) in out.iter_mut().enumerate() {
                *out = ((word >> place(at) & 3) as f32 - 1.0) * scale;
            }
        }
    }
}

/// The first bit of a number within its word.
fn place(at: usize) -> usize {
    8 * (at % QUAD) + 2 * (at / QUAD)
}

/// Sixteen numbers, or what is left of a row, rounded.
fn rounded(numbers: &[f32], scale: f32) -> u32 {
    let half = 0.5 * scale;
    let code = |x: f32| ZERO + u32::from(x > half) - u32::from(x < -half);
    (0..SIXTEEN).map(|at| code(numbers.get(at).copied().unwrap_or(0.0)) << place(at)).sum()
}

/// The same of bytes that have them at such a bit, each with those of other rows.
fn taken(bytes: &[u8], bit: u32) -> u32 {
    let mut sixteen = [(ZERO as u8) << bit; SIXTEEN];
    sixteen[..bytes.len()].copy_from_slice(bytes);
    let quads = sixteen.as_chunks::<QUAD>().0.iter().enumerate();
    quads.map(|(at, quad)| (u32::from_le_bytes(*quad) >> bit & 0x0303_0303) << (2 * at)).sum()
}
