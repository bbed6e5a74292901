//! Products of matrices that stand in panels: rows side by side, so that a register holds a number of each of many rows, sums need
//! nothing across it, and what is needed next is what comes next in memory.
//!
//! Each sum is one chain along the row, whatever else is computed beside it: so products are the same to the bit for one row of
//! `x` and for many, and on any CPU.
mod lanes;
mod trits;
mod ways;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use crate::plain::BLOCK;
pub(super) use trits::Trits;
pub(super) use ways::{Pairs, Quads, Singles, Way};

use lanes::{Base, Lanes};
use std::ops::Range;

/// Rows of a panel.
pub(super) const PANEL: usize = 32;
/// Codes of a row in a word.
pub(super) const QUAD: usize = 4;
/// Codes stand as bytes without a sign, off by so much.
pub(super) const OFFSET: u8 = 128;
/// Codes of a row in a word, where they are of three values.
pub(super) const SIXTEEN: usize = 16;
/// Words of the scales before each block's codes.
pub(super) const SCALES: usize = PANEL / 2;
/// Words of a block.
pub(super) const WORDS: usize = SCALES + BLOCK / QUAD * PANEL;

/// What products are made with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instructions {
    /// 512 bits, and products of codes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every CPU of the kind has.
    Base,
}

impl Instructions {
    /// The best of the CPU at hand.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn at_hand() -> Self {
        use super::vector::{Width, width};
        match width() {
            Width::Avx512 if is_x86_feature_detected!("avx512vnni") => Self::Avx512,
            Width::Avx512 | Width::Avx2 => Self::Avx2,
            Width::Base => Self::Base,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn at_hand() -> Self {
        Self::Base
    }

    /// All of the CPU at hand.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        match Self::at_hand() {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => vec![Self::Base, Self::Avx2, Self::Avx512],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => vec![Self::Base, Self::Avx2],
            Self::Base => vec![Self::Base],
        }
    }
}

/// Products of some panels with all `count` rows of `x`: `put` is told a panel, a row of `x`, and the products of these.
#[expect(unsafe_code, reason = "the CPU is asked before")]
pub(super) fn products(
    instructions: Instructions,
    way: impl Way,
    panels: Range<usize>,
    count: usize,
    put: impl FnMut(usize, usize, &[f32; PANEL]),
) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512vnni")]
    fn avx512(
        way: impl Way,
        panels: Range<usize>,
        count: usize,
        put: impl FnMut(usize, usize, &[f32; PANEL]),
    ) {
        // SAFETY: as below.
        unsafe { all::<x86::Avx512, _, { PANEL / 16 }>(way, panels, count, put) }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2(way: impl Way, panels: Range<usize>, count: usize, put: impl FnMut(usize, usize, &[f32; PANEL])) {
        // SAFETY: as below.
        unsafe { all::<x86::Avx2, _, { PANEL / 8 }>(way, panels, count, put) }
    }
    assert!(way.holds(panels.end, count), "there are fewer panels or rows");
    // SAFETY: the CPU has these instructions, as it says itself; panels and rows are there, as was just checked.
    unsafe {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512(way, panels, count, put),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2(way, panels, count, put),
            Instructions::Base => all::<Base, _, { PANEL / Base::COUNT }>(way, panels, count, put),
        }
    }
}

/// Goes through panels and rows, as many rows at a time as there are registers for. `V` registers are a panel.
///
/// # Safety
/// As [`Way`] says, for all of these.
#[inline(always)]
#[expect(unsafe_code, reason = "as the trait says")]
unsafe fn all<L: Lanes, W: Way, const V: usize>(
    way: W,
    panels: Range<usize>,
    count: usize,
    mut put: impl FnMut(usize, usize, &[f32; PANEL]),
) {
    for panel in panels {
        let mut row = 0;
        // SAFETY: tiles of these panels and rows alone.
        unsafe {
            while L::ROWS.min(W::ROWS) >= 8 && row + 8 <= count {
                store::<L, V, 8>(&way.tile::<L, V, 8>(panel, row), panel, row, &mut put);
                row += 8;
            }
            while L::ROWS.min(W::ROWS) >= 4 && row + 4 <= count {
                store::<L, V, 4>(&way.tile::<L, V, 4>(panel, row), panel, row, &mut put);
                row += 4;
            }
            while L::ROWS >= 2 && row + 2 <= count {
                store::<L, V, 2>(&way.tile::<L, V, 2>(panel, row), panel, row, &mut put);
                row += 2;
            }
            while row < count {
                store::<L, V, 1>(&way.tile::<L, V, 1>(panel, row), panel, row, &mut put);
                row += 1;
            }
        }
    }
}

/// Hands out the sums of a tile, row by row.
#[inline(always)]
#[expect(unsafe_code, reason = "as the trait says")]
unsafe fn store<L: Lanes, const V: usize, const C: usize>(
    sums: &[[L::Floats; V]; C],
    panel: usize,
    row: usize,
    put: &mut impl FnMut(usize, usize, &[f32; PANEL]),
) {
    let mut numbers = [0.0; PANEL];
    for (c, sums) in sums.iter().enumerate() {
        for (v, sums) in sums.iter().enumerate() {
            // SAFETY: `V` registers are a panel.
            unsafe { L::store(*sums, numbers.as_mut_ptr().add(v * L::COUNT)) };
        }
        put(panel, row + c, &numbers);
    }
}
