//! What matrices act as, in plain numbers: for those who have no net.
use crate::config::{Embedding, Shape};
use crate::net::Factored;
use burn::backend::Flex;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Ops, Rounding, Turned};

fn matrix(numbers: Vec<f32>, width: usize) -> Tensor<Flex, 2> {
    let rows = numbers.len() / width;
    Tensor::from_data(TensorData::new(numbers, [rows, width]), (&Default::default(), DType::F32))
}

/// The numbers of a matrix `[.., width]` as they act where they are rounded.
pub fn rounded(numbers: Vec<f32>, width: usize, to: Rounding) -> Vec<f32> {
    Flex::rounded(matrix(numbers, width), to).into_data().iter().collect()
}

/// The product of the two matrices that a matrix is: `second` `[out, rank]`, `first` `[rank, in]`.
pub fn whole(first: Vec<f32>, second: Vec<f32>, rank: usize) -> Vec<f32> {
    let columns = first.len() / rank;
    Flex::product(matrix(second, rank), matrix(first, columns), Turned::Neither).into_data().iter().collect()
}

/// The rows for tokens `[vocabulary, width]` that both cores and their phase make.
pub fn table(embedding: Embedding, shape: &Shape, [first, second, phase]: [Vec<f32>; 3]) -> Vec<f32> {
    let [[_, of_first], [_, of_second]] = embedding.cores(shape.vocab_size, shape.width);
    let phase = TensorData::new(phase, [embedding.tensor_train]);
    let cores = Factored::<Flex> {
        first: Param::from_tensor(matrix(first, of_first)),
        second: Param::from_tensor(matrix(second, of_second)),
        phase: Param::from_tensor(Tensor::from_data(phase, (&Default::default(), DType::F32))),
        rows: shape.vocab_size,
        width: shape.width,
        rounding: embedding.round.map(Into::into),
        normed: embedding.normed,
    };
    cores.table().into_data().iter().collect()
}
