//! The head of a safetensors file: eight bytes of length, then JSON with the name, type, shape and place of each tensor.
use super::DAMAGED;
use crate::{ArtifactError, Result};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the length.
const LENGTH: u64 = 8;
/// The longest head that readers of the format take.
const LONGEST: u64 = 100_000_000;

/// A tensor without its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, one of its kind in a checkpoint.
    pub name: String,
    /// What its numbers are.
    pub dtype: Dtype,
    /// Rows before columns. None is a single number.
    pub shape: Vec<usize>,
}

impl Tensor {
    /// A tensor of that name, type and shape.
    pub fn new(name: impl Into<String>, dtype: Dtype, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), dtype, shape: shape.into() }
    }

    /// How many numbers it has, where that can be said.
    pub fn numbers(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))
    }

    /// How many bytes it has, where they are whole and can be counted.
    pub fn bytes(&self) -> Option<usize> {
        let bits = self.numbers()?.checked_mul(self.dtype.bitsize())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

/// The head of a file with these tensors, one behind the other. They were measured before.
pub(super) fn encode(path: &Path, tensors: &[Tensor]) -> Result<Vec<u8>> {
    let mut end = 0_usize;
    let infos = tensors.iter().map(|tensor| {
        let start = end;
        end = end.saturating_add(tensor.bytes().unwrap_or(usize::MAX));
        let (dtype, shape) = (tensor.dtype, tensor.shape.clone());
        (tensor.name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    });
    // Readers for PyTorch want to be told that it is for them.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let wrong = |said: String| ArtifactError::format(path, said);
    let metadata = Metadata::new(Some(format), infos.collect()).map_err(|error| wrong(error.to_string()))?;
    let mut head = serde_json::to_vec(&metadata).map_err(|error| wrong(error.to_string()))?;
    head.resize(head.len().next_multiple_of(LENGTH as usize), b' ');
    let length = head.len() as u64;
    if length > LONGEST {
        return Err(wrong(format!("{} tensors are too many for a file", tensors.len())));
    }
    head.splice(..0, length.to_le_bytes());
    Ok(head)
}

/// The tensors of a file in the order in which they stand, and where each does.
pub(super) fn decode(path: &Path, file: &File) -> Result<Vec<(Tensor, Range<u64>)>> {
    let wrong = |said: String| ArtifactError::format(path, said).help(DAMAGED);
    let size = file.metadata().map_err(ArtifactError::io(path))?.len();
    let mut length = [0; LENGTH as usize];
    if size < LENGTH {
        return Err(wrong(format!("no safetensors: it has {size} bytes")));
    }
    file.read_exact_at(&mut length, 0).map_err(ArtifactError::io(path))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST || length > size - LENGTH {
        return Err(wrong(format!("no safetensors: a head of {length} bytes in a file of {size}")));
    }
    let mut head = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut head, LENGTH).map_err(ArtifactError::io(path))?;
    let metadata: Metadata = serde_json::from_slice(&head)
        .map_err(|error| wrong(format!("its head does not say where its tensors are: {error}")))?;
    let (start, held) = (LENGTH + length, metadata.data_len() as u64);
    if held != size - start {
        return Err(wrong(format!("its tensors have {held} bytes and the file has {}", size - start)));
    }
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (first, end) = info.data_offsets;
        let place = start + first as u64..start + end as u64;
        tensors.push((Tensor::new(name, info.dtype, info.shape.as_slice()), place));
    }
    Ok(tensors)
}
