//! Matrices in eight bits a number: codes, and in a tensor beside them what a code counts, in f16 for every 32 of a row (GGUF's Q8_0).
use half::f16;

/// Numbers of a row that share a scale.
const BLOCK: usize = 32;
/// The largest code.
const MOST: f32 = 127.0;

/// How many scales a row of so many numbers has.
pub fn scales_of(columns: usize) -> usize {
    columns.div_ceil(BLOCK)
}

/// The codes of a matrix `[.., columns]` that was rounded to 8 bits, and the bytes of its scales. `None` where it was not.
pub fn eight_bits(numbers: &[f32], columns: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut codes, mut scales) = (Vec::with_capacity(numbers.len()), Vec::new());
    for row in numbers.chunks(columns.max(1)) {
        for block in row.chunks(BLOCK) {
            let scale = block.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / MOST;
            let narrow = f16::from_f32(scale);
            if narrow.to_f32() != scale || !scale.is_finite() {
                return None;
            }
            scales.extend(narrow.to_le_bytes());
            for x in block {
                let code = if scale > 0.0 { x / scale } else { 0.0 };
                if code.fract() != 0.0 || code * scale != *x {
                    return None;
                }
                codes.push((code as i8).cast_unsigned());
            }
        }
    }
    Some((codes, scales))
}

/// The numbers again, which come to themselves when they are rounded once more.
pub(super) fn numbers(codes: &[u8], scales: &[f32], columns: usize) -> Vec<f32> {
    let rows = codes.chunks(columns.max(1)).zip(scales.chunks(scales_of(columns).max(1)));
    let number = |code: &u8, scale: f32| f32::from(code.cast_signed()) * scale;
    let of_row = |(row, scales): (&[u8], &[f32])| -> Vec<f32> {
        let blocks = row.chunks(BLOCK).zip(scales.to_vec());
        blocks.flat_map(|(block, scale)| block.iter().map(move |code| number(code, scale))).collect()
    };
    rows.flat_map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_scales_give_the_numbers_again() {
        // Rows of 40: a block of 32 and one of eight. One of all blocks is zero.
        let scales = [0.5_f32, 2.0, 0.0, 0.0078125];
        let numbers_of = |scales: &[f32]| -> Vec<f32> {
            let code = |at: usize| if at.is_multiple_of(32) { -127.0 } else { (at % 40) as f32 };
            (0..80).map(|at| code(at % 40) * scales[at / 40 * 2 + at % 40 / 32]).collect()
        };
        let rounded = numbers_of(&scales);
        let (codes, bytes) = eight_bits(&rounded, 40).unwrap();
        assert_eq!((codes.len(), bytes.len(), scales_of(40)), (80, 8, 2));
        assert_eq!((codes[0], codes[1], codes[33]), (0x81, 1, 33));
        let beside: Vec<f32> =
            bytes.as_chunks().0.iter().map(|two| f16::from_le_bytes(*two).to_f32()).collect();
        assert_eq!(beside, scales);
        assert_eq!(numbers(&codes, &beside, 40), rounded);
    }

    #[test]
    fn what_is_not_rounded_is_none() {
        let between: Vec<f32> = (0..32).map(|at| at as f32 + 0.3).collect();
        assert!(eight_bits(&between, 32).is_none());
        assert!(eight_bits(&[f32::NAN; 4], 4).is_none());
        assert!(eight_bits(&[1e30, 0.0], 2).is_none(), "no f16 is that large");
    }
}
