//! Products of a model in use with matrices of a block: each is one, or two with few numbers between them.
use crate::acting::rounded;
use crate::config::{Round, Shape};
use muse_kernels::{Decode, DeviceResult, Parts, Rounding};

/// A matrix `[out, in]` as its weights say it: itself, or the two whose product it is.
pub(super) struct Numbers {
    first: Vec<f32>,
    second: Option<Vec<f32>>,
}

impl Numbers {
    /// Takes the weights of a matrix `[.., width]`, in their order.
    pub(super) fn read<E>(
        shape: &Shape,
        width: usize,
        next: &mut impl FnMut() -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let round = |numbers: Vec<f32>, width| match shape.round {
            // Three values are made where they are kept.
            None | Some(Round::Ternary) => numbers,
            Some(Round::Int8) => rounded(numbers, width, Rounding::Int8),
        };
        let first = round(next()?, width);
        let Some(rank) = shape.low_rank else { return Ok(Self { first, second: None }) };
        Ok(Self { first, second: Some(round(next()?, rank)) })
    }
}

impl Numbers {
    /// Those of a whole matrix `[.., width]` as it acts, whatever it is multiplied by.
    pub(super) fn acting(self, shape: &Shape, width: usize) -> Vec<f32> {
        match shape.round {
            Some(Round::Ternary) => rounded(self.first, width, Rounding::Ternary),
            None | Some(Round::Int8) => self.first,
        }
    }
}

/// Matrices that the same numbers are multiplied by, side by side.
pub(super) struct Linear<D: Decode> {
    first: D::Matrix,
    second: Option<D::Matrix>,
}

impl<D: Decode> Linear<D> {
    /// Matrices `[.., width]`.
    pub(super) fn new(device: &mut D, shape: &Shape, parts: &[Numbers], width: usize) -> DeviceResult<Self> {
        let first = device.matrix(&Parts { ternary: ternary(shape), ..Parts::of(&firsts(parts), width) })?;
        let second = match seconds(parts) {
            None => None,
            Some(seconds) => Some(device.matrix(&between(shape, &seconds))?),
        };
        Ok(Self { first, second })
    }

    /// `x wᵀ`
    pub(super) fn times(&self, device: &mut D, x: &D::Rows) -> DeviceResult<D::Rows> {
        match &self.second {
            None => device.times(x, &self.first),
            Some(second) => {
                let inner = device.inner(x, &self.first)?;
                device.times(&inner, second)
            }
        }
    }

    /// `sum + x wᵀ`
    pub(super) fn onto(&self, device: &mut D, sum: D::Rows, x: &D::Rows) -> DeviceResult<D::Rows> {
        match &self.second {
            None => device.add_times(sum, x, &self.first),
            Some(second) => {
                let inner = device.inner(x, &self.first)?;
                device.add_times(sum, &inner, second)
            }
        }
    }
}

/// The two matrices of a gated layer.
pub(super) struct Gated<D: Decode> {
    /// What gives what the pair is multiplied by, where that is not what comes.
    first: Option<D::Matrix>,
    pair: D::Matrix,
}

impl<D: Decode> Gated<D> {
    /// Matrices `[.., width]`.
    pub(super) fn new(
        device: &mut D,
        shape: &Shape,
        parts: &[Numbers; 2],
        width: usize,
    ) -> DeviceResult<Self> {
        let firsts = firsts(parts);
        let of_x = Parts { ternary: ternary(shape), ..Parts::of(&firsts, width) };
        Ok(match seconds(parts) {
            None => Self { first: None, pair: device.pair(&of_x)? },
            Some(seconds) => {
                Self { first: Some(device.matrix(&of_x)?), pair: device.pair(&between(shape, &seconds))? }
            }
        })
    }

    /// `silu(x gateᵀ) · x upᵀ`
    pub(super) fn of(&self, device: &mut D, x: &D::Rows) -> DeviceResult<D::Rows> {
        match &self.first {
            None => device.gated(x, &self.pair),
            Some(first) => {
                let inner = device.inner(x, first)?;
                device.gated(&inner, &self.pair)
            }
        }
    }
}

fn ternary(shape: &Shape) -> bool {
    shape.round == Some(Round::Ternary)
}

fn firsts(parts: &[Numbers]) -> Vec<&[f32]> {
    parts.iter().map(|part| part.first.as_slice()).collect()
}

fn seconds(parts: &[Numbers]) -> Option<Vec<&[f32]>> {
    parts.iter().map(|part| part.second.as_deref()).collect()
}

/// Second matrices, each for what its own first one gives.
fn between<'a>(shape: &Shape, seconds: &'a [&'a [f32]]) -> Parts<'a> {
    Parts { numbers: seconds, width: shape.low_rank.unwrap_or(1), apart: true, ternary: ternary(shape) }
}
