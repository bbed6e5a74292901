//! Memory in lines of the CPU's caches, so that no register is loaded from two.

/// Words of a line.
pub(super) const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; LINE]);

#[expect(unsafe_code, reason = "words under another name")]
// SAFETY: words, all of which may be zero.
unsafe impl bytemuck::Zeroable for Line {}
#[expect(unsafe_code, reason = "words under another name")]
// SAFETY: words, without gaps.
unsafe impl bytemuck::Pod for Line {}

/// Words, or numbers, in whole lines.
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// So many words or more, all zero, in pages that were not touched.
    pub(super) fn zero(words: usize) -> Self {
        Self(bytemuck::zeroed_vec(words.div_ceil(LINE)))
    }

    pub(super) fn words(&self) -> &[u32] {
        bytemuck::cast_slice(&self.0)
    }

    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
