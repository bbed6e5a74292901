//! Numbers in 8 and in 4 bits, rounded as ggml's reference does: 32 neighbours share a scale of 16 bits.
use crate::numbers::Unfit;
use half::f16;

/// Numbers that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Bytes of a block: the scale, then a byte a number, or half a byte.
pub(crate) const Q8_BYTES: usize = 2 + BLOCK;
pub(crate) const Q4_BYTES: usize = 2 + BLOCK / 2;

/// 8 bits: whole numbers from -127 to 127, the largest at the end of the range.
pub(crate) fn q8_0(numbers: &[f32]) -> Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::with_capacity(numbers.len() / BLOCK * Q8_BYTES);
    for block in numbers.as_chunks::<BLOCK>().0 {
        let largest = block.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        let inverse = scale(&mut bytes, block, largest / 127.0)?;
        // Half away from zero, as C's `roundf`.
        bytes.extend(block.iter().map(|number| ((number * inverse).round() as i8).cast_unsigned()));
    }
    Ok(bytes)
}

/// 4 bits: whole numbers from 0 to 15 that stand for -8 to 7, the largest at -8. A byte holds one of the first half and the
/// one that stands as far into the second.
pub(crate) fn q4_0(numbers: &[f32]) -> Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::with_capacity(numbers.len() / BLOCK * Q4_BYTES);
    for block in numbers.as_chunks::<BLOCK>().0 {
        // The first of several.
        let further = |most: f32, number: &f32| if number.abs() > most.abs() { *number } else { most };
        let largest = block.iter().fold(0.0, further);
        let inverse = scale(&mut bytes, block, largest / -8.0)?;
        let level = |number: f32| ((number * inverse + 8.5) as i8).min(15).cast_unsigned();
        let (first, second) = block.split_at(BLOCK / 2);
        bytes.extend(first.iter().zip(second).map(|(low, high)| level(*low) | level(*high) << 4));
    }
    Ok(bytes)
}

/// Writes a block's scale, and gives what its numbers are multiplied by.
fn scale(bytes: &mut Vec<u8>, block: &[f32], scale: f32) -> Result<f32, Unfit> {
    if block.iter().any(|number| !number.is_finite()) {
        return Err(Unfit::NotFinite);
    }
    let short = f16::from_f32(scale);
    if short.is_infinite() {
        return Err(Unfit::TooLarge);
    }
    bytes.extend(short.to_le_bytes());
    Ok(if scale == 0.0 { 0.0 } else { 1.0 / scale })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers of blocks, by the format's formula.
    pub(crate) fn from_q8_0(bytes: &[u8]) -> Vec<f32> {
        let block = |block: &[u8]| {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            block[2..].iter().map(|byte| f32::from(byte.cast_signed()) * scale).collect::<Vec<_>>()
        };
        bytes.chunks_exact(Q8_BYTES).flat_map(block).collect()
    }

    pub(crate) fn from_q4_0(bytes: &[u8]) -> Vec<f32> {
        let block = |block: &[u8]| {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            let level = |level: u8| (f32::from(level) - 8.0) * scale;
            let (low, high) =
                (block[2..].iter().map(|byte| byte & 15), block[2..].iter().map(|byte| byte >> 4));
            low.chain(high).map(level).collect::<Vec<_>>()
        };
        bytes.chunks_exact(Q4_BYTES).flat_map(block).collect()
    }

    fn block(of: impl Fn(usize) -> f32) -> Vec<f32> {
        (0..BLOCK).map(of).collect()
    }

    #[test]
    fn a_block_has_the_bytes_of_the_formula() {
        // 127 steps of a half: the scale is exact, and halves round away from zero.
        let numbers = block(|at| [63.5, -63.5, 0.25, -0.25, 0.75, 0.2][at % 6]);
        let bytes = q8_0(&numbers).unwrap();
        assert_eq!(bytes[..2], f16::from_f32(0.5).to_le_bytes());
        assert_eq!(bytes[2..8], [127, 129, 1, 255, 2, 0]);
        // The largest is negative, so the scale is positive, and it stands at 0.
        let numbers = block(|at| if at == 3 { -8.0 } else { at as f32 / 4.0 - 1.0 });
        let bytes = q4_0(&numbers).unwrap();
        assert_eq!(bytes[..2], f16::from_f32(1.0).to_le_bytes());
        // -1 and 3; -0.75 and 3.25; -0.5 and 3.5, whose halves go up; -8 and 3.75.
        assert_eq!(bytes[2..6], [0xb7, 0xb7, 0xc8, 0xc0]);
        // What is larger than the other end of the range stands at it.
        let bytes = q4_0(&block(|at| if at == 0 { -8.0 } else { 7.9 })).unwrap();
        assert_eq!(bytes[2..4], [0xf0, 0xff]);
        assert_eq!(q8_0(&[0.0; BLOCK]).unwrap(), [0; Q8_BYTES]);
        assert_eq!(q4_0(&[0.0; BLOCK]).unwrap()[2..], [0x88; BLOCK / 2]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let wrong = |number: f32| {
            let numbers = block(|at| if at == 7 { number } else { 1.0 });
            (q8_0(&numbers).err(), q4_0(&numbers).err())
        };
        assert_eq!(wrong(f32::NAN), (Some(Unfit::NotFinite), Some(Unfit::NotFinite)));
        assert_eq!(wrong(1e30), (Some(Unfit::TooLarge), Some(Unfit::TooLarge)));
        assert_eq!(wrong(1e5), (None, None));
    }

    proptest! {
        #[test]
        fn numbers_come_back_within_half_a_step(
            numbers in prop::collection::vec(-1.0_f32..1.0, BLOCK * 3), size in prop::sample::select(vec![1e-3_f32, 1.0, 1e3]),
        ) {
            let numbers: Vec<f32> = numbers.iter().map(|number| number * size).collect();
            let (eight, four) = (from_q8_0(&q8_0(&numbers).unwrap()), from_q4_0(&q4_0(&numbers).unwrap()));
            for (at, block) in numbers.chunks(BLOCK).enumerate() {
                let largest = block.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
                // What a scale loses in 16 bits counts as often as a number has steps.
                let lost = |scale: f32| (f16::from_f32(scale).to_f32() - scale).abs() + scale * 1e-5;
                let (fine, coarse) = (largest / 127.0, largest / 8.0);
                for (within, number) in block.iter().enumerate() {
                    let (eight, four) = (eight[at * BLOCK + within], four[at * BLOCK + within]);
                    prop_assert!((number - eight).abs() <= fine * 0.5 + lost(fine) * 127.0);
                    // On one side the range ends a step earlier.
                    let half = if number.abs() > largest * 0.93 { 1.0 } else { 0.5 };
                    prop_assert!((number - four).abs() <= coarse * half + lost(coarse) * 8.0);
                }
            }
        }
    }
}
