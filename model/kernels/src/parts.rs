//! What a matrix that stays is made of: parts that are read while a device lays them down, a portion at a time or in the few bits that
//! they are stored in, so that no matrix is there a second time in f32.
use crate::decode::{DeviceError, DeviceResult};
use std::borrow::Cow;
use std::ops::Range;

/// Numbers that a device asks for at once, where a row has no more.
pub const PORTION: usize = 1 << 20;

/// A part of a matrix, `[rows, width]`, where it is stored.
pub trait Part {
    /// Why it cannot be read, or the device not take it.
    type Error: From<DeviceError>;

    /// How many rows it has.
    fn rows(&self) -> usize;

    /// Some of its rows.
    fn numbers(&self, rows: Range<usize>) -> Result<Cow<'_, [f32]>, Self::Error>;

    /// All of it, where it is stored as three values. Asked for where it acts as these.
    fn two_bits(&self) -> Result<Option<TwoBits>, Self::Error> {
        Ok(None)
    }
}

impl<P: Part> Part for &P {
    type Error = P::Error;

    fn rows(&self) -> usize {
        (*self).rows()
    }

    fn numbers(&self, rows: Range<usize>) -> Result<Cow<'_, [f32]>, Self::Error> {
        (*self).numbers(rows)
    }

    fn two_bits(&self) -> Result<Option<TwoBits>, Self::Error> {
        (*self).two_bits()
    }
}

/// A part that is in memory.
#[derive(Clone, Copy, Debug)]
pub struct InMemory<'a> {
    numbers: &'a [f32],
    width: usize,
}

impl<'a> InMemory<'a> {
    /// Numbers `[.., width]`.
    pub fn new(numbers: &'a [f32], width: usize) -> Self {
        Self { numbers, width }
    }
}

impl Part for InMemory<'_> {
    type Error = DeviceError;

    fn rows(&self) -> usize {
        self.numbers.len() / self.width.max(1)
    }

    fn numbers(&self, rows: Range<usize>) -> DeviceResult<Cow<'_, [f32]>> {
        Ok(Cow::Borrowed(&self.numbers[rows.start * self.width..rows.end * self.width]))
    }
}

/// Three values in two bits each: a byte holds numbers of one column, of four rows that are a quarter of all apart, the first in its
/// lowest bits.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoBits {
    /// 0, 1 and 2 stand for the size below zero, zero, and the size.
    pub codes: Vec<u8>,
    /// The size of all numbers that are not zero.
    pub size: f32,
}

impl TwoBits {
    /// Numbers in a byte.
    pub(crate) const FOUR: usize = 4;

    /// The bytes of a row `[.., width]`, and the bit at which they have it.
    pub(crate) fn row(&self, row: usize, width: usize) -> (&[u8], u32) {
        let quarter = self.codes.len() / width.max(1);
        (&self.codes[row % quarter.max(1) * width..][..width], (2 * (row / quarter.max(1))) as u32)
    }

    /// Its numbers, row by row.
    pub fn numbers(&self) -> Vec<f32> {
        let number = |code: u8| (f32::from(code & 3) - 1.0) * self.size;
        (0..Self::FOUR).flat_map(|at| self.codes.iter().map(move |byte| number(byte >> (2 * at)))).collect()
    }
}

/// What a matrix that stays is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a, P> {
    /// Parts, one below the other.
    pub parts: &'a [P],
    /// How many numbers a part is multiplied by.
    pub width: usize,
    /// Each part is multiplied by numbers of its own, which stand behind those of the part before; else all are by the same.
    pub apart: bool,
    /// Weights act as three values, to which each part is rounded that is not stored as such, and what they are multiplied by is
    /// rounded to 8 bits, row by row.
    pub ternary: bool,
    /// They stay in f32, however the device keeps others.
    pub exact: bool,
}

impl<'a, P: Part> Parts<'a, P> {
    /// Parts that are multiplied by the same numbers, and kept as the device keeps weights.
    pub fn of(parts: &'a [P], width: usize) -> Self {
        Self { parts, width, apart: false, ternary: false, exact: false }
    }

    /// Those that are one matrix: each, or all together.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = Self> {
        let Self { parts, width, apart, ternary, exact } = *self;
        parts.chunks(if apart { 1 } else { parts.len().max(1) }).map(move |parts| Self {
            parts,
            width,
            apart,
            ternary,
            exact,
        })
    }

    /// The rows of all of them.
    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(Part::rows).sum()
    }

    /// All parts in portions of `most` numbers, or a row where one has more, in their order: `take` is told the part, the first row of
    /// the portion, and its numbers.
    pub(crate) fn by_portions(
        &self,
        most: usize,
        mut take: impl FnMut(usize, usize, &[f32]) -> Result<(), P::Error>,
    ) -> Result<(), P::Error> {
        let portion = (most / self.width.max(1)).max(1);
        for (at, part) in self.parts.iter().enumerate() {
            let rows = part.rows();
            for first in (0..rows).step_by(portion) {
                take(at, first, &self.numbers(part, first..rows.min(first + portion))?)?;
            }
        }
        Ok(())
    }

    /// What acts as three values: as it is stored, or the numbers that are rounded to them.
    pub(crate) fn three_values(&self, part: &'a P) -> Result<ThreeValues<'a>, P::Error> {
        let rows = part.rows();
        let Some(two_bits) = part.two_bits()? else {
            return Ok(ThreeValues::Rounded(self.numbers(part, 0..rows)?));
        };
        let numbers = TwoBits::FOUR * two_bits.codes.len();
        // Four rows share bytes, so there is none that is not one of four.
        self.must_be(if rows.is_multiple_of(TwoBits::FOUR) { numbers } else { 0 }, rows)?;
        Ok(ThreeValues::Stored(two_bits))
    }

    fn numbers<'p>(&self, part: &'p P, rows: Range<usize>) -> Result<Cow<'p, [f32]>, P::Error> {
        let count = rows.len();
        let numbers = part.numbers(rows)?;
        self.must_be(numbers.len(), count)?;
        Ok(numbers)
    }

    /// Devices write where numbers belong, so there must be as many as belong there.
    fn must_be(&self, numbers: usize, rows: usize) -> DeviceResult<()> {
        if numbers == rows * self.width {
            return Ok(());
        }
        let message = format!("{numbers} numbers came for {rows} rows of {}", self.width);
        Err(DeviceError { message, help: None })
    }
}

/// A part that acts as three values.
pub(crate) enum ThreeValues<'a> {
    /// As it is stored.
    Stored(TwoBits),
    /// What is to be rounded.
    Rounded(Cow<'a, [f32]>),
}
