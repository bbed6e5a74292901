//! Products of many small matrices of f32, exact to f32 and in an order that is always the same: those of heads that learn.
use super::kernel::{Kernel, Source, Words};
use super::tensor::Numbers;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/few.cu")];
/// Numbers that a block has, in either direction.
const TILE: usize = 64;
/// What is small: beyond that tensor cores take less time for three products than this for one.
const SMALLEST_SIDE: usize = 128;
const LARGEST_SIDE: usize = 1024;

/// None where they are of another type, or large.
pub(crate) fn multiply<const D: usize>(a: &Tensor<Cuda, D>, b: &Tensor<Cuda, D>) -> Option<Tensor<Cuda, D>> {
    let (mut dims, of_b) = (a.dims(), b.dims());
    if D < 3 || a.dtype() != DType::F32 || b.dtype() != DType::F32 {
        return None;
    }
    let sides @ [rows, depth, columns] = [dims[D - 2], dims[D - 1], of_b[D - 1]];
    let many: usize = dims[..D - 2].iter().product();
    let large = sides.iter().any(|side| !(1..=LARGEST_SIDE).contains(side));
    if large
        || sides.iter().all(|side| *side > SMALLEST_SIDE)
        || many == 0
        || many > u32::MAX as usize / 2
        || dims[..D - 2] != of_b[..D - 2]
    {
        return None;
    }
    let (a, b) = (Numbers::of(a.clone()), Numbers::of(b.clone()));
    dims[D - 1] = columns;
    let out = Numbers::room(&a, dims, DType::F32);
    let words = Words::default().int(rows).int(depth).int(columns).int(0);
    let kernel = Kernel::of("multiply_few", SOURCE, Vec::new(), 256, 0);
    let grid = [many, rows.div_ceil(TILE), columns.div_ceil(TILE)];
    kernel.start(a.client(), grid, vec![a.at(), b.at(), out.at()], words);
    Some(out.tensor())
}
