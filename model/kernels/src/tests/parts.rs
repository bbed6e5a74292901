//! What a matrix is made of: the bits are the same however its parts are stored, and no more is asked for at once than there need be.
use super::{B, floats, numbers, tensor};
use crate::cpu::Cpu;
use crate::decode::{Decode, DeviceError, DeviceResult, Kept, Step};
use crate::ops::{Ops, Rounding};
use crate::parts::{InMemory, PORTION, Part, Parts, TwoBits};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

/// Three values as they are stored, or numbers.
#[derive(Clone)]
enum Stored {
    InTwoBits { rows: usize, two_bits: TwoBits },
    Numbers { width: usize, numbers: Vec<f32> },
}

impl Part for Stored {
    type Error = DeviceError;

    fn rows(&self) -> usize {
        match self {
            Self::InTwoBits { rows, .. } => *rows,
            Self::Numbers { width, numbers } => numbers.len() / width,
        }
    }

    fn numbers(&self, rows: Range<usize>) -> DeviceResult<Cow<'_, [f32]>> {
        match self {
            Self::InTwoBits { .. } => panic!("three values are asked for in f32"),
            Self::Numbers { width, numbers } => {
                Ok(Cow::Borrowed(&numbers[rows.start * width..rows.end * width]))
            }
        }
    }

    fn two_bits(&self) -> DeviceResult<Option<TwoBits>> {
        Ok(match self {
            Self::InTwoBits { two_bits, .. } => Some(two_bits.clone()),
            Self::Numbers { .. } => None,
        })
    }
}

/// Numbers as they are stored where they are three values.
fn in_two_bits(numbers: &[f32], width: usize) -> Stored {
    let rows = numbers.len() / width;
    let wide: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
    let acts = floats(B::rounded(tensor(&wide, [rows, width]), Rounding::Ternary));
    let size = acts.iter().fold(0.0_f64, |most, x| most.max(x.abs())) as f32;
    let code = |row: usize, column: usize| {
        1 + (acts[row * width + column] > 0.0) as u8 - (acts[row * width + column] < 0.0) as u8
    };
    let quarter = rows / 4;
    let byte = |at: usize| (0..4).map(|k| code(k * quarter + at / width, at % width) << (2 * k)).sum();
    Stored::InTwoBits { rows, two_bits: TwoBits { codes: (0..quarter * width).map(byte).collect(), size } }
}

/// The rows of a matrix and what it gives, in bits.
fn bits(parts: &[Stored], width: usize, apart: bool) -> Vec<u64> {
    let mut cpu = Cpu::new(Kept::Int8);
    let matrix = cpu.matrix(&Parts { apart, ternary: true, ..Parts::of(parts, width) }).unwrap();
    let wide = if apart { parts.len() * width } else { width };
    let mut all = floats(cpu.times(&tensor(&numbers(3 * wide, 9), [3, wide]), &matrix).unwrap());
    if !apart {
        let rows: usize = parts.iter().map(Part::rows).sum();
        let ids: Vec<u32> = (0..rows as u32).collect();
        all.extend(floats(cpu.looked_up(&Step { feeds: &[], ids: &ids, wanted: &[] }, &matrix).unwrap()));
    }
    all.into_iter().map(f64::to_bits).collect()
}

fn narrow(len: usize, seed: u64) -> Vec<f32> {
    numbers(len, seed).into_iter().map(|x| x as f32).collect()
}

#[test]
fn three_values_that_are_stored_are_those_that_numbers_are_rounded_to() {
    // Widths that end within a word; quarters and parts that end within a panel.
    for ([first, second], width) in
        [([4, 8], 5), ([40, 12], 33), ([132, 36], 100), ([64, 128], 48), ([4, 4], 1)]
    {
        let all = [narrow(first * width, 1), narrow(second * width, 2)];
        let whole = all.clone().map(|numbers| Stored::Numbers { width, numbers });
        let stored = all.each_ref().map(|numbers| in_two_bits(numbers, width));
        let [one, other] =
            [[&whole[0], &stored[1]], [&stored[0], &whole[1]]].map(|both| both.map(Stored::clone));
        for apart in [false, true] {
            let right = bits(&whole, width, apart);
            for parts in [&stored, &one, &other] {
                assert!(bits(parts, width, apart) == right, "{first} {second} {width} {apart}");
            }
        }
    }
}

#[test]
fn a_device_that_keeps_numbers_has_them_from_two_bits() {
    let (rows, width) = (12, 21);
    let numbers = narrow(rows * width, 4);
    let Stored::InTwoBits { two_bits, .. } = in_two_bits(&numbers, width) else { unreachable!() };
    let wide: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
    let right = floats(B::rounded(tensor(&wide, [rows, width]), Rounding::Ternary));
    let got = two_bits.numbers();
    assert!(got.iter().map(|x| f64::from(*x)).eq(right));
}

#[test]
fn no_code_and_no_size_is_for_nothing() {
    let (rows, width) = (12, 21);
    let stored = in_two_bits(&narrow(rows * width, 3), width);
    let right = bits(std::slice::from_ref(&stored), width, false);
    let Stored::InTwoBits { two_bits, .. } = &stored else { unreachable!() };
    let differs = |change: &dyn Fn(&mut TwoBits)| {
        let mut two_bits = two_bits.clone();
        change(&mut two_bits);
        bits(&[Stored::InTwoBits { rows, two_bits }], width, false) != right
    };
    assert!(differs(&|two_bits| two_bits.size *= 1.0 + f32::EPSILON));
    for at in 0..two_bits.codes.len() {
        for place in [0, 2, 4, 6] {
            let other = |code: u8| (code + 1) % 3;
            let code = two_bits.codes[at] >> place & 3;
            assert!(differs(&|two_bits| two_bits.codes[at] ^= (code ^ other(code)) << place), "{at} {place}");
        }
    }
}

/// Numbers that remember which rows were asked for.
struct Asked {
    rows: usize,
    width: usize,
    asked: RefCell<Vec<Range<usize>>>,
}

impl Part for Asked {
    type Error = DeviceError;

    fn rows(&self) -> usize {
        self.rows
    }

    fn numbers(&self, rows: Range<usize>) -> DeviceResult<Cow<'_, [f32]>> {
        self.asked.borrow_mut().push(rows.clone());
        Ok(Cow::Owned(vec![1.0; rows.len() * self.width]))
    }
}

#[test]
fn no_more_is_asked_for_than_a_portion() {
    for [rows, width] in [[5000, 700], [3, PORTION + 5], [1, 1]] {
        for kept in [Kept::F32, Kept::Bf16, Kept::Int8] {
            let part = Asked { rows, width, asked: RefCell::default() };
            Cpu::new(kept).matrix(&Parts::of(&[&part], width)).unwrap();
            let asked = part.asked.into_inner();
            assert!(asked.iter().all(|rows| rows.len() == 1 || rows.len() * width <= PORTION), "{asked:?}");
            // Each row once, in order.
            assert!(asked.iter().cloned().flatten().eq(0..rows), "{asked:?}");
        }
    }
}

#[test]
fn parts_that_are_not_as_large_as_they_say_are_an_error() {
    struct Wrong(usize, Option<usize>);
    impl Part for Wrong {
        type Error = DeviceError;
        fn rows(&self) -> usize {
            self.0
        }
        fn numbers(&self, rows: Range<usize>) -> DeviceResult<Cow<'_, [f32]>> {
            Ok(Cow::Owned(vec![0.0; rows.len() * 3 + 1]))
        }
        fn two_bits(&self) -> DeviceResult<Option<TwoBits>> {
            Ok(self.1.map(|bytes| TwoBits { codes: vec![0; bytes], size: 1.0 }))
        }
    }
    for (ternary, part) in [
        (false, Wrong(8, None)),
        (true, Wrong(8, None)),
        (true, Wrong(8, Some(5))),
        (true, Wrong(8, Some(7))),
        (true, Wrong(8, Some(0))),
        (true, Wrong(6, Some(6))),
    ] {
        let parts = [part];
        let made = Cpu::new(Kept::F32).matrix(&Parts { ternary, ..Parts::of(&parts, 3) });
        assert!(made.is_err_and(|error| error.message.contains("rows of 3")));
    }
    let parts = [InMemory::new(&[], 0)];
    assert!(Cpu::new(Kept::F32).matrix(&Parts::of(&parts, 0)).is_ok());
}
