//! Numbers in codes of 8 bits with a scale for each block, and products of them: whole numbers within a block, which every CPU
//! adds up alike.
use super::vector::{LANES, together};
use half::f16;

/// Numbers that share a scale.
pub(super) const BLOCK: usize = 32;

/// Rows in codes; none where nothing wants them.
#[derive(Default)]
pub(super) struct Coded {
    /// As wide as products with them.
    codes: Vec<i16>,
    scales: Vec<f32>,
}

impl Coded {
    pub(super) fn new(rows: &[f32], width: usize) -> Self {
        let (mut codes, mut scales) = (Vec::with_capacity(rows.len()), Vec::new());
        let blocks = rows.chunks_exact(width).flat_map(|row| row.chunks(BLOCK));
        blocks.for_each(|block| scales.push(coded(block, &mut codes)));
        Self { codes: codes.into_iter().map(i16::from).collect(), scales }
    }
}

/// The codes of a block of numbers go to `codes`; gives its scale.
pub(super) fn coded(block: &[f32], codes: &mut Vec<i8>) -> f32 {
    let largest = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let times = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    codes.extend(block.iter().map(|x| (x * times).round() as i8));
    largest / 127.0
}

/// A scale in half precision, which is not negative.
#[inline(always)]
pub(super) fn scale(bits: u16) -> f32 {
    // Its exponent counts from 112 less.
    f32::from_bits(u32::from(bits) << 13) * f32::from_bits(0x7780_0000)
}

/// Each row of codes times each row of `x`: all products of a row stand side by side.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the CPU is asked before"))]
pub(super) fn dots(codes: &[i8], scales: &[u16], x: &Coded, width: usize, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use super::vector::Width;
        match super::vector::width() {
            // SAFETY: the CPU has these instructions, as it says itself.
            Width::Avx512 => return unsafe { x86::dots_512(codes, scales, x, width, out) },
            // SAFETY: as above.
            Width::Avx2 => return unsafe { x86::dots_256(codes, scales, x, width, out) },
            Width::Base => {}
        }
    }
    all(codes, scales, x, width, out, plain);
}

/// Goes through the rows with what multiplies whole blocks: it gives the sums of each lane.
#[inline(always)]
fn all(
    codes: &[i8],
    scales: &[u16],
    x: &Coded,
    width: usize,
    out: &mut [f32],
    blocks_of: impl Fn(&[[i8; BLOCK]], &[[i16; BLOCK]], &[u16], &[f32]) -> [f32; LANES],
) {
    let (count, blocks) = (x.codes.len() / width, width.div_ceil(BLOCK));
    let rows = codes.chunks_exact(width).zip(scales.chunks_exact(blocks));
    for ((codes, scales), out) in rows.zip(out.chunks_exact_mut(count)) {
        let x = x.codes.chunks_exact(width).zip(x.scales.chunks_exact(blocks));
        for ((x, x_scales), out) in x.zip(out) {
            let ((whole, rest), (x_whole, x_rest)) = (codes.as_chunks(), x.as_chunks());
            let lanes = blocks_of(whole, x_whole, scales, x_scales);
            let rest: i32 = rest.iter().zip(x_rest).map(|(code, x)| i32::from(*code) * i32::from(*x)).sum();
            let last =
                scales.last().map_or(0.0, |bits| scale(*bits)) * x_scales.last().copied().unwrap_or(0.0);
            *out = together(lanes, |a, b| a + b) + rest as f32 * last;
        }
    }
}

/// In each lane two neighbours at a time, as CPUs multiply and add numbers of two bytes.
fn plain(codes: &[[i8; BLOCK]], x: &[[i16; BLOCK]], scales: &[u16], x_scales: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0_f32; LANES];
    for (((codes, x), bits), x_scale) in codes.iter().zip(x).zip(scales).zip(x_scales) {
        let scale = scale(*bits) * x_scale;
        for (at, lane) in lanes.iter_mut().enumerate() {
            let product = |at: usize| i32::from(codes[at]) * i32::from(x[at]);
            *lane += (product(2 * at) + product(2 * at + 1)) as f32 * scale;
        }
    }
    lanes
}

/// The same in instructions of some CPUs: compilers find them in no loop that was tried.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "numbers are loaded from arrays that are as long")]
mod x86 {
    use super::{BLOCK, Coded, LANES, all, scale};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) fn dots_512(codes: &[i8], scales: &[u16], x: &Coded, width: usize, out: &mut [f32]) {
        all(codes, scales, x, width, out, |codes, x, scales, x_scales| {
            let mut sums = _mm512_setzero_ps();
            for (((codes, x), bits), x_scale) in codes.iter().zip(x).zip(scales).zip(x_scales) {
                // SAFETY: 32 bytes, and 32 times two.
                let (codes, x) = unsafe {
                    (_mm256_loadu_si256(codes.as_ptr().cast()), _mm512_loadu_si512(x.as_ptr().cast()))
                };
                let products = _mm512_madd_epi16(_mm512_cvtepi8_epi16(codes), x);
                let scale = _mm512_set1_ps(scale(*bits) * x_scale);
                sums = _mm512_add_ps(sums, _mm512_mul_ps(_mm512_cvtepi32_ps(products), scale));
            }
            let mut lanes = [0.0_f32; LANES];
            // SAFETY: 16 numbers of four bytes.
            unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sums) };
            lanes
        });
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dots_256(codes: &[i8], scales: &[u16], x: &Coded, width: usize, out: &mut [f32]) {
        const HALF: usize = BLOCK / 2;
        all(codes, scales, x, width, out, |codes, x, scales, x_scales| {
            let mut sums = [_mm256_setzero_ps(); 2];
            for (((codes, x), bits), x_scale) in codes.iter().zip(x).zip(scales).zip(x_scales) {
                let scale = _mm256_set1_ps(scale(*bits) * x_scale);
                for (half, sums) in sums.iter_mut().enumerate() {
                    let (codes, x) = (&codes[half * HALF..][..HALF], &x[half * HALF..][..HALF]);
                    // SAFETY: 16 bytes, and 16 times two.
                    let (codes, x) = unsafe {
                        (_mm_loadu_si128(codes.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().cast()))
                    };
                    let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(codes), x);
                    *sums = _mm256_add_ps(*sums, _mm256_mul_ps(_mm256_cvtepi32_ps(products), scale));
                }
            }
            let mut lanes = [0.0_f32; LANES];
            for (lanes, sums) in lanes.chunks_exact_mut(LANES / 2).zip(sums) {
                // SAFETY: 8 numbers of four bytes.
                unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sums) };
            }
            lanes
        });
    }
}

/// Scales as files have them.
pub(super) fn half_precision(scale: f32) -> u16 {
    f16::from_f32(scale).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_of_instructions_gives_the_same_bits() {
        for width in [5, 32, 100, 256] {
            let number = |at: usize| ((at * 37 + at * at * 11) % 201) as f32 / 50.0 - 2.0;
            let (weight, x): (Vec<f32>, Vec<f32>) =
                ((0..7 * width).map(number).collect(), (0..3 * width).map(|at| number(at + 5)).collect());
            let (mut codes, mut scales) = (Vec::new(), Vec::new());
            for block in weight.chunks(width).flat_map(|row| row.chunks(BLOCK)) {
                scales.push(half_precision(coded(block, &mut codes)));
            }
            let x = Coded::new(&x, width);
            let (mut right, mut got) = (vec![0.0; 21], vec![0.0; 21]);
            all(&codes, &scales, &x, width, &mut right, plain);
            let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            dots(&codes, &scales, &x, width, &mut got);
            assert_eq!(bits(&got), bits(&right), "{width}");
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                #[expect(unsafe_code, reason = "the CPU is asked before")]
                // SAFETY: the CPU has these instructions, as it says itself.
                unsafe {
                    x86::dots_256(&codes, &scales, &x, width, &mut got);
                }
                assert_eq!(bits(&got), bits(&right), "{width}");
            }
        }
    }
}
