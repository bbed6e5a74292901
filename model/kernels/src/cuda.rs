//! The operations on CUDA: for now as Burn has them.
use crate::ops::Ops;
use burn::backend::Cuda;

impl Ops for Cuda {}
