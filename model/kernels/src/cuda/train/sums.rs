//! Sums in an order that is always the same.
use super::kernel::{Kernel, Source, Words};
use super::many::{SIDE, filled, side};
use super::tensor::Numbers;
use super::{each, narrow};
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cubecl::server::Binding;

const SOURCE: Source =
    &[include_str!("source/numbers.cu"), include_str!("source/many.cu"), include_str!("source/sums.cu")];
const THREADS: usize = 256;
/// How many blocks share a long row.
const SHARES: usize = 512;

fn kernel(entry: &'static str, dtype: DType) -> Kernel {
    Kernel::of(entry, SOURCE, vec![narrow(dtype)], THREADS as u32, 0)
}

/// The sum of rows of f32, `[width]`.
pub(super) fn sum_rows(rows: &Numbers, count: usize, width: usize) -> Numbers {
    let sum = Numbers::room(rows, [width], DType::F32);
    let words = Words::default().int(count).int(width);
    let kernel = Kernel::of("sum_rows", SOURCE, vec![narrow(DType::F32)], 1024, 0);
    kernel.start(rows.client(), [width.div_ceil(32), 1, 1], vec![rows.at(), sum.at()], words);
    sum
}

/// The sum of numbers in f32, `[1]`.
pub(super) fn sum_all(numbers: &Numbers, count: usize) -> Numbers {
    let sum = Numbers::room(numbers, [1], DType::F32);
    let words = Words::default().long(count);
    kernel("sum_all", DType::F32).start(numbers.client(), [1; 3], vec![numbers.at(), sum.at()], words);
    sum
}

/// The squares of each block's numbers, of all tensors side by side.
pub(crate) fn squares(all: &[Tensor<Cuda, 1>]) -> Option<Tensor<Cuda, 1>> {
    let (first, dtype) = (all.first()?, all.first()?.dtype());
    let counts = all.iter().map(blocks).collect::<Option<Vec<usize>>>()?;
    if all.iter().any(|x| x.dtype() != dtype) {
        return None;
    }
    let like = Numbers::of(first.clone());
    let parts = Numbers::room(&like, [counts.iter().sum()], DType::F32);
    let mut first = 0;
    for (all, counts) in all.chunks(SIDE).zip(counts.chunks(SIDE)) {
        let own: Vec<Numbers> = all.iter().map(|x| Numbers::of(x.clone())).collect();
        let buffers: Vec<Binding> = filled(&own).chain([&parts]).map(Numbers::at).collect();
        let numbers: Vec<usize> = own.iter().map(Numbers::len).collect();
        let words = side(&numbers, counts).long(first);
        let blocks = counts.iter().sum();
        kernel("square_parts", dtype).start(like.client(), [blocks, 1, 1], buffers, words);
        first += blocks;
    }
    Some(parts.tensor())
}

/// How many blocks share a tensor.
fn blocks(x: &Tensor<Cuda, 1>) -> Option<usize> {
    Some(x.dims()[0].div_ceil(4 * THREADS * each(x.dtype())?).clamp(1, SHARES))
}

/// As one block does it: squares are few.
pub(crate) fn clip(
    squares: &Tensor<Cuda, 1>,
    loss: &Tensor<Cuda, 1>,
    before: &Tensor<Cuda, 1>,
    most: f64,
) -> Option<Tensor<Cuda, 1>> {
    if [squares, loss, before].iter().any(|x| x.dtype() != DType::F32 || x.dims() == [0]) {
        return None;
    }
    let [count] = squares.dims();
    let [squares, loss, before] = [squares, loss, before].map(|x| Numbers::of(x.clone()));
    let clipped = Numbers::room(&squares, [3], DType::F32);
    let buffers = [&squares, &loss, &before, &clipped].map(Numbers::at).to_vec();
    let words = Words::default().long(count).float(most);
    Kernel::of("clip", SOURCE, vec![narrow(DType::F32)], 1024, 0).start(
        squares.client(),
        [1; 3],
        buffers,
        words,
    );
    Some(clipped.tensor())
}

pub(crate) fn sum_squares(x: &Tensor<Cuda, 1>) -> Option<Tensor<Cuda, 1>> {
    let parts = squares(std::slice::from_ref(x))?;
    let [count] = parts.dims();
    Some(sum_all(&Numbers::of(parts), count).tensor())
}
