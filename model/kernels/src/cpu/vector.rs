//! Loops over numbers in the widest instructions that the CPU has.
use pulp::Arch;
use std::sync::OnceLock;

/// Sums run in this many lanes, on every CPU: so their order is fixed.
const LANES: usize = 16;

/// Compiles `work` for each instruction set, and runs the version for the CPU at hand. All that it calls must be inlined.
#[inline(always)]
pub(super) fn widely<R>(work: impl FnOnce() -> R) -> R {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    ARCH.get_or_init(Arch::new).dispatch(work)
}

/// The sum of `f(a, b)` over two slices of one length.
#[inline(always)]
pub(super) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
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
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = larger(*lane, *x));
    }
    lanes.iter_mut().zip(chunks.remainder()).for_each(|(lane, x)| *lane = larger(*lane, *x));
    together(lanes, larger)
}

/// Halves the lanes until one is left.
#[inline(always)]
fn together(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
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
