//! Products of the rows of matrices with each other, or of their columns, and those of matrices that are polynomials of one, on Hopper.
//! These are symmetric, so half of the work is enough.
use super::kernel::{Kernel, Source, Words};
use super::tensor::Numbers;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/gram.cu")];
const THREADS: u32 = 256;
/// Rows and columns of a tile.
const SIDE: usize = 128;
/// Numbers that are summed at a time.
const DEEP: usize = 64;
/// Bytes of what a block has there or on its way: three times both sides of a tile.
const SHARED: usize = 3 * 2 * SIDE * DEEP * 2;

/// How the norms of matrices are found: the squares of each are summed up in parts.
pub(super) struct Norms {
    pub(super) parts: Numbers,
    /// How many parts a matrix has.
    pub(super) shares: usize,
    /// Added to each norm.
    pub(super) smallest: f64,
}

/// Matrices side by side.
#[derive(Clone, Copy)]
pub(super) struct Gram {
    pub(super) count: usize,
    /// Rows and columns of a result.
    pub(super) side: usize,
    /// Numbers that are summed for each of its numbers.
    pub(super) deep: usize,
    /// Of the columns; else of the rows.
    pub(super) turned: bool,
    /// Numbers from one matrix to the next, and from one result to the next.
    pub(super) apart: [usize; 2],
}

impl Gram {
    /// Whether there is a kernel for these on such a GPU.
    pub(super) fn fits(&self, capability: (i32, i32)) -> bool {
        capability == (9, 0) && self.side.is_multiple_of(SIDE) && self.deep.is_multiple_of(DEEP)
    }

    /// Asks for them, and waits for nothing: products of two sides that are the same, or symmetric as their product is. Of a symmetric
    /// one with itself, the polynomial `one + first x + second x²`, if it is given. What comes is divided by the norms of the matrices as
    /// often as is said.
    pub(super) fn start(
        &self,
        [from, with]: [&Numbers; 2],
        to: &Numbers,
        polynomial: Option<[f64; 3]>,
        norms: &Norms,
        normed: usize,
    ) {
        let added = usize::from(polynomial.is_some());
        let defines = vec![("NARROW", 1), ("TURNED", usize::from(self.turned)), ("ADDED", added)];
        let [one, first, second] = polynomial.unwrap_or([0.0, 0.0, 1.0]);
        let words = Words::default().long(self.apart[0]).long(self.apart[1]).int(self.side);
        let words = words.int(self.deep / DEEP).float(second).float(first).float(one);
        let words = words.int(normed).int(norms.shares).float(norms.smallest);
        let tiles = self.side / SIDE;
        let blocks = [tiles * (tiles + 1) / 2, self.count, 1];
        Kernel::of("gram", SOURCE, defines, THREADS, SHARED).start(
            from.client(),
            blocks,
            vec![from.at(), with.at(), to.at(), norms.parts.at()],
            words,
        );
    }
}
