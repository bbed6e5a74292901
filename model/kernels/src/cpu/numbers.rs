//! Tensors as slices and back.
use super::memory;
use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::prelude::*;
use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{DType, FloatDType, TensorPrimitive};

/// The numbers of a tensor in f32, row after row.
pub(super) struct Floats(FlexTensor);

impl Floats {
    pub(super) fn of<const D: usize>(x: Tensor<Flex, D>) -> Self {
        let x = x.into_primitive().tensor();
        let x = if x.dtype() == DType::F32 { x } else { Flex::float_cast(x, FloatDType::F32) };
        Self(if x.as_slice::<f32>().is_some() { x } else { x.to_contiguous() })
    }

    pub(super) fn get(&self) -> &[f32] {
        self.0.as_slice().expect("of() made it contiguous")
    }
}

/// The numbers of a tensor to write over: the tensor's own if nobody else holds it, else a copy.
pub(super) struct Own(FlexTensor);

impl Own {
    pub(super) fn of<const D: usize>(x: Tensor<Flex, D>) -> Self {
        // `to_contiguous` gives the tensor itself where it is all of its memory.
        Self(Floats::of(x).0.to_contiguous())
    }

    pub(super) fn get(&mut self) -> &mut [f32] {
        self.0.storage_mut()
    }

    pub(super) fn tensor<const D: usize>(self, dtype: DType) -> Tensor<Flex, D> {
        let x = Tensor::from_primitive(TensorPrimitive::Float(self.0));
        if dtype == DType::F32 { x } else { x.cast(dtype) }
    }
}

/// Integers of a tensor.
pub(super) struct Ints(FlexTensor);

impl Ints {
    pub(super) fn of<const D: usize>(x: Tensor<Flex, D, Int>) -> Self {
        let x = if x.dtype() == DType::I32 { x } else { x.cast(DType::I32) };
        let x = x.into_primitive();
        Self(if x.as_slice::<i32>().is_some() { x } else { x.to_contiguous() })
    }

    pub(super) fn get(&self) -> &[i32] {
        self.0.as_slice().expect("of() made it contiguous")
    }
}

/// A tensor of these numbers, in the type that the result is wanted in.
pub(super) fn made<const D: usize>(numbers: Vec<f32>, shape: [usize; D], dtype: DType) -> Tensor<Flex, D> {
    let layout = Layout::contiguous(Shape::from(shape));
    let x = FlexTensor::new(memory::bytes(numbers), layout, DType::F32);
    let x = Tensor::from_primitive(TensorPrimitive::Float(x));
    if dtype == DType::F32 { x } else { x.cast(dtype) }
}
