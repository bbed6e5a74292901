//! Sizes, counts and times as people read and write them: `8GiB`, `2B`, `1.5h`. A key sees the number, not the spelling.
use crate::fields::mark;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt;

/// A text that is no size, count or time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

const BYTE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const COUNT_UNITS: &[(&str, u64)] = &[
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("B", 1_000_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];
/// In nanoseconds.
const TIME_UNITS: &[(&str, u64)] = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Reads `1.5k` exactly: the digits as an integer, scaled. No floating point, so no rounding.
fn parse(text: &str, units: &[(&str, u64)], bare: Option<u64>, what: &str) -> Result<u64, UnitError> {
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let trimmed = text.trim();
    let split =
        trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let digits = digits.replace('_', "");
    let unit = unit.trim();
    let scale = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() => match bare {
            Some(scale) => scale,
            None => return Err(UnitError(format!("`{text}` lacks a unit for {what}: one of {}", names()))),
        },
        None => return Err(UnitError(format!("`{text}` is not {what}: the units are {}", names()))),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let valid = !(whole.is_empty() && fraction.is_empty()) && fraction.bytes().all(|b| b.is_ascii_digit());
    if !valid || fraction.len() > 18 {
        return Err(UnitError(format!("`{text}` is not {what}")));
    }
    let too_large = || UnitError(format!("`{text}` is too large for {what}"));
    let mantissa: u128 = format!("0{whole}{fraction}").parse().map_err(|_| too_large())?;
    let scaled = mantissa.checked_mul(u128::from(scale)).ok_or_else(too_large)?;
    let divisor = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    if scaled % divisor != 0 {
        return Err(UnitError(format!("`{text}` is not a whole number")));
    }
    u64::try_from(scaled / divisor).map_err(|_| too_large())
}

/// Writes a number in the largest unit in which it has no more than so many decimals, so that the same number is read from it.
/// Of two names for a unit the longer is written, else the first.
fn write(f: &mut fmt::Formatter<'_>, number: u128, units: &[(&str, u64)], decimals: usize) -> fmt::Result {
    let parts = (0..decimals).fold(1, |parts, _| parts * 10);
    let suits = |unit: u128| number >= unit && (number * parts).is_multiple_of(unit);
    let suiting = units.iter().rev().filter(|(_, unit)| suits(u128::from(*unit)));
    let Some((name, unit)) = suiting.max_by_key(|(name, unit)| (*unit, name.len())) else {
        return write!(f, "{number}");
    };
    let all = number * parts / u128::from(*unit);
    let text = format!("{}.{:0decimals$}", all / parts, all % parts);
    write!(f, "{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $mark:expr, $units:expr, $decimals:literal, $what:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Reads a number or a number with a unit.
            pub fn parse(text: &str) -> Result<Self, UnitError> {
                parse(text, $units, Some(1), $what).map(Self)
            }

            /// Reads a JSON number or text.
            pub fn from_value(value: &Value) -> Result<Self, UnitError> {
                match value {
                    Value::String(text) => Self::parse(text),
                    Value::Number(number) => Self::parse(&number.to_string()),
                    _ => Err(UnitError(format!("expected {}, such as `{}`", $what, $example))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, self.0.into(), $units, $decimals)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::from_value(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let value = json!({ "type": ["integer", "string"], "examples": [$example], mark::KEYWORD: $mark });
                Schema::try_from(value).unwrap_or_default()
            }
        }
    };
}

unit!(
    /// A size in bytes: `8GiB`, `500MB`, or a plain number.
    Bytes, mark::BYTES, BYTE_UNITS, 0, "a size", "8GiB"
);
unit!(
    /// A count: `2B`, `500M`, `10k`, or a plain number.
    Count, mark::COUNT, COUNT_UNITS, 2, "a count", "2B"
);

/// A time: `90s`, `1.5h`, `3d`. A plain number is seconds. Held in nanoseconds, so that a key sees no rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

impl Duration {
    /// Reads a number of seconds or a number with a unit.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        parse(text, TIME_UNITS, Some(1_000_000_000), "a time")
            .map(|nanoseconds| Self(std::time::Duration::from_nanos(nanoseconds)))
    }

    /// Reads a JSON number or text.
    pub fn from_value(value: &Value) -> Result<Self, UnitError> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(UnitError("expected a time, such as `1.5h`".into())),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        if nanoseconds.is_multiple_of(1_000_000) {
            return write(f, nanoseconds, TIME_UNITS, 0);
        }
        write!(f, "{}.{:09}s", self.0.as_secs(), self.0.subsec_nanos())
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanoseconds = self.0.as_nanos();
        if nanoseconds.is_multiple_of(1_000_000_000) {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_str(&format!("{}.{:09}s", self.0.as_secs(), self.0.subsec_nanos()))
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value =
            json!({ "type": ["number", "string"], "examples": ["1.5h"], mark::KEYWORD: mark::DURATION });
        Schema::try_from(value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_whatever_the_spelling() {
        assert_eq!(Bytes::parse("1GiB"), Bytes::parse("1024MiB"));
        assert_eq!(Bytes::parse("1.5kB"), Ok(Bytes(1500)));
        assert_eq!(Count::parse("2B"), Ok(Count(2_000_000_000)));
        assert_eq!(Count::parse("0.5M"), Count::parse("500k"));
        assert_eq!(Count::parse("1_000"), Ok(Count(1000)));
        assert_eq!(Duration::parse("1.5h"), Duration::parse("90min"));
        assert_eq!(Duration::parse("7"), Duration::parse("7000ms"));
    }

    #[test]
    fn what_is_written_is_read_as_the_same_number() {
        let counts =
            [1, 999, 1000, 2500, 16_384, 1_200_000, 26_000_000, 2_500_000_000, 2_500_000_001].map(Count);
        let counts = counts.map(|count| count.to_string());
        assert_eq!(counts, ["1", "999", "1k", "2.5k", "16384", "1.2M", "26M", "2.5B", "2500000001"]);
        let sizes = [0, 7, 1000, 1536, 80 << 30, 3 << 29, 8_000_000_000].map(|size| Bytes(size).to_string());
        assert_eq!(sizes, ["0", "7B", "1kB", "1536B", "80GiB", "1536MiB", "8GB"]);
        let times = [0, 1, 1500, 90_000, 5_400_000, 28_800_000, 259_200_000];
        let times = times.map(|time| Duration(std::time::Duration::from_millis(time)).to_string());
        assert_eq!(times, ["0", "1ms", "1500ms", "90s", "90min", "8h", "3d"]);
        for number in (0..64).flat_map(|power| [1_u64 << power, (1 << power) / 3 * 5, u64::MAX >> power]) {
            assert_eq!(Count::parse(&Count(number).to_string()), Ok(Count(number)));
            assert_eq!(Bytes::parse(&Bytes(number).to_string()), Ok(Bytes(number)));
            let time = Duration(std::time::Duration::from_nanos(number));
            assert_eq!(Duration::parse(&time.to_string()), Ok(time));
        }
    }

    #[test]
    fn what_is_no_number_says_so() {
        for bad in ["", ".", "k", "1.2.3", "-1", "1x", "0.0001", "99999999999999999999", "1e3", "1 2k", "１k"]
        {
            assert!(Count::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Bytes::parse("8GiG").unwrap_err().to_string(),
            "`8GiG` is not a size: the units are B, kB, KB, MB, GB, TB, KiB, MiB, GiB, TiB"
        );
        assert_eq!(Count::parse("1.5").unwrap_err().to_string(), "`1.5` is not a whole number");
    }
}
