//! Memory in lines of the CPU's caches, so that no register is loaded from two.
use memmap2::MmapMut;
use std::alloc::{Layout, handle_alloc_error};

/// Words of a line.
pub(super) const LINE: usize = 16;

/// Numbers in pages of their own. Not of the allocator's: that takes large ones where it can, which are taken whole by who touches a
/// little of them.
pub(super) struct Lines(MmapMut);

impl Lines {
    /// So many, all zero, in pages that were not touched.
    pub(super) fn zero(numbers: usize) -> Self {
        let bytes = size_of::<f32>() * numbers;
        // There is no map of nothing.
        let Ok(memory) = MmapMut::map_anon(bytes.max(1).next_multiple_of(size_of::<f32>() * LINE)) else {
            handle_alloc_error(Layout::array::<f32>(numbers).unwrap_or(Layout::new::<f32>()))
        };
        Self(memory)
    }

    pub(super) fn words(&self) -> &[u32] {
        bytemuck::cast_slice(&self.0)
    }

    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
