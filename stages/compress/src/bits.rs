//! How numbers are stored: as floats, or in the few bits that they are rounded to.
use muse_artifacts::checkpoint::{Dtype, Tensor, eight_bits, scale_of, scales_of, two_bits};
use muse_model::acting::rounded;
use muse_model::kernels::Rounding;
use muse_model::net::Weight;
use muse_stage::StageError;

/// A weight as it is stored.
pub(crate) struct Stored {
    /// Its tensor, and one beside it where it has scales.
    pub(crate) tensors: Vec<(Tensor, Vec<u8>)>,
    /// The numbers that it acts as.
    pub(crate) acts: Vec<f32>,
}

/// A weight in the bits that its numbers are rounded to, or in floats of a type where they are not. Three values need rows that can be
/// shared out to four, and else stay floats too.
pub(crate) fn stored(
    weight: &Weight,
    numbers: Vec<f32>,
    to: Option<Rounding>,
    dtype: Dtype,
) -> Result<Stored, StageError> {
    let (rows, columns) = (weight.shape[0], weight.shape.last().copied().unwrap_or(1));
    let floats = |dtype| Tensor::new(&weight.name, dtype, weight.shape.clone());
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(StageError::new(format!("`{}` holds what is no number", weight.name)));
    }
    let Some(to) = to else {
        return Ok(Stored { tensors: vec![(floats(dtype), bytes(&numbers, dtype))], acts: numbers });
    };
    let beside = |dtype, shape: &[usize]| Tensor::new(scale_of(&weight.name), dtype, shape);
    let acts = rounded(numbers.clone(), columns, to);
    let tensors = match to {
        Rounding::Ternary => two_bits(&acts, columns).map(|(codes, size)| {
            let codes = (Tensor::new(&weight.name, Dtype::U8, [rows / 4, columns]), codes);
            vec![codes, (beside(Dtype::F32, &[1]), size.to_le_bytes().to_vec())]
        }),
        Rounding::Int8 => eight_bits(&acts, columns).map(|(codes, scales)| {
            let codes = (Tensor::new(&weight.name, Dtype::I8, [rows, columns]), codes);
            vec![codes, (beside(Dtype::F16, &[rows, scales_of(columns)]), scales)]
        }),
    };
    // What no bits can say stays as it was, and is rounded where it is used.
    let tensors = tensors.unwrap_or_else(|| vec![(floats(dtype), bytes(&numbers, dtype))]);
    Ok(Stored { tensors, acts })
}

/// Floats, of which those in 16 bits were so before.
fn bytes(numbers: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::BF16 => numbers.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect(),
        _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}
