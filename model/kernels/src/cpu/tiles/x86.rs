//! Registers of x86 CPUs.
use super::OFFSET;
use super::lanes::{HALF, Lanes, TWOS};
use std::arch::x86_64::*;

/// Registers of 256 bits.
pub(super) struct Avx2;

/// Registers of 512 bits, and products of codes in one instruction.
pub(super) struct Avx512;

#[expect(unsafe_code, reason = "as the trait says")]
#[expect(clippy::undocumented_unsafe_blocks, reason = "the trait says why, for all of them")]
impl Lanes for Avx2 {
    const COUNT: usize = 8;
    const ROWS: usize = 2;
    type Floats = __m256;
    type Words = __m256i;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn all(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(at) }
    }

    #[inline(always)]
    unsafe fn store(x: __m256, at: *mut f32) {
        unsafe { _mm256_storeu_ps(at, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn times(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn words(at: *const u32) -> __m256i {
        unsafe { _mm256_loadu_si256(at.cast()) }
    }

    #[inline(always)]
    unsafe fn pair(words: __m256i) -> [__m256; 2] {
        unsafe {
            let second = _mm256_and_si256(words, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            [_mm256_castsi256_ps(_mm256_slli_epi32(words, 16)), _mm256_castsi256_ps(second)]
        }
    }

    #[inline(always)]
    unsafe fn halves(at: *const u16) -> __m256 {
        unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
            _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(bits, 13)), _mm256_set1_ps(HALF))
        }
    }

    #[inline(always)]
    unsafe fn start(_: i32) -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn quads(sums: __m256i, codes: __m256i, x: i32) -> __m256i {
        unsafe {
            // The first of two factors must not be negative: its sign goes over to the second. Two products of codes are
            // within 16 bits, since no code is -128.
            let codes = _mm256_xor_si256(codes, _mm256_set1_epi8(OFFSET as i8));
            let x = _mm256_set1_epi32(x);
            let twos = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(codes, x));
            _mm256_add_epi32(sums, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn floats(words: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(words) }
    }

    #[inline(always)]
    unsafe fn repeated(number: i32) -> __m256i {
        unsafe { _mm256_set1_epi32(number) }
    }

    #[inline(always)]
    unsafe fn plus(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn twos(words: __m256i) -> __m256i {
        unsafe { _mm256_and_si256(words, _mm256_set1_epi32(TWOS as i32)) }
    }

    #[inline(always)]
    unsafe fn on_by_two(words: __m256i) -> __m256i {
        unsafe { _mm256_srli_epi32(words, 2) }
    }

    #[inline(always)]
    unsafe fn trits(sums: __m256i, codes: __m256i, x: i32) -> __m256i {
        unsafe {
            // Two products are 762 at most.
            let twos = _mm256_maddubs_epi16(codes, _mm256_set1_epi32(x));
            _mm256_add_epi32(sums, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)))
        }
    }
}

#[expect(unsafe_code, reason = "as the trait says")]
#[expect(clippy::undocumented_unsafe_blocks, reason = "the trait says why, for all of them")]
impl Lanes for Avx512 {
    const COUNT: usize = 16;
    const ROWS: usize = 8;
    type Floats = __m512;
    type Words = __m512i;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn all(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(at) }
    }

    #[inline(always)]
    unsafe fn store(x: __m512, at: *mut f32) {
        unsafe { _mm512_storeu_ps(at, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn times(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn words(at: *const u32) -> __m512i {
        unsafe { _mm512_loadu_si512(at.cast()) }
    }

    #[inline(always)]
    unsafe fn pair(words: __m512i) -> [__m512; 2] {
        unsafe {
            let second = _mm512_and_si512(words, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)), _mm512_castsi512_ps(second)]
        }
    }

    #[inline(always)]
    unsafe fn halves(at: *const u16) -> __m512 {
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
            _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32::<13>(bits)), _mm512_set1_ps(HALF))
        }
    }

    #[inline(always)]
    unsafe fn start(sum: i32) -> __m512i {
        // Codes are taken as they stand, without a sign.
        unsafe { _mm512_set1_epi32(-i32::from(OFFSET) * sum) }
    }

    #[inline(always)]
    unsafe fn quads(sums: __m512i, codes: __m512i, x: i32) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(x)) }
    }

    #[inline(always)]
    unsafe fn floats(words: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(words) }
    }

    #[inline(always)]
    unsafe fn repeated(number: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(number) }
    }

    #[inline(always)]
    unsafe fn plus(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn twos(words: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(words, _mm512_set1_epi32(TWOS as i32)) }
    }

    #[inline(always)]
    unsafe fn on_by_two(words: __m512i) -> __m512i {
        unsafe { _mm512_srli_epi32::<2>(words) }
    }

    #[inline(always)]
    unsafe fn trits(sums: __m512i, codes: __m512i, x: i32) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(x)) }
    }
}
