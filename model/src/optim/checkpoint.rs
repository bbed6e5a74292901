//! What an optimizer remembers, as tensors with names: for checkpoints, and back out of them.
use super::code::BLOCK;
use super::optimizer::Slot;
use super::state::{Kept, Sort};
use super::{OptimError, Optimizer, StateKind};
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;

/// A tensor of an optimizer's state: its name is the weight's, and `.mean`, `.square` or `.momentum`. In 8 bits it has a second
/// beside it, with the scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTensor {
    /// Its name, one of its kind.
    pub name: String,
    /// F32, BF16, or U8 for codes.
    pub dtype: DType,
    /// The weight's; `[blocks, 256]` of codes and `[blocks]` of scales.
    pub shape: Vec<usize>,
    at: usize,
    which: usize,
    scales: bool,
}

impl<B: Ops> Slot<B> {
    /// The tensors of one sort of its numbers.
    fn tensors(&self, at: usize, which: usize, sort: Sort) -> Vec<StateTensor> {
        let name = format!("{}.{}", self.weight.name, sort.name());
        let tensor = |name, dtype, shape, scales| StateTensor { name, dtype, shape, at, which, scales };
        if self.kind != StateKind::Int8 {
            return vec![tensor(name, self.kind.dtype(), self.weight.shape.clone(), false)];
        }
        let blocks = self.weight.len().div_ceil(BLOCK);
        let scales = tensor(format!("{name}.scales"), DType::F32, vec![blocks], true);
        vec![tensor(name, DType::U8, vec![blocks, BLOCK], false), scales]
    }
}

impl<B: Ops> Optimizer<B> {
    /// All that it remembers, always in this order.
    pub fn layout(&self) -> Vec<StateTensor> {
        let slots = self.slots.iter().enumerate();
        let sorts = slots.flat_map(|(at, slot)| {
            slot.sorts().iter().enumerate().map(move |(which, sort)| slot.tensors(at, which, *sort))
        });
        sorts.flatten().collect()
    }

    /// The numbers of one of these tensors.
    pub fn state(&self, tensor: &StateTensor) -> TensorData {
        let mut bytes = Vec::new();
        for piece in &self.slots[tensor.at].pieces {
            let data = match &piece[tensor.which] {
                Kept::Floats(x) => x.to_data(),
                Kept::Coded(_, scales) if tensor.scales => scales.to_data(),
                Kept::Coded(codes, _) => codes.to_data(),
            };
            bytes.extend_from_slice(data.as_bytes());
        }
        TensorData::from_bytes_vec(bytes, tensor.shape.as_slice(), tensor.dtype)
    }

    /// Goes on from what was remembered: `read` is asked for each tensor of [`Self::layout`]. What it refuses, or what has
    /// another type or shape, ends it, and then this optimizer is of no use.
    pub fn load<E: From<OptimError>>(
        &mut self,
        mut read: impl FnMut(&StateTensor) -> Result<TensorData, E>,
    ) -> Result<(), E> {
        let mut given = |tensor: &StateTensor| {
            let data = read(tensor)?;
            let (found, wanted) = ((data.dtype, data.shape.to_vec()), (tensor.dtype, tensor.shape.clone()));
            if found != wanted {
                let said = |(dtype, shape): (DType, Vec<usize>)| format!("{dtype:?} {shape:?}");
                let (name, found, wanted) = (tensor.name.clone(), said(found), said(wanted));
                return Err(OptimError::State { name, found, wanted }.into());
            }
            Ok(data)
        };
        let device = self.device.clone();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let len = slot.weight.len();
            for (which, sort) in slot.sorts().iter().enumerate() {
                let tensors = slot.tensors(at, which, *sort);
                let mut data = tensors.iter().map(&mut given).collect::<Result<Vec<_>, E>>()?.into_iter();
                let (Some(numbers), scales) = (data.next(), data.next()) else { continue };
                for (piece, start) in slot.pieces.iter_mut().zip((0..len).step_by(slot.piece)) {
                    let len = slot.piece.min(len - start);
                    piece[which] = match &scales {
                        None => {
                            let part = cut(&numbers, start, vec![len]);
                            Kept::Floats(Tensor::from_data(part, (&device, numbers.dtype)))
                        }
                        Some(scales) => {
                            let blocks = len.div_ceil(BLOCK);
                            let codes = cut(&numbers, start, vec![blocks, BLOCK]);
                            let scales = cut(scales, start / BLOCK, vec![blocks]);
                            let codes = Tensor::from_data(codes, (&device, DType::U8));
                            Kept::Coded(codes, Tensor::from_data(scales, (&device, DType::F32)))
                        }
                    };
                }
            }
        }
        Ok(())
    }
}

/// The numbers from `start` on that fill this shape.
fn cut(data: &TensorData, start: usize, shape: Vec<usize>) -> TensorData {
    let (size, len) = (data.dtype.size(), shape.iter().product::<usize>());
    let bytes = data.as_bytes()[start * size..][..len * size].to_vec();
    TensorData::from_bytes_vec(bytes, shape, data.dtype)
}
