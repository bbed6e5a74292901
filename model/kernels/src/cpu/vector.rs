//! Loops over numbers in the widest instructions that the CPU has.

/// Sums run in this many lanes, on every CPU: so their order is fixed.
pub(super) const LANES: usize = 16;

/// Which instructions the CPU has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// 512 bits.
    Avx512,
    /// 256 bits.
    Avx2,
    /// What every CPU of the kind has.
    Base,
}

/// Asks the CPU once.
#[cfg(target_arch = "x86_64")]
pub(super) fn width() -> Width {
    static WIDTH: std::sync::OnceLock<Width> = std::sync::OnceLock::new();
    *WIDTH.get_or_init(|| {
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        match () {
            () if wide => Width::Avx512,
            () if is_x86_feature_detected!("avx2") => Width::Avx2,
            () => Width::Base,
        }
    })
}

/// Defines a function whose loops are compiled for each width of instructions; the one for the CPU at hand is called. What the
/// loops call must be `#[inline(always)]`, as the helpers below are. Multiplying and adding are never joined to one step, so
/// all widths give the same bits.
macro_rules! wide {
    ($(#[doc = $doc:literal])* fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[doc = $doc])*
        #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the CPU is asked before"))]
        fn $name($($arg: $kind),*) $(-> $out)? {
            #[inline(always)]
            fn body($($arg: $kind),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $kind),*) $(-> $out)? { body($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $kind),*) $(-> $out)? { body($($arg),*) }
                match $crate::cpu::vector::width() {
                    // SAFETY: the CPU has these instructions, as it says itself.
                    $crate::cpu::vector::Width::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::vector::Width::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::vector::Width::Base => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(super) use wide;

/// The sum of `f(a, b)` over two slices of one length.
#[inline(always)]
pub(super) fn sum_of<A: Copy, B: Copy>(a: &[A], b: &[B], f: impl Fn(A, B) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in left.by_ref().zip(right.by_ref()) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(*a, *b);
        }
    }
    let tail = left.remainder().iter().zip(right.remainder());
    lanes.iter_mut().zip(tail).for_each(|(lane, (a, b))| *lane += f(*a, *b));
    together(lanes, |a, b| a + b)
}

/// The largest number, or minus infinity.
#[inline(always)]
pub(super) fn largest(x: &[f32]) -> f32 {
    largest_of(x, |x| x)
}

/// The largest of `f` of the numbers, or minus infinity.
#[inline(always)]
pub(super) fn largest_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = larger(*lane, f(*x)));
    }
    lanes.iter_mut().zip(chunks.remainder()).for_each(|(lane, x)| *lane = larger(*lane, f(*x)));
    together(lanes, larger)
}

/// Halves the lanes until one is left.
#[inline(always)]
pub(super) fn together(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for at in 0..half {
            lanes[at] = join(lanes[at], lanes[at + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// `e^x`, to two units in the last place. Below the smallest normal number it is that number, above the largest that one.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding this rounds to a whole number, which then stands in the last bits.
    const ROUND: f32 = 12_582_912.0;
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first with so few bits that its products are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let rounded = x * LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let rest = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let mut power = 1.987_569_1e-4_f32;
    for factor in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        power = power * rest + factor;
    }
    let power = power * (rest * rest) + rest + 1.0;
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    f32::from_bits(power.to_bits().wrapping_add(exponent))
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_the_last_places() {
        let mut x = -87.0_f64;
        while x < 88.0 {
            let right = f64::from(x as f32).exp();
            let error = (f64::from(exp(x as f32)) / right - 1.0).abs();
            assert!(error < 2.5e-7, "exp({x}) is off by {error}");
            x += 0.001_7;
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1.3e-38);
        assert!(exp(1e30) > 1e38 && exp(1e30).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_take_in_the_ends() {
        for len in [0, 1, 15, 16, 17, 33] {
            let x: Vec<f32> = (0..len).map(|n| n as f32).collect();
            assert_eq!(sum_of(&x, &x, |a, _| a), (0..len).sum::<usize>() as f32);
            assert_eq!(largest(&x), if len == 0 { f32::NEG_INFINITY } else { len as f32 - 1.0 });
        }
    }
}
