//! Random numbers by their place: a hash of 32 bits, in integers that wrap.
use super::{narrow, wide};
use crate::ops::Dropout;
use burn::prelude::*;
use burn::tensor::DType;

const FIRST: u32 = 0x85eb_ca6b;
const SECOND: u32 = 0xc2b2_ae35;

/// What a seed is to the hash: a word to begin with and a word for the middle.
pub(crate) fn words(seed: u64) -> (u32, u32) {
    // Seeds that differ in one bit differ in about half of these.
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 32) as u32, mixed as u32)
}

/// The number at a place, below 2^24.
#[inline(always)]
pub(crate) fn at(place: u32, (first, second): (u32, u32)) -> u32 {
    let mut x = place ^ first;
    x = (x ^ (x >> 16)).wrapping_mul(FIRST);
    x = ((x ^ (x >> 13)) ^ second).wrapping_mul(SECOND);
    (x ^ (x >> 16)) >> 8
}

/// `0..len`, from two short ranges: a range comes from the host, and a long one takes its time.
fn places<B: Backend>(len: usize, device: &B::Device) -> Tensor<B, 1, Int> {
    const ROW: usize = 1 << 10;
    let range = |len: usize| Tensor::<B, 1, Int>::arange(0..len as i64, (device, DType::I32));
    if len <= ROW {
        return range(len);
    }
    let rows = len.div_ceil(ROW);
    let starts = range(rows).mul_scalar(ROW as i32).unsqueeze_dim::<2>(1);
    (starts + range(ROW).unsqueeze_dim::<2>(0)).reshape([rows * ROW]).narrow(0, 0, len)
}

/// Numbers below 2^24.
pub(crate) fn whole<B: Backend>(len: usize, seed: u64, device: &B::Device) -> Tensor<B, 1, Int> {
    let (first, second) = words(seed);
    // Shifts keep the sign, which a mask takes away.
    let right = |x: Tensor<B, 1, Int>, by: u32| {
        let mask = ((1_i64 << (32 - by)) - 1) as i32;
        x.bitwise_right_shift_scalar((by as i32).elem()).bitwise_and_scalar(mask.elem())
    };
    let stir = |x: Tensor<B, 1, Int>, by: u32| x.clone().bitwise_xor(right(x, by));
    let x = places::<B>(len, device);
    let x = x.bitwise_xor_scalar((first as i32).elem());
    let x = stir(x, 16).mul_scalar(FIRST as i32);
    let x = stir(x, 13).bitwise_xor_scalar((second as i32).elem()).mul_scalar(SECOND as i32);
    right(stir(x, 16), 8)
}

pub(crate) fn noise<B: Backend>(len: usize, seed: u64, device: &B::Device) -> Tensor<B, 1> {
    whole::<B>(len, seed, device).float().mul_scalar(1.0 / f64::from(1 << 24))
}

/// What numbers below this are dropped.
pub(crate) fn threshold(rate: f64) -> u32 {
    (rate * f64::from(1 << 24)).round() as u32
}

pub(crate) fn dropout<B: Backend, const D: usize>(x: Tensor<B, D>, dropped: Dropout) -> Tensor<B, D> {
    if !dropped.any() {
        return x;
    }
    let (dims, dtype, device) = (x.dims(), x.dtype(), x.device());
    let numbers = whole::<B>(dims.iter().product(), dropped.seed, &device);
    let kept = numbers.greater_equal_elem(threshold(dropped.rate) as i32).float();
    narrow(wide(x) * kept.mul_scalar(dropped.scale()).reshape(dims), dtype)
}
