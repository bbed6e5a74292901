//! Products of a model in use with matrices of a block: each is one, or two with few numbers between them.
use super::weights::{InOrder, Stored, Weights};
use crate::config::{Round, Shape};
use muse_kernels::{Decode, DeviceResult, Parts};

/// A matrix `[out, in]` as its weights say it: itself, or the two whose product it is.
pub(super) struct Source<'a, W> {
    first: Stored<'a, W>,
    second: Option<Stored<'a, W>>,
}

impl<'a, W: Weights> Source<'a, W> {
    /// Takes the weights of a matrix, in their order.
    pub(super) fn next(shape: &Shape, weights: &mut InOrder<'a, W>) -> Self {
        let first = weights.matrix();
        Self { first, second: shape.low_rank.map(|_| weights.matrix()) }
    }
}

/// Matrices that the same numbers are multiplied by, side by side.
pub(super) struct Linear<D: Decode> {
    first: D::Matrix,
    second: Option<D::Matrix>,
}

impl<D: Decode> Linear<D> {
    /// Matrices `[.., width]`.
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        parts: &[Source<'_, W>],
        width: usize,
    ) -> Result<Self, W::Error> {
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

    /// The same, as what the next product multiplies.
    pub(super) fn inner(&self, device: &mut D, x: &D::Rows) -> DeviceResult<D::Rows> {
        match &self.second {
            None => device.inner(x, &self.first),
            Some(second) => {
                let inner = device.inner(x, &self.first)?;
                device.inner(&inner, second)
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
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        parts: &[Source<'_, W>; 2],
        width: usize,
    ) -> Result<Self, W::Error> {
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

fn firsts<'a, 'w, W>(parts: &'a [Source<'w, W>]) -> Vec<&'a Stored<'w, W>> {
    parts.iter().map(|part| &part.first).collect()
}

fn seconds<'a, 'w, W>(parts: &'a [Source<'w, W>]) -> Option<Vec<&'a Stored<'w, W>>> {
    parts.iter().map(|part| part.second.as_ref()).collect()
}

/// Second matrices, each for what its own first one gives.
fn between<'a, P>(shape: &Shape, seconds: &'a [P]) -> Parts<'a, P> {
    Parts {
        parts: seconds,
        width: shape.low_rank.unwrap_or(1),
        apart: true,
        ternary: ternary(shape),
        exact: false,
    }
}
