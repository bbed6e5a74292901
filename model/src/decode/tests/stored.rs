//! Weights as they are stored: three values in two bits change no bit of what the model says, and nothing large is read at once.
use super::*;
use crate::acting::rounded;
use crate::decode::{PORTION, TwoBits, Weights};
use crate::net::Role;
use muse_kernels::Rounding;
use std::cell::Cell;
use std::ops::Range;

/// Weights whose matrices are stored in two bits each.
struct Packed<'a> {
    all: &'a [(Weight, Vec<f32>)],
    /// The matrix one of whose codes is another.
    wrong: Option<usize>,
    /// The most numbers that were asked for at once.
    most: &'a Cell<usize>,
}

impl Packed<'_> {
    fn find(&self, weight: &Weight) -> (usize, &[f32]) {
        let at = self.all.iter().position(|(one, _)| one == weight).unwrap();
        (at, &self.all[at].1)
    }
}

impl Weights for Packed<'_> {
    type Error = DeviceError;

    fn rows(&self, weight: &Weight, rows: Range<usize>) -> Result<Vec<f32>, DeviceError> {
        assert_ne!(weight.role, Role::Matrix, "three values are asked for in f32");
        let numbers = rows_of(weight, self.find(weight).1, rows);
        self.most.set(self.most.get().max(numbers.len()));
        Ok(numbers)
    }

    fn two_bits(&self, weight: &Weight) -> Result<Option<TwoBits>, DeviceError> {
        let (at, numbers) = self.find(weight);
        let acts = rounded(numbers.to_vec(), weight.shape[1], Rounding::Ternary);
        let size = acts.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let code = |x: f32| 1 + u8::from(x > 0.0) - u8::from(x < 0.0);
        let quarter = acts.len() / 4;
        let byte = |byte: usize| (0..4).map(|k| code(acts[k * quarter + byte]) << (2 * k)).sum();
        let mut codes: Vec<u8> = (0..quarter).map(byte).collect();
        if self.wrong == Some(at) {
            codes[0] ^= if codes[0] & 3 == 1 { 1 } else { codes[0] & 3 ^ 1 };
        }
        Ok(Some(TwoBits { codes, size }))
    }
}

fn weights(model: &Model, net: &Net<Flex>) -> Vec<(Weight, Vec<f32>)> {
    let numbers = net.flat().into_iter().map(|numbers| numbers.to_data().to_vec().unwrap());
    Weight::all(&model.shape(1, CONTEXT)).into_iter().zip(numbers).collect()
}

fn bits(mut decoder: Decoder<Cpu>) -> Vec<u32> {
    let ids = text(20, 3);
    let logits = decoder.run(&[More { slot: 0, ids: &ids, wanted: Wanted::All }]).unwrap();
    logits.into_iter().map(f32::to_bits).collect()
}

#[test]
fn what_is_stored_in_two_bits_is_what_was_trained_to_the_bit() {
    for low_rank in [None, Some(8)] {
        let (model, net) =
            model(|model| model.linear = Some(Linear { low_rank, round: Some(Round::Ternary) }));
        let all = weights(&model, &net);
        let most = Cell::new(0);
        let room = Room { slots: 1, context: CONTEXT };
        let packed = |wrong| {
            let packed = Packed { all: &all, wrong, most: &most };
            bits(Decoder::new(&model, room, Cpu::new(Kept::Int8), packed).unwrap())
        };
        let right = bits(decoder(&model, &net, 1, Kept::Int8));
        assert!(packed(None) == right, "{low_rank:?}");
        for (at, (weight, _)) in all.iter().enumerate().filter(|(_, (one, _))| one.role == Role::Matrix) {
            assert!(packed(Some(at)) != right, "a code of {} is for nothing", weight.name);
        }
    }
}

#[test]
fn a_large_table_is_read_in_portions() {
    let (model, net) = model(|model| {
        model.linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
        (model.vocab_size, model.tied) = (Some(3 * PORTION / 64), true);
    });
    let all = weights(&model, &net);
    let most = Cell::new(0);
    let (room, packed) =
        (Room { slots: 1, context: CONTEXT }, Packed { all: &all, wrong: None, most: &most });
    let decoder = Decoder::new(&model, room, Cpu::new(Kept::Int8), packed).unwrap();
    assert!(most.get() <= PORTION && all[0].1.len() > PORTION, "{} at once", most.get());
    assert!(bits(decoder) == bits(super::decoder(&model, &net, 1, Kept::Int8)));
}
