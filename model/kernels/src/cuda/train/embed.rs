//! The gradient of an embedding: rows in the order of their tokens, then a sum for each token.
use super::kernel::{Kernel, Source, Words};
use super::tensor::Numbers;
use super::{each, narrow};
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/embed.cu")];
/// Rows that a block counts.
const CHUNK: usize = 1024;

pub(crate) fn embed_back(
    ids: &Tensor<Cuda, 1, Int>,
    vocabulary: usize,
    grad: &Tensor<Cuda, 2>,
) -> Option<Tensor<Cuda, 2>> {
    let ([rows, width], dtype) = (grad.dims(), grad.dtype());
    let fits = ids.dtype() == DType::I32 && ids.dims() == [rows];
    if !fits || rows == 0 || vocabulary == 0 || !width.is_multiple_of(each(dtype)?) {
        return None;
    }
    let chunks = rows.div_ceil(CHUNK);
    let zeros = |count| Numbers::of_ints(Tensor::<Cuda, 1, Int>::zeros([count], (&ids.device(), DType::I32)));
    let (counts, taken) = (zeros(chunks * vocabulary), zeros(1));
    let (ids, grad) = (Numbers::of_ints(ids.clone()), Numbers::of(grad.clone()));
    let room = |count: usize| Numbers::room(&grad, [count], DType::I32);
    let (before, order) = (room(rows), room(rows));
    let (firsts, totals) = (room(vocabulary), room(vocabulary));
    let of_weight = Numbers::room(&grad, [vocabulary, width], DType::F32);
    let start = |entry, threads: usize, blocks: usize, buffers: &[&Numbers]| {
        let words = Words::default().int(rows).int(vocabulary).int(width).int(chunks);
        let buffers = buffers.iter().map(|x| x.at()).collect();
        let defines = vec![narrow(dtype), ("CHUNK", CHUNK)];
        Kernel::of(entry, SOURCE, defines, threads as u32, 0).start(
            grad.client(),
            [blocks, 1, 1],
            buffers,
            words,
        );
    };
    start("count_tokens", CHUNK, chunks, &[&ids, &before, &counts]);
    start("place_tokens", 256, vocabulary.div_ceil(256), &[&counts, &firsts, &totals, &taken]);
    start("order_rows", 256, rows.div_ceil(256), &[&ids, &before, &counts, &firsts, &order]);
    start("embed_back", 128, vocabulary, &[&grad, &firsts, &totals, &order, &of_weight]);
    Some(of_weight.tensor())
}
