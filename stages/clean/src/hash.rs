//! The one hash that order, choice and signatures are made by. It is part of every result: never change it.
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Spreads 64 bits: each bit of the answer depends on each bit of `value` (the end of splitmix64, a bijection).
#[inline]
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number for (`seed`, `number`, `purpose`), which one cannot tell from chance.
pub(crate) fn draw(seed: u64, purpose: u64, number: u64) -> u64 {
    mix(mix(mix(seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_add(purpose)) ^ number)
}

/// A set of what is a good hash already.
pub(crate) type HashedSet = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// Takes a hash for what it is.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
