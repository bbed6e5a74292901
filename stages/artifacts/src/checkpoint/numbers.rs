//! Tensors as numbers: all of one or some of its rows, in f32 whatever they are stored as; and three values as they are stored.
use super::tensors::{Kind, Place};
use super::{Tensor, Tensors, eight_bits, scales, two_bits};
use crate::{ArtifactError, Result};
use half::{bf16, f16};
use safetensors::Dtype;
use std::ops::Range;

impl Tensors {
    /// The numbers of a tensor, whatever kind of floats it holds. Those of a matrix in few bits come as what is rounded to them.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let (tensor, _) = self.must_find(name)?;
        self.read_rows(name, 0..rows_of(tensor))
    }

    /// The same of some rows, which stand at the first side of its shape. Of a tensor that is large no more is in memory than these, and
    /// the bytes that they are made of.
    pub fn read_rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let (tensor, place) = self.must_find(name)?;
        let has = rows_of(tensor);
        if rows.start > rows.end || rows.end > has {
            let said =
                format!("tensor `{name}` has {has} rows, and {} to {} were asked for", rows.start, rows.end);
            return Err(ArtifactError::format(self.path(place), said));
        }
        let columns = tensor.shape.iter().skip(1).product::<usize>();
        match tensor.dtype {
            Dtype::F32 => Ok(numbers(&self.bytes_of_rows(place, has, rows)?, f32::from_le_bytes)),
            Dtype::F16 => {
                Ok(numbers(&self.bytes_of_rows(place, has, rows)?, |two| f16::from_le_bytes(two).to_f32()))
            }
            Dtype::BF16 => {
                Ok(numbers(&self.bytes_of_rows(place, has, rows)?, |two| bf16::from_le_bytes(two).to_f32()))
            }
            Dtype::U8 if place.kind == Kind::TwoBits => {
                // How large they were depends on all of them.
                let (bytes, size) = self.codes(name, place)?;
                let mut all = two_bits::before_rounding(&bytes, size);
                all.truncate(rows.end * columns);
                all.drain(..rows.start * columns);
                Ok(all)
            }
            Dtype::I8 if place.kind == Kind::EightBits => {
                let beside = self.read_rows(&scales::scale_of(name), rows.clone())?;
                Ok(eight_bits::numbers(&self.bytes_of_rows(place, has, rows)?, &beside, columns))
            }
            other => {
                let said = format!("tensor `{name}` is of {other}, and weights are F32, F16 or BF16");
                Err(ArtifactError::format(self.path(place), said))
            }
        }
    }

    /// A matrix that is stored as three values: the bytes that [`two_bits`](super::two_bits()) gave, all of which stand for some, and the size.
    /// `None` where it is stored otherwise.
    pub fn read_two_bits(&self, name: &str) -> Result<Option<(Vec<u8>, f32)>> {
        let (_, place) = self.must_find(name)?;
        if place.kind == Kind::TwoBits { self.codes(name, place).map(Some) } else { Ok(None) }
    }

    fn codes(&self, name: &str, place: &Place) -> Result<(Vec<u8>, f32)> {
        let bytes = self.read(name)?;
        let size = self.read_f32(&scales::scale_of(name))?.first().copied().unwrap_or(0.0);
        match two_bits::check(&bytes, size) {
            Ok(()) => Ok((bytes, size)),
            Err(wrong) => Err(ArtifactError::format(self.path(place), format!("tensor `{name}`: {wrong}"))
                .help(super::DAMAGED)),
        }
    }

    /// The bytes of some of the rows that a tensor has.
    fn bytes_of_rows(&self, place: &Place, has: usize, rows: Range<usize>) -> Result<Vec<u8>> {
        // No more than the file has, which the head was held against.
        let of_row = (place.bytes.end - place.bytes.start) / has.max(1) as u64;
        let mut bytes = vec![0; usize::try_from(of_row * rows.len() as u64).unwrap_or_default()];
        self.fill(place, of_row * rows.start as u64, &mut bytes)?;
        Ok(bytes)
    }
}

/// Rows of a tensor; a single number is one.
fn rows_of(tensor: &Tensor) -> usize {
    tensor.shape.first().copied().unwrap_or(1)
}

fn numbers<const WIDTH: usize>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<WIDTH>().0.iter().map(|bytes| number(*bytes)).collect()
}
