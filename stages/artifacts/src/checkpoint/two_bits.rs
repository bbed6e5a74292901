//! Matrices of three values in two bits each, as transformers' BitNet has them: a byte holds numbers of one column, from rows that are a
//! quarter of all apart, and a tensor beside it the size that all of them have.

/// Numbers in a byte.
pub(super) const FOUR: usize = 4;

/// The bytes of a matrix `[rows, columns]` whose numbers are zero or of one size, and that size. `None` where rows are no multiple of four,
/// or a number is of another size.
pub fn two_bits(numbers: &[f32], columns: usize) -> Option<(Vec<u8>, f32)> {
    let size = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let rows = numbers.len() / columns.max(1);
    let other = |x: &f32| !(*x == 0.0 || x.abs() == size);
    if !rows.is_multiple_of(FOUR) || !size.is_finite() || numbers.iter().any(other) {
        return None;
    }
    let mut bytes = vec![0_u8; numbers.len() / FOUR];
    let quarters = numbers.chunks(bytes.len().max(1)).enumerate();
    for (at, quarter) in quarters {
        let code = |x: f32| 1 + u8::from(x > 0.0) - u8::from(x < 0.0);
        bytes.iter_mut().zip(quarter).for_each(|(byte, x)| *byte |= code(*x) << (2 * at));
    }
    Some((bytes, size))
}

/// Whether all bytes stand for some of three values, and the size is one.
pub(super) fn check(bytes: &[u8], size: f32) -> Result<(), Wrong> {
    // Both bits of a code are set.
    if bytes.iter().fold(0, |all, byte| all | byte & byte >> 1) & 0b01_01_01_01 != 0 {
        return Err(Wrong::Code);
    }
    if size.is_finite() && size >= 0.0 { Ok(()) } else { Err(Wrong::Size(size)) }
}

/// Numbers that come to what the bytes say when they are rounded: their mean size is `size`, so those that are not zero are larger, the
/// more of the others there are.
pub(super) fn before_rounding(bytes: &[u8], size: f32) -> Vec<f32> {
    let code = |at: usize| move |byte: &u8| byte >> (2 * at) & 3;
    let codes = || (0..FOUR).flat_map(|at| bytes.iter().map(code(at)));
    let counts = codes().filter(|code| *code != 1).count();
    let larger = (f64::from(size) * (bytes.len() * FOUR) as f64 / counts.max(1) as f64) as f32;
    codes().map(|code| (f32::from(code) - 1.0) * larger).collect()
}

/// Why bytes and a size are no three values.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Wrong {
    /// Two bits are both set.
    #[error("it holds two bits that stand for none of three values")]
    Code,
    /// What the numbers would be multiplied by.
    #[error("the size of its numbers is {0}")]
    Size(f32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_rows_that_are_a_quarter_apart() {
        let (up, down, zero) = (0.5, -0.5, 0.0);
        // Eight rows of two: a byte has rows 0, 2, 4, 6 or 1, 3, 5, 7 of a column, from its lowest bits on.
        let numbers =
            [up, zero, down, zero, up, down, zero, zero, zero, zero, up, zero, down, zero, down, up];
        let (bytes, size) = two_bits(&numbers, 2).unwrap();
        assert_eq!(size, 0.5);
        assert_eq!(bytes, [0b00_01_10_10, 0b01_01_00_01, 0b00_10_01_00, 0b10_01_01_01]);
        // Half of them are zero: rounding finds the mean size.
        let back = before_rounding(&bytes, size);
        let mean = back.iter().map(|x| x.abs()).sum::<f32>() / 16.0;
        assert!((mean - 0.5).abs() < 1e-6, "{mean}");
        for (back, number) in back.iter().zip(numbers) {
            assert_eq!(if back.abs() > 0.5 * mean { back.signum() * 0.5 } else { 0.0 }, number);
        }
    }

    #[test]
    fn what_is_not_three_values_is_none() {
        assert!(two_bits(&[1.0, 0.0, -1.0], 1).is_none(), "three rows");
        assert!(two_bits(&[1.0, 0.5, -1.0, 0.0], 1).is_none(), "two sizes");
        assert!(two_bits(&[f32::NAN, 0.0, 0.0, 0.0], 1).is_none());
        assert_eq!(two_bits(&[0.0; 4], 1), Some((vec![0b01_01_01_01], 0.0)));
        assert_eq!(before_rounding(&[0b01_01_01_01], 0.0), [0.0; 4]);
        for bytes in [[0b11_01_01_01, 0b00_01_10_01], [0b01_10_01_00, 0b01_01_01_11]] {
            assert_eq!(check(&bytes, 1.0), Err(Wrong::Code));
        }
        assert_eq!(check(&[0b10_10_01_00, 0b01_00_10_10], 1.0), Ok(()));
        assert!([f32::NAN, f32::INFINITY, -1.0].into_iter().all(|size| check(&[0], size).is_err()));
    }
}
