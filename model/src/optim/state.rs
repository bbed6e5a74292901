//! What an optimizer remembers of a weight from step to step, in as many bytes as it was given.
use super::StateKind;
use super::code::{BLOCK, Code};
use super::rounding::to_bf16;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;

/// How both sorts of numbers are coded in 8 bits.
pub(super) struct Codes<B: Backend> {
    signed: Code<B>,
    squares: Code<B>,
}

/// Which numbers these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Mean,
    Square,
    Momentum,
}

/// Numbers of a weight, or of a part of it.
#[derive(Clone)]
pub(super) enum Kept<B: Backend> {
    /// In f32 or bf16.
    Floats(Tensor<B, 1>),
    /// `[blocks, 256]` and `[blocks]`.
    Coded(Tensor<B, 2, Int>, Tensor<B, 1>),
}

impl Sort {
    /// What the name of the tensor ends with.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Square => "square",
            Self::Momentum => "momentum",
        }
    }
}

impl StateKind {
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::Int8 => DType::U8,
        }
    }
}

impl<B: Ops> Codes<B> {
    pub(super) fn new(device: &B::Device) -> Self {
        Self { signed: Code::signed(device), squares: Code::squares(device) }
    }

    fn of(&self, sort: Sort) -> &Code<B> {
        if sort == Sort::Square { &self.squares } else { &self.signed }
    }

    /// Nothing, as all begins.
    pub(super) fn nothing(&self, kind: StateKind, sort: Sort, len: usize, device: &B::Device) -> Kept<B> {
        if kind != StateKind::Int8 {
            return Kept::Floats(Tensor::zeros([len], (device, kind.dtype())));
        }
        let blocks = len.div_ceil(BLOCK);
        let codes = Tensor::full([blocks, BLOCK], self.of(sort).middle, (device, DType::U8));
        Kept::Coded(codes, Tensor::zeros([blocks], (device, DType::F32)))
    }

    /// The numbers, in f32.
    pub(super) fn open(&self, kept: Kept<B>, sort: Sort, len: usize) -> Tensor<B, 1> {
        match kept {
            Kept::Floats(x) if x.dtype() == DType::F32 => x,
            Kept::Floats(x) => x.cast(DType::F32),
            Kept::Coded(codes, scales) => self.of(sort).decode(codes, scales, len),
        }
    }

    /// The numbers, as they are kept.
    pub(super) fn close(&self, x: Tensor<B, 1>, kind: StateKind, sort: Sort, seed: u64) -> Kept<B> {
        match kind {
            StateKind::F32 => Kept::Floats(x),
            StateKind::Bf16 => Kept::Floats(to_bf16::<B>(x, seed)),
            StateKind::Int8 => {
                let (codes, scales) = self.of(sort).encode(x, seed);
                Kept::Coded(codes, scales)
            }
        }
    }
}
