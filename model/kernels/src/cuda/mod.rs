//! The operations on CUDA: for now as Burn has them, but for products in f32. Models in use have kernels of their own.
mod decode;

pub use decode::{Gpu, GpuModel};

use crate::ops::Ops;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cudarc::driver::{CudaContext, result};

impl Ops for Cuda {
    /// Tensor cores read ten bits of a number's fraction. So each number is taken apart into what they read and what is left
    /// of it, and three products are added up: only that of both rests, which is too small to count, is missing.
    fn multiply<const D: usize>(a: Tensor<Self, D>, b: Tensor<Self, D>) -> Tensor<Self, D> {
        if a.dtype() != DType::F32 {
            return a.matmul(b);
        }
        let ((a, rest_of_a), (b, rest_of_b)) = (apart(a), apart(b));
        a.clone().matmul(rest_of_b) + rest_of_a.matmul(b.clone()) + a.matmul(b)
    }
}

/// What the maker calls the first GPU that this process sees. Only where there is one.
pub fn gpu_name() -> Option<String> {
    result::init().and_then(|()| result::device::get(0)).and_then(result::device::get_name).ok()
}

/// Bytes of the first GPU's memory that are taken now, by this process and by others.
pub fn gpu_memory() -> Option<u64> {
    let (free, all) = CudaContext::new(0).and_then(|context| context.mem_get_info()).ok()?;
    Some(all.saturating_sub(free) as u64)
}

/// A number as its first eleven bits and the rest of it, by Veltkamp's way.
fn apart<const D: usize>(x: Tensor<Cuda, D>) -> (Tensor<Cuda, D>, Tensor<Cuda, D>) {
    let times = x.clone().mul_scalar(8193.0_f32);
    let first = times.clone() - (times - x.clone());
    (first.clone(), x - first)
}
