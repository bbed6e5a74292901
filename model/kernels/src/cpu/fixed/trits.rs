//! Weights of three values in two bits each, in panels as products want them.
use super::pages::Words;
use crate::cpu::round::mean_size;
use crate::cpu::share::by_parts;
use crate::cpu::tiles::{PANEL, QUAD, SIXTEEN};

/// A weight `[rows, width]` of three values: zero, and the scale of its row with either sign.
pub(super) struct Trits {
    pub(super) rows: usize,
    pub(super) width: usize,
    words: Words,
}

impl Trits {
    /// Numbers that are rounded, each part by its own mean size.
    pub(super) fn new(parts: &[&[f32]], width: usize) -> Self {
        let scaled = parts.iter().flat_map(|part| {
            let scale = mean_size(part);
            part.chunks_exact(width).map(move |row| (row, scale))
        });
        let rows: Vec<(&[f32], f32)> = scaled.collect();
        let mut all = Self { rows: rows.len(), width, words: Words::zero(0) };
        let words = all.words_of_panel();
        all.words = Words::zero(rows.len().div_ceil(PANEL) * words);
        by_parts([all.words.all_mut()], [words], |panel, [words]| {
            for (at, (row, scale)) in rows.iter().skip(panel * PANEL).take(PANEL).enumerate() {
                words[at] = scale.to_bits();
                let places = words[PANEL..].iter_mut().skip(at).step_by(PANEL);
                places.zip(row.chunks(SIXTEEN)).for_each(|(place, numbers)| *place = word(numbers, *scale));
            }
        });
        all
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

fn word(numbers: &[f32], scale: f32) -> u32 {
    let half = 0.5 * scale;
    let code = |x: f32| 1 + u32::from(x > half) - u32::from(x < -half);
    (0..SIXTEEN).map(|at| code(numbers.get(at).copied().unwrap_or(0.0)) << place(at)).sum()
}
