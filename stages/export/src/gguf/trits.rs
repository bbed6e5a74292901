//! Numbers of three values as ggml has them: 256 neighbours share a scale of 16 bits, which stands behind them. A value is -1, 0 or 1 times
//! the scale, and its code is more by one.
use crate::numbers::Unfit;
use half::f16;

/// Numbers that share a scale.
pub(crate) const BLOCK: usize = 256;
/// Bytes of a block: four numbers each, or five, and the scale.
pub(crate) const TQ2_BYTES: usize = BLOCK / 4 + 2;
pub(crate) const TQ1_BYTES: usize = 48 + 4 + 2;

/// Two bits a number. A byte holds numbers that are 32 apart.
pub(crate) fn tq2_0(numbers: &[f32]) -> Result<Vec<u8>, Unfit> {
    blocks(numbers, |codes, bytes| {
        for part in codes.as_chunks::<128>().0 {
            let byte = |at: usize| (0..4).map(|which| part[at + 32 * which] << (2 * which)).sum::<u8>();
            bytes.extend((0..32).map(byte));
        }
    })
}

/// Five numbers a byte, as digits of a number in base three: 160 that are 32 apart, 80 that are 16 apart, and the last 16, four a byte and
/// four apart.
pub(crate) fn tq1_0(numbers: &[f32]) -> Result<Vec<u8>, Unfit> {
    blocks(numbers, |codes, bytes| {
        let mut put = |codes: &[u8], apart: usize| {
            let digits = |at: usize| {
                let five = (0..5).map(|which| codes.get(at + apart * which).copied().unwrap_or(0));
                five.fold(0_u16, |so_far, code| 3 * so_far + u16::from(code))
            };
            // A byte is the fraction of 256 that the five digits are of 243, rounded up: each digit then is what a product with three
            // carries over.
            bytes.extend((0..apart).map(|at| (digits(at) * 256).div_ceil(243) as u8));
        };
        put(&codes[..160], 32);
        put(&codes[160..240], 16);
        put(&codes[240..], 4);
    })
}

fn blocks(numbers: &[f32], put: impl Fn(&[u8; BLOCK], &mut Vec<u8>)) -> Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::with_capacity(numbers.len() / BLOCK * TQ2_BYTES);
    for block in numbers.as_chunks::<BLOCK>().0 {
        if block.iter().any(|number| !number.is_finite()) {
            return Err(Unfit::NotFinite);
        }
        let scale = block.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        let short = f16::from_f32(scale);
        if short.is_infinite() {
            return Err(Unfit::TooLarge);
        }
        let code = |number: f32| match number {
            _ if number > 0.5 * scale => 2,
            _ if number < -0.5 * scale => 0,
            _ => 1,
        };
        put(&block.map(code), &mut bytes);
        bytes.extend(short.to_le_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers of blocks, by the format's formula.
    pub(crate) fn from_tq2_0(bytes: &[u8]) -> Vec<f32> {
        let block = |block: &[u8]| {
            let scale = f16::from_le_bytes([block[64], block[65]]).to_f32();
            let number = |at: usize| {
                let (part, within) = (at / 128, at % 128);
                let code = block[part * 32 + within % 32] >> (2 * (within / 32)) & 3;
                (f32::from(code) - 1.0) * scale
            };
            (0..BLOCK).map(number).collect::<Vec<_>>()
        };
        bytes.chunks_exact(TQ2_BYTES).flat_map(block).collect()
    }

    pub(crate) fn from_tq1_0(bytes: &[u8]) -> Vec<f32> {
        let block = |block: &[u8]| {
            let scale = f16::from_le_bytes([block[52], block[53]]).to_f32();
            let digit = |byte: u8, which: u32| {
                let turned = u16::from(byte.wrapping_mul(3_u8.pow(which)));
                (f32::from((turned * 3) >> 8) - 1.0) * scale
            };
            let first = (0..160).map(|at| digit(block[at % 32], at as u32 / 32));
            let second = (0..80).map(|at| digit(block[32 + at % 16], at as u32 / 16));
            let last = (0..16).map(|at| digit(block[48 + at % 4], at as u32 / 4));
            first.chain(second).chain(last).collect::<Vec<_>>()
        };
        bytes.chunks_exact(TQ1_BYTES).flat_map(block).collect()
    }

    #[test]
    fn a_block_has_the_bytes_of_the_formula() {
        let mut numbers = [0.0_f32; BLOCK];
        // In TQ2_0 the first byte has numbers 0, 32, 64 and 96, as bits from the lowest on: 2, 0, 1, 2.
        (numbers[0], numbers[32], numbers[96]) = (0.5, -0.5, 0.5);
        let bytes = tq2_0(&numbers).unwrap();
        assert_eq!(
            (bytes.len(), bytes[0], bytes[1], bytes[63]),
            (66, 0b10_01_00_10, 0b01_01_01_01, 0b01_01_01_01)
        );
        assert_eq!(bytes[64..], f16::from_f32(0.5).to_le_bytes());
        // In TQ1_0 it has those and number 128, as digits from the highest on: 2, 0, 1, 2, 1 are 178 of 243, and 11111 is 121.
        let bytes = tq1_0(&numbers).unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[1], bytes[47]), (54, 188, 128, 128));
        // The last ones have four digits: 11110 is 120.
        assert_eq!((bytes[48], &bytes[52..]), (127, &f16::from_f32(0.5).to_le_bytes()[..]));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for (number, wrong) in [(f32::NAN, Unfit::NotFinite), (1e30, Unfit::TooLarge)] {
            let mut numbers = [1.0; BLOCK];
            numbers[7] = number;
            assert_eq!(tq2_0(&numbers).as_ref(), Err(&wrong));
            assert_eq!(tq1_0(&numbers), Err(wrong));
        }
    }

    proptest! {
        #[test]
        fn three_values_come_back(codes in prop::collection::vec(-1_i8..=1, 3 * BLOCK), scale in 1e-3_f32..1e3) {
            let scale = f16::from_f32(scale).to_f32();
            let numbers: Vec<f32> = codes.iter().map(|code| f32::from(*code) * scale).collect();
            prop_assert_eq!(&from_tq2_0(&tq2_0(&numbers).unwrap()), &numbers);
            prop_assert_eq!(&from_tq1_0(&tq1_0(&numbers).unwrap()), &numbers);
        }
    }
}
