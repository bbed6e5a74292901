//! The ways in which panels hold numbers, and what a tile of sums is in each.
use super::lanes::Lanes;
use super::{BLOCK, PANEL, QUAD, SCALES, WORDS};
use crate::cpu::fixed::Coded;

/// Panels, and rows that they are multiplied with.
#[expect(unsafe_code, reason = "numbers are loaded from where they are known to be")]
pub(in crate::cpu) trait Way: Copy {
    /// The most rows of a tile, where there are registers for so many.
    const ROWS: usize = 8;

    /// Whether there are so many panels, and so many rows.
    fn holds(&self, panels: usize, rows: usize) -> bool;

    /// The sums of a panel, which is `V` registers, with `C` rows from one on.
    ///
    /// # Safety
    /// As [`Lanes`] says; and the panel and the rows are there.
    unsafe fn tile<L: Lanes, const V: usize, const C: usize>(
        self,
        panel: usize,
        row: usize,
    ) -> [[L::Floats; V]; C];
}

/// Numbers times numbers.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Singles<'a> {
    pub(in crate::cpu) panels: &'a [u32],
    /// From the beginning of a panel to that of the next.
    pub(in crate::cpu) step: usize,
    /// How many numbers of each row are multiplied.
    pub(in crate::cpu) depth: usize,
    pub(in crate::cpu) x: &'a [f32],
    /// From the beginning of a row of `x` to that of the next.
    pub(in crate::cpu) stride: usize,
}

/// Numbers in bf16 times numbers: a word holds two of a row.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Pairs<'a> {
    pub(in crate::cpu) panels: &'a [u32],
    /// How many pairs each row has.
    pub(in crate::cpu) pairs: usize,
    /// Twice as many a row.
    pub(in crate::cpu) x: &'a [f32],
}

/// Codes times codes: whole numbers within a block, which has a scale.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Quads<'a> {
    pub(in crate::cpu) panels: &'a [u32],
    pub(in crate::cpu) quads: usize,
    pub(in crate::cpu) x: &'a Coded,
}

#[expect(unsafe_code, reason = "as the trait says")]
impl Way for Singles<'_> {
    fn holds(&self, panels: usize, rows: usize) -> bool {
        let words = |count: usize, step: usize, len: usize| count.saturating_sub(1) * step + len;
        words(panels, self.step, self.depth * PANEL) <= self.panels.len()
            && words(rows, self.stride, self.depth) <= self.x.len()
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const V: usize, const C: usize>(
        self,
        panel: usize,
        row: usize,
    ) -> [[L::Floats; V]; C] {
        // SAFETY: the numbers of this panel and these rows.
        unsafe {
            let at = self.panels.as_ptr().add(panel * self.step).cast::<f32>();
            let x = self.x.as_ptr().add(row * self.stride);
            let mut sums = [[L::zero(); V]; C];
            for k in 0..self.depth {
                let mut weights = [L::zero(); V];
                for (v, weights) in weights.iter_mut().enumerate() {
                    *weights = L::load(at.add(k * PANEL + v * L::COUNT));
                }
                for (c, sums) in sums.iter_mut().enumerate() {
                    let x = L::all(*x.add(c * self.stride + k));
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = L::add(*sum, L::times(weight, x));
                    }
                }
            }
            sums
        }
    }
}

#[expect(unsafe_code, reason = "as the trait says")]
impl Way for Pairs<'_> {
    fn holds(&self, panels: usize, rows: usize) -> bool {
        panels * self.pairs * PANEL <= self.panels.len() && rows * self.pairs * 2 <= self.x.len()
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const V: usize, const C: usize>(
        self,
        panel: usize,
        row: usize,
    ) -> [[L::Floats; V]; C] {
        // SAFETY: the numbers of this panel and these rows.
        unsafe {
            let at = self.panels.as_ptr().add(panel * self.pairs * PANEL);
            let x = self.x.as_ptr().add(row * self.pairs * 2);
            let mut sums = [[L::zero(); V]; C];
            for pair in 0..self.pairs {
                let mut weights = [[L::zero(); 2]; V];
                for (v, weights) in weights.iter_mut().enumerate() {
                    *weights = L::pair(L::words(at.add(pair * PANEL + v * L::COUNT)));
                }
                for (c, sums) in sums.iter_mut().enumerate() {
                    for which in 0..2 {
                        let x = L::all(*x.add((c * self.pairs + pair) * 2 + which));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = L::add(*sum, L::times(weight[which], x));
                        }
                    }
                }
            }
            sums
        }
    }
}

impl Quads<'_> {
    fn blocks(&self) -> usize {
        self.quads.div_ceil(BLOCK / QUAD)
    }

    fn words(&self) -> usize {
        self.blocks() * SCALES + self.quads * PANEL
    }

    /// Adds the products of a block of so many quads.
    ///
    /// # Safety
    /// As [`Way`] says.
    #[inline(always)]
    #[expect(unsafe_code, reason = "as the trait says")]
    unsafe fn add<L: Lanes, const V: usize, const C: usize>(
        self,
        at: *const u32,
        [row, block]: [usize; 2],
        count: usize,
        sums: &mut [[L::Floats; V]; C],
    ) {
        // SAFETY: the codes and scales of this block and these rows.
        unsafe {
            let x = self.x.quads.as_ptr().add(row * self.quads + block * (BLOCK / QUAD));
            let blocks = self.x.blocks.as_ptr().add(row * self.blocks() + block);
            let mut whole = [[L::start(0); V]; C];
            for (c, whole) in whole.iter_mut().enumerate() {
                *whole = [L::start((*blocks.add(c * self.blocks())).1); V];
            }
            for quad in 0..count {
                let mut codes = [L::start(0); V];
                for (v, codes) in codes.iter_mut().enumerate() {
                    *codes = L::words(at.add(SCALES + quad * PANEL + v * L::COUNT));
                }
                for (c, whole) in whole.iter_mut().enumerate() {
                    let x = *x.add(c * self.quads + quad);
                    for (whole, codes) in whole.iter_mut().zip(codes) {
                        *whole = L::quads(*whole, codes, x);
                    }
                }
            }
            for v in 0..V {
                let scales = L::halves(at.cast::<u16>().add(v * L::COUNT));
                for (c, sums) in sums.iter_mut().enumerate() {
                    let scale = L::times(scales, L::all((*blocks.add(c * self.blocks())).0));
                    sums[v] = L::add(sums[v], L::times(L::floats(whole[c][v]), scale));
                }
            }
        }
    }
}

#[expect(unsafe_code, reason = "as the trait says")]
impl Way for Quads<'_> {
    // Each sum takes two registers.
    const ROWS: usize = 4;

    fn holds(&self, panels: usize, rows: usize) -> bool {
        panels * self.words() <= self.panels.len()
            && rows * self.quads <= self.x.quads.len()
            && rows * self.blocks() <= self.x.blocks.len()
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const V: usize, const C: usize>(
        self,
        panel: usize,
        row: usize,
    ) -> [[L::Floats; V]; C] {
        const WHOLE: usize = BLOCK / QUAD;
        // SAFETY: the codes and scales of this panel and these rows.
        unsafe {
            let at = self.panels.as_ptr().add(panel * self.words());
            let mut sums = [[L::zero(); V]; C];
            let (whole, left) = (self.quads / WHOLE, self.quads % WHOLE);
            for block in 0..whole {
                self.add::<L, V, C>(at.add(block * WORDS), [row, block], WHOLE, &mut sums);
            }
            if left > 0 {
                self.add::<L, V, C>(at.add(whole * WORDS), [row, whole], left, &mut sums);
            }
            sums
        }
    }
}
