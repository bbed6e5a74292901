//! Weights of three values times codes of 8 bits: whole numbers over all of a row, which has a scale.
use super::lanes::Lanes;
use super::ways::Way;
use super::{PANEL, QUAD, SIXTEEN};
use crate::cpu::fixed::CodedRows;

/// Words of a panel hold sixteen codes of a row: zero, one and two for the weights -1, 0 and 1. Bits 2j and 2j + 1 of byte b belong to
/// number 4j + b, so that four numbers side by side come out as four bytes. The scales of the rows stand before them.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Trits<'a> {
    pub(in crate::cpu) panels: &'a [u32],
    /// Words of a row.
    pub(in crate::cpu) words: usize,
    pub(in crate::cpu) x: &'a CodedRows,
}

#[expect(unsafe_code, reason = "as the trait says")]
impl Way for Trits<'_> {
    // More of them, and codes leave the registers.
    const ROWS: usize = 4;

    fn holds(&self, panels: usize, rows: usize) -> bool {
        panels * (1 + self.words) * PANEL <= self.panels.len()
            && rows * self.words * SIXTEEN / QUAD <= self.x.quads.len()
            && rows <= self.x.rows.len()
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const V: usize, const C: usize>(
        self,
        panel: usize,
        row: usize,
    ) -> [[L::Floats; V]; C] {
        const QUADS: usize = SIXTEEN / QUAD;
        // SAFETY: the codes and scales of this panel and these rows.
        unsafe {
            let at = self.panels.as_ptr().add(panel * (1 + self.words) * PANEL);
            let x = self.x.quads.as_ptr().add(row * self.words * QUADS);
            let rows = self.x.rows.as_ptr().add(row);
            // Where rows are few, sums of their own for each quad, so that none waits for the one before it.
            let own = C <= 2;
            let mut whole = [[[L::repeated(0); V]; C]; QUADS];
            for (c, whole) in whole[0].iter_mut().enumerate() {
                // Codes are more by one than what they stand for.
                *whole = [L::repeated(-(*rows.add(c)).1); V];
            }
            for word in 0..self.words {
                let mut words = [L::repeated(0); V];
                for (v, words) in words.iter_mut().enumerate() {
                    *words = L::words(at.add((1 + word) * PANEL + v * L::COUNT));
                }
                for quad in 0..QUADS {
                    for (c, whole) in whole[if own { quad } else { 0 }].iter_mut().enumerate() {
                        let x = *x.add((c * self.words + word) * QUADS + quad);
                        for (whole, words) in whole.iter_mut().zip(words) {
                            *whole = L::trits(*whole, L::twos(words), x);
                        }
                    }
                    for words in &mut words {
                        *words = L::on_by_two(*words);
                    }
                }
            }
            let mut sums = [[L::zero(); V]; C];
            for v in 0..V {
                let scales = L::load(at.cast::<f32>().add(v * L::COUNT));
                for (c, sums) in sums.iter_mut().enumerate() {
                    let scale = L::times(scales, L::all((*rows.add(c)).0));
                    let mut sum = whole[0][c][v];
                    for whole in &whole[1..] {
                        sum = L::plus(sum, whole[c][v]);
                    }
                    sums[v] = L::times(L::floats(sum), scale);
                }
            }
            sums
        }
    }
}
