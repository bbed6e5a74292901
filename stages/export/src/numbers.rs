//! Numbers of weights, as files hold them.
use half::{bf16, f16};
use muse_artifacts::checkpoint::Dtype;

/// Why numbers cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// One is no number, or has no end.
    NotFinite,
    /// One is beyond what 16 bits with a wide fraction hold.
    TooLarge,
}

impl Unfit {
    /// What to tell of a weight that has such numbers, and what to do.
    pub(crate) fn said(&self, name: &str) -> (String, &'static str) {
        match self {
            Self::NotFinite => (
                format!("`{name}` holds what is no number"),
                "the training came to nothing: take an earlier checkpoint, or `weights: best`",
            ),
            Self::TooLarge => (
                format!("`{name}` holds numbers above 65,504, the largest of `f16`"),
                "`dtype: bf16` or `f32` has room for them",
            ),
        }
    }
}

/// The bytes of numbers in a type of floats.
pub(crate) fn floats(numbers: &[f32], dtype: Dtype) -> Result<Vec<u8>, Unfit> {
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(Unfit::NotFinite);
    }
    Ok(match dtype {
        Dtype::F16 => {
            let all: Vec<f16> = numbers.iter().map(|number| f16::from_f32(*number)).collect();
            if all.iter().any(|number| number.is_infinite()) {
                return Err(Unfit::TooLarge);
            }
            all.iter().flat_map(|number| number.to_le_bytes()).collect()
        }
        Dtype::BF16 => numbers.iter().flat_map(|number| bf16::from_f32(*number).to_le_bytes()).collect(),
        _ => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_to_the_nearest_even() {
        let halfway = f32::from_bits(0x3f80_8000);
        assert_eq!(floats(&[1.0, halfway, -2.5], Dtype::BF16).unwrap(), [0x80, 0x3f, 0x80, 0x3f, 0x20, 0xc0]);
        assert_eq!(floats(&[1.0, 1.0 + 2_f32.powi(-11)], Dtype::F16).unwrap(), [0, 0x3c, 0, 0x3c]);
        assert_eq!(floats(&[0.1], Dtype::F32).unwrap(), 0.1_f32.to_le_bytes());
    }

    #[test]
    fn what_a_type_cannot_hold_is_no_number_of_it() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            assert_eq!(floats(&[0.0, f32::NAN], dtype), Err(Unfit::NotFinite));
            assert_eq!(floats(&[f32::INFINITY], dtype), Err(Unfit::NotFinite));
        }
        assert_eq!(floats(&[70_000.0], Dtype::F16), Err(Unfit::TooLarge));
        assert!(floats(&[65_504.0], Dtype::F16).is_ok() && floats(&[70_000.0], Dtype::BF16).is_ok());
    }
}
