//! Numbers in 8 bits: blocks of 256 with a scale each, and a code whose values lie on powers of two, eight to an octave.
//!
//! So a number is off by 9% at most and by as much whatever its size, down to 1/60,000 of the largest of its block, or to its
//! square where numbers are squares. What lies between two values goes to either at random, and is right in the mean.
//!
//! Codes that are denser near the scale (third and fourth roots) were simulated on gradients whose sizes within a block spread
//! log-normally. With a deviation of 0.5, 1.5 and 2.5 the step of AdamW was off by 4, 16 and 84% of its size with roots, and by
//! 10, 10 and 24% with powers of two, and with these alone it never grew much beyond what it was without a code.
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;
use std::f64::consts::LN_2;

/// Numbers that share a scale.
pub(super) const BLOCK: usize = 256;
/// Values in an octave.
const FINE: f64 = 8.0;
/// The smallest scale: below it f32 itself ends.
const SMALLEST: f64 = 1e-36;

/// What the 256 codes stand for, as shares of a block's scale.
pub(super) struct Code<B: Backend> {
    values: Tensor<B, 1>,
    /// The code of nothing, or of the least.
    pub(super) middle: u8,
    /// Codes from there to the scale itself.
    top: u8,
}

impl<B: Ops> Code<B> {
    /// For numbers of both signs.
    pub(super) fn signed(device: &B::Device) -> Self {
        let value = |code: i32| f64::from(code.signum()) * octaves(f64::from(code.abs() - 127));
        Self::new((-127..=127).map(value), 127, 127, device)
    }

    /// For squares, which are never nothing: a root of nothing under a fraction would be a step without bounds.
    pub(super) fn squares(device: &B::Device) -> Self {
        Self::new((0..=255).map(|code: i32| octaves(f64::from(code - 255))), 0, 255, device)
    }

    fn new(values: impl Iterator<Item = f64>, middle: u8, top: u8, device: &B::Device) -> Self {
        let values: Vec<f32> = values.map(|value| value as f32).collect();
        Self { values: Tensor::from_floats(values.as_slice(), device), middle, top }
    }

    /// Numbers to codes `[blocks, 256]` and scales `[blocks]`; the last block is filled up.
    pub(super) fn encode(&self, x: Tensor<B, 1>, seed: u64) -> (Tensor<B, 2, Int>, Tensor<B, 1>) {
        let ([len], device) = (x.dims(), x.device());
        let blocks = len.div_ceil(BLOCK);
        let fill = blocks * BLOCK - len;
        let x = if fill == 0 { x } else { Tensor::cat(vec![x, Tensor::zeros([fill], &device)], 0) };
        let x = x.reshape([blocks, BLOCK]);
        let scales = x.clone().abs().max_dim(1).clamp_min(SMALLEST);
        let x = x / scales.clone();
        let (sign, share) = (x.clone().sign(), x.abs());
        let top = f64::from(self.top);
        let level = share.clone().log().mul_scalar(FINE / LN_2).add_scalar(top).clamp(0.0, top - 1.0).floor();
        let (low, high) = (self.values(level.clone()), self.values(level.clone() + 1.0));
        let noise = B::noise(blocks * BLOCK, seed, &device).reshape([blocks, BLOCK]);
        let up = (noise * (high - low.clone())).lower(share - low).float();
        let codes = (level + up) * sign + f64::from(self.middle);
        (codes.int().cast(DType::U8), scales.reshape([blocks]))
    }

    /// The value at each level above the middle.
    fn values(&self, level: Tensor<B, 2>) -> Tensor<B, 2> {
        let [blocks, _] = level.dims();
        let at = level.add_scalar(f64::from(self.middle)).int().reshape([blocks * BLOCK]);
        self.values.clone().select(0, at).reshape([blocks, BLOCK])
    }

    /// The first `len` numbers that these codes stand for.
    pub(super) fn decode(&self, codes: Tensor<B, 2, Int>, scales: Tensor<B, 1>, len: usize) -> Tensor<B, 1> {
        let [blocks, _] = codes.dims();
        let at = codes.cast(DType::I32).reshape([blocks * BLOCK]);
        let shares = self.values.clone().select(0, at).reshape([blocks, BLOCK]);
        let x = (shares * scales.unsqueeze_dim(1)).reshape([blocks * BLOCK]);
        if len == blocks * BLOCK { x } else { x.narrow(0, 0, len) }
    }
}

fn octaves(steps: f64) -> f64 {
    (steps / FINE).exp2()
}
