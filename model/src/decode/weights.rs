//! Where the weights of a model in use come from: each has its turn in their order, and is read when its place is made.
use crate::acting::rounded;
use crate::config::{Round, Shape};
use crate::net::Weight;
use muse_kernels::{DeviceError, Part, Rounding, TwoBits};
use std::borrow::Cow;
use std::ops::Range;
use std::slice;

/// Weights that are stored somewhere. What gives rows in f32 is such a place, too.
pub trait Weights {
    /// Why one cannot be read, or a device not take it.
    type Error: From<DeviceError>;

    /// Some rows of a weight; of one that is no matrix, some of its numbers.
    fn rows(&self, weight: &Weight, rows: Range<usize>) -> Result<Vec<f32>, Self::Error>;

    /// All of a matrix, where it is stored as three values.
    fn two_bits(&self, _: &Weight) -> Result<Option<TwoBits>, Self::Error> {
        Ok(None)
    }
}

impl<F, E> Weights for F
where
    F: Fn(&Weight, Range<usize>) -> Result<Vec<f32>, E>,
    E: From<DeviceError>,
{
    type Error = E;

    fn rows(&self, weight: &Weight, rows: Range<usize>) -> Result<Vec<f32>, E> {
        self(weight, rows)
    }
}

/// Some rows of a weight whose numbers are all at hand.
pub fn rows_of(weight: &Weight, numbers: &[f32], rows: Range<usize>) -> Vec<f32> {
    let width = weight.len() / weight.shape[0].max(1);
    numbers[rows.start * width..rows.end * width].to_vec()
}

/// All weights of a model, one after the other.
pub(super) struct InOrder<'a, W> {
    left: slice::Iter<'a, Weight>,
    from: &'a W,
    round: Option<Round>,
}

impl<'a, W: Weights> InOrder<'a, W> {
    pub(super) fn new(shape: &Shape, all: &'a [Weight], from: &'a W) -> Self {
        Self { left: all.iter(), from, round: shape.round }
    }

    /// The next one as it is.
    pub(super) fn plain(&mut self) -> Stored<'a, W> {
        let weight = self.left.next().expect("as many are asked for as there are");
        Stored { weight, from: self.from, to: None }
    }

    /// The next one as a matrix of a block, which is rounded where these are.
    pub(super) fn matrix(&mut self) -> Stored<'a, W> {
        let to = match self.round {
            // Three values are made where they are kept.
            None | Some(Round::Ternary) => None,
            Some(Round::Int8) => Some(Rounding::Int8),
        };
        Stored { to, ..self.plain() }
    }
}

/// A weight that nobody has read yet.
pub(super) struct Stored<'a, W> {
    weight: &'a Weight,
    from: &'a W,
    /// What its rows are rounded to.
    to: Option<Rounding>,
}

impl<W: Weights> Stored<'_, W> {
    /// All of its numbers.
    pub(super) fn all(&self) -> Result<Vec<f32>, W::Error> {
        self.from.rows(self.weight, 0..self.rows())
    }
}

impl<W: Weights> Stored<'_, W> {
    /// All numbers of a matrix as they act, where that is three values, or what its rows are rounded to.
    pub(super) fn acting(&self, ternary: bool) -> Result<Vec<f32>, W::Error> {
        if !ternary {
            return Ok(self.numbers(0..self.rows())?.into_owned());
        }
        match self.two_bits()? {
            Some(stored) => Ok(stored.numbers()),
            None => Ok(rounded(self.all()?, self.weight.shape[1], Rounding::Ternary)),
        }
    }
}

impl<W: Weights> Part for Stored<'_, W> {
    type Error = W::Error;

    fn rows(&self) -> usize {
        self.weight.shape[0]
    }

    fn numbers(&self, rows: Range<usize>) -> Result<Cow<'_, [f32]>, W::Error> {
        let numbers = self.from.rows(self.weight, rows)?;
        Ok(Cow::Owned(match self.to {
            None => numbers,
            Some(to) => rounded(numbers, self.weight.shape[1], to),
        }))
    }

    fn two_bits(&self) -> Result<Option<TwoBits>, W::Error> {
        self.from.two_bits(self.weight)
    }
}
