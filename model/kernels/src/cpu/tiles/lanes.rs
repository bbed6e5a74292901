//! Numbers side by side in a register: what products with weights that stay need of a CPU. Each lane belongs to one row of the
//! weight, and multiplying and adding are never joined to one step, so every CPU gives the same bits.
use super::OFFSET;

/// A CPU's registers.
///
/// # Safety
/// Whoever calls anything here has asked the CPU for these instructions, and has as many numbers at `at` as a register takes.
#[expect(unsafe_code, reason = "what it says above")]
pub(in crate::cpu) trait Lanes {
    /// Numbers of four bytes in a register.
    const COUNT: usize;
    /// The most rows of `x` that are multiplied at once: as there are registers for sums.
    const ROWS: usize;
    type Floats: Copy;
    type Words: Copy;

    unsafe fn zero() -> Self::Floats;
    unsafe fn all(x: f32) -> Self::Floats;
    unsafe fn load(at: *const f32) -> Self::Floats;
    unsafe fn store(x: Self::Floats, at: *mut f32);
    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn times(a: Self::Floats, b: Self::Floats) -> Self::Floats;

    unsafe fn words(at: *const u32) -> Self::Words;
    /// The first and the second of the two numbers in bf16 in each word.
    unsafe fn pair(words: Self::Words) -> [Self::Floats; 2];
    /// Numbers in half precision, of which none is negative.
    unsafe fn halves(at: *const u16) -> Self::Floats;

    /// Where sums of [`Self::quads`] begin, with four codes of `x` or more that add up to so much.
    unsafe fn start(sum: i32) -> Self::Words;
    /// Adds to each word the product of four codes of a weight, which are off by [`OFFSET`], and four of `x`.
    unsafe fn quads(sums: Self::Words, codes: Self::Words, x: i32) -> Self::Words;
    /// Whole numbers as floats.
    unsafe fn floats(words: Self::Words) -> Self::Floats;

    /// The same whole number in each word.
    unsafe fn repeated(number: i32) -> Self::Words;
    /// Whole numbers, added.
    unsafe fn plus(a: Self::Words, b: Self::Words) -> Self::Words;
    /// The last two bits of each byte.
    unsafe fn twos(words: Self::Words) -> Self::Words;
    /// All bits two places on, so that the next ones are the last.
    unsafe fn on_by_two(words: Self::Words) -> Self::Words;
    /// Adds to each word the product of four codes without a sign, of two bits each, and four of `x`.
    unsafe fn trits(sums: Self::Words, codes: Self::Words, x: i32) -> Self::Words;
}

/// What every CPU has.
pub(super) struct Base;

const FOUR: usize = 4;
/// The last two bits of each byte.
pub(super) const TWOS: u32 = 0x0303_0303;

/// Its exponent counts from 112 less than that of f32.
pub(super) const HALF: f32 = f32::from_bits(0x7780_0000);

#[expect(unsafe_code, reason = "as the trait says")]
impl Lanes for Base {
    const COUNT: usize = FOUR;
    const ROWS: usize = 1;
    type Floats = [f32; FOUR];
    type Words = [u32; FOUR];

    #[inline(always)]
    unsafe fn zero() -> Self::Floats {
        [0.0; FOUR]
    }

    #[inline(always)]
    unsafe fn all(x: f32) -> Self::Floats {
        [x; FOUR]
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self::Floats {
        // SAFETY: as the trait says.
        unsafe { at.cast::<Self::Floats>().read() }
    }

    #[inline(always)]
    unsafe fn store(x: Self::Floats, at: *mut f32) {
        // SAFETY: as the trait says.
        unsafe { at.cast::<Self::Floats>().write(x) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|at| a[at] + b[at])
    }

    #[inline(always)]
    unsafe fn times(a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|at| a[at] * b[at])
    }

    #[inline(always)]
    unsafe fn words(at: *const u32) -> Self::Words {
        // SAFETY: as the trait says.
        unsafe { at.cast::<Self::Words>().read() }
    }

    #[inline(always)]
    unsafe fn pair(words: Self::Words) -> [Self::Floats; 2] {
        [words.map(|word| f32::from_bits(word << 16)), words.map(|word| f32::from_bits(word & 0xffff_0000))]
    }

    #[inline(always)]
    unsafe fn halves(at: *const u16) -> Self::Floats {
        // SAFETY: as the trait says.
        let bits = unsafe { at.cast::<[u16; FOUR]>().read() };
        bits.map(|bits| f32::from_bits(u32::from(bits) << 13) * HALF)
    }

    #[inline(always)]
    unsafe fn start(_: i32) -> Self::Words {
        [0; FOUR]
    }

    #[inline(always)]
    unsafe fn quads(sums: Self::Words, codes: Self::Words, x: i32) -> Self::Words {
        let x = x.to_ne_bytes().map(|code| i32::from(code as i8));
        std::array::from_fn(|at| {
            let codes = codes[at].to_ne_bytes().map(|code| i32::from(code ^ OFFSET) as i8);
            let products = codes.iter().zip(x).map(|(code, x)| i32::from(*code) * x);
            sums[at].wrapping_add_signed(products.sum::<i32>())
        })
    }

    #[inline(always)]
    unsafe fn floats(words: Self::Words) -> Self::Floats {
        words.map(|word| word as i32 as f32)
    }

    #[inline(always)]
    unsafe fn repeated(number: i32) -> Self::Words {
        [number as u32; FOUR]
    }

    #[inline(always)]
    unsafe fn plus(a: Self::Words, b: Self::Words) -> Self::Words {
        std::array::from_fn(|at| a[at].wrapping_add(b[at]))
    }

    #[inline(always)]
    unsafe fn twos(words: Self::Words) -> Self::Words {
        words.map(|word| word & TWOS)
    }

    #[inline(always)]
    unsafe fn on_by_two(words: Self::Words) -> Self::Words {
        words.map(|word| word >> 2)
    }

    #[inline(always)]
    unsafe fn trits(sums: Self::Words, codes: Self::Words, x: i32) -> Self::Words {
        let x = x.to_ne_bytes().map(|code| i32::from(code as i8));
        std::array::from_fn(|at| {
            let products = codes[at].to_ne_bytes().into_iter().zip(x).map(|(code, x)| i32::from(code) * x);
            sums[at].wrapping_add_signed(products.sum::<i32>())
        })
    }
}
