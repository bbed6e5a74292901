//! What the matrices of a block act as, in plain numbers: for those who have no net.
use burn::backend::Flex;
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
