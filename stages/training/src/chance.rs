//! The one hash that order and chance are drawn by. It is part of every result: never change it.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads 64 bits: each bit of the answer depends on each bit of `value` (the end of splitmix64, a bijection).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number for (`seed`, `purpose`, `number`), which one cannot tell from chance.
pub(crate) fn draw(seed: u64, purpose: u64, number: u64) -> u64 {
    mix(mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(purpose.wrapping_mul(GOLDEN))) ^ number)
}
