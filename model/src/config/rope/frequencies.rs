//! How fast each pair of a head's numbers turns.
//!
//! The pair `i` of a head of width `d` turns by `theta^(-2i/d)` a token. Hugging Face stores halves: the pair is
//! `(i, i + d/2)`.
use super::{Rope, RopeScaling, ScalingKind};
use std::f64::consts::TAU;

/// The angle that each pair of a head of `width` turns by at every token, and what cosines and sines are multiplied by.
///
/// YaRN goes by the number of a pair, as transformers does: between the pairs that turn `beta_fast` and `beta_slow` times,
/// rounded outwards, the ramp is straight in the number. The paper's is straight in how often a pair turns; where it
/// begins and ends is the same.
pub fn frequencies(rope: &Rope, width: usize) -> (Vec<f64>, f64) {
    let RopeScaling { kind, factor, .. } = rope.scaling;
    let wide = width as f64;
    let plain = |theta: f64| (0..width / 2).map(move |pair| theta.powf(-2.0 * pair as f64 / wide));
    match kind {
        ScalingKind::None => (plain(rope.theta).collect(), 1.0),
        ScalingKind::Linear => (plain(rope.theta).map(|turn| turn / factor).collect(), 1.0),
        ScalingKind::Ntk => (plain(ntk_theta(rope.theta, factor, width)).collect(), 1.0),
        ScalingKind::Llama3 => {
            (plain(rope.theta).map(|turn| turn / slowed(&rope.scaling, turn)).collect(), 1.0)
        }
        ScalingKind::Yarn => {
            let (low, high) = ramp(rope, width);
            let mixed = |(pair, turn): (usize, f64)| {
                let share = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                turn / factor * share + turn * (1.0 - share)
            };
            let scale = rope.scaling.attention_factor.unwrap_or_else(|| 0.1 * factor.max(1.0).ln() + 1.0);
            (plain(rope.theta).enumerate().map(mixed).collect(), scale)
        }
    }
}

/// How many times slower `llama3` makes a pair that turns by this angle at every token.
pub(crate) fn slowed(scaling: &RopeScaling, turn: f64) -> f64 {
    let RopeScaling { factor, beta_fast, beta_slow, .. } = *scaling;
    let turns = scaling.original_context.unwrap_or(1) as f64 * turn / TAU;
    let left = ((turns - beta_slow) / (beta_fast - beta_slow)).clamp(0.0, 1.0);
    1.0 / ((1.0 - left) / factor + left)
}

/// The base by which the slowest pair turns `factor` times slower. A head of one pair has no slowest one.
pub(crate) fn ntk_theta(theta: f64, factor: f64, width: usize) -> f64 {
    if width <= 2 { theta } else { theta * factor.powf(width as f64 / (width as f64 - 2.0)) }
}

/// The last pair that is left alone and the first that is slowed down in full.
pub(crate) fn ramp(rope: &Rope, width: usize) -> (f64, f64) {
    let wide = width as f64;
    let context = rope.scaling.original_context.unwrap_or(1) as f64;
    let pair = |turns: f64| wide * (context / (turns * TAU)).ln() / (2.0 * rope.theta.ln());
    let low = pair(rope.scaling.beta_fast).floor().max(0.0);
    let high = pair(rope.scaling.beta_slow).ceil().min(wide - 1.0);
    // Nothing may be divided by.
    if low == high { (low, high + 0.001) } else { (low, high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yarn(theta: f64, factor: f64, original_context: usize) -> Rope {
        let kind = ScalingKind::Yarn;
        let original_context = Some(original_context);
        Rope { theta, scaling: RopeScaling { kind, factor, original_context, ..RopeScaling::default() } }
    }

    fn scaled(kind: ScalingKind, factor: f64) -> Rope {
        Rope { theta: 1e4, scaling: RopeScaling { kind, factor, ..RopeScaling::default() } }
    }

    fn near(found: &[f64], right: &[f64]) {
        assert_eq!(found.len(), right.len());
        for (at, (found, right)) in found.iter().zip(right).enumerate() {
            assert!((found / right - 1.0).abs() < 1e-6, "pair {at}: {found}, not {right}");
        }
    }

    #[test]
    fn without_scaling_pairs_turn_by_powers_of_theta() {
        let (turns, scale) = frequencies(&Rope::default(), 8);
        near(&turns, &[1.0, 0.1, 0.01, 0.001]);
        assert_eq!(scale, 1.0);
    }

    #[test]
    fn linear_slows_all_and_ntk_the_slowest() {
        near(&frequencies(&scaled(ScalingKind::Linear, 4.0), 8).0, &[0.25, 0.025, 0.0025, 0.00025]);
        let (turns, scale) = frequencies(&scaled(ScalingKind::Ntk, 4.0), 8);
        assert_eq!((turns[0], scale), (1.0, 1.0));
        assert!((turns[3] / 0.00025 - 1.0).abs() < 1e-12, "{turns:?}");
        assert!(turns[1] < 0.1 && turns[1] > 0.025);
        assert_eq!(frequencies(&scaled(ScalingKind::Ntk, 4.0), 2).0, [1.0]);
    }

    #[test]
    fn yarn_has_the_bands_of_the_paper() {
        let rope = yarn(1e6, 4.0, 32_768);
        let (turns, scale) = frequencies(&rope, 128);
        let plain = frequencies(&Rope { theta: 1e6, ..Rope::default() }, 128).0;
        let share: Vec<f64> = turns.iter().zip(&plain).map(|(turn, plain)| turn / plain).collect();
        let count = |is: &dyn Fn(f64) -> bool| share.iter().filter(|share| is(**share)).count();
        let (left, slowed) = (count(&|share| share == 1.0), count(&|share| (share - 0.25).abs() < 1e-12));
        assert_eq!((left, 64 - left - slowed, slowed), (24, 16, 24));
        assert!(share.windows(2).all(|pair| pair[1] <= pair[0] + 1e-15), "slower pairs are slowed more");
        assert!((scale - 1.138_629).abs() < 1e-6);
        // The paper's bands by how often a pair turns within the original context are the same.
        let turned = |turn: &f64| 32_768.0 * turn / TAU;
        assert_eq!(plain.iter().map(turned).filter(|turned| *turned >= 32.0).count(), left);
        assert_eq!(plain.iter().map(turned).filter(|turned| *turned <= 1.0).count(), slowed);
    }

    #[test]
    fn yarn_turns_as_transformers_does() {
        // What transformers 5 gives for the same numbers; it counts in f32.
        let (turns, scale) = frequencies(&yarn(20.0, 4.0, 24), 10);
        near(&turns, &[1.0, 0.411_960_155, 0.150_854_409, 0.041_430_670_8, 0.022_757_051_5]);
        assert!((scale - 1.138_629_436).abs() < 1e-9);
        let mut rope = yarn(1e4, 8.0, 256);
        (rope.scaling.beta_fast, rope.scaling.beta_slow) = (16.0, 2.0);
        let (turns, _) = frequencies(&rope, 16);
        near(&turns[..4], &[1.0, 0.223_994_657, 0.041_666_664_2, 0.003_952_847_33]);
        near(&turns[4..], &[0.001_249_999_97, 0.000_395_284_733, 0.000_125, 3.952_847_33e-5]);
        let (turns, _) = frequencies(&yarn(1e6, 4.0, 32_768), 128);
        let some: Vec<f64> = [23, 24, 31, 39, 40, 63].iter().map(|pair| turns[*pair]).collect();
        near(&some[..3], &[0.006_978_305_99, 0.005_375_321_49, 0.000_802_959_781]);
        near(&some[3..], &[6.490_394_3e-5, 4.445_698_51e-5, 3.102_344_41e-7]);
        // A context so short that the ramp would end before it begins.
        near(&frequencies(&yarn(2.0, 8.0, 1), 4).0, &[1.0, 0.707_106_769]);
    }

    #[test]
    fn llama3_turns_as_transformers_does() {
        // Llama 3.1's own numbers, and what transformers 5 gives for them.
        let scaling = RopeScaling {
            kind: ScalingKind::Llama3,
            factor: 8.0,
            original_context: Some(8192),
            beta_fast: 4.0,
            ..RopeScaling::default()
        };
        let rope = Rope { theta: 5e5, scaling };
        let (turns, scale) = frequencies(&rope, 128);
        let plain = frequencies(&Rope { theta: 5e5, ..Rope::default() }, 128).0;
        let slower: Vec<f64> = plain.iter().zip(&turns).map(|(plain, turn)| plain / turn).collect();
        let count = |is: &dyn Fn(f64) -> bool| slower.iter().filter(|slower| is(**slower)).count();
        let (left, slowed) = (count(&|by| (by - 1.0).abs() < 1e-12), count(&|by| (by - 8.0).abs() < 1e-9));
        assert_eq!((left, 64 - left - slowed, slowed, scale), (29, 6, 29, 1.0));
        let some: Vec<f64> = [28, 29, 31, 34, 35, 63].iter().map(|pair| turns[*pair]).collect();
        near(&some[..3], &[0.003_211_446_11, 0.002_166_570_63, 0.000_856_751_46]);
        near(&some[3..], &[0.000_178_507_791, 9.556_212_17e-5, 3.068_925_88e-7]);
    }

    #[test]
    fn yarn_that_extends_nothing_changes_nothing() {
        let (turns, scale) = frequencies(&yarn(1e4, 1.0, 2048), 64);
        near(&turns, &frequencies(&Rope::default(), 64).0);
        assert_eq!(scale, 1.0);
    }

    #[test]
    fn no_ramp_is_so_narrow_that_numbers_vanish() {
        for (context, width) in
            [1, 2, 8, 100, 1 << 20].into_iter().flat_map(|c| [2, 4, 10, 128].map(|w| (c, w)))
        {
            let mut rope = yarn(2.0, 8.0, context);
            for kind in [ScalingKind::Yarn, ScalingKind::Llama3] {
                rope.scaling.kind = kind;
                let (turns, _) = frequencies(&rope, width);
                assert!(turns.iter().all(|turn| turn.is_finite() && *turn > 0.0), "{context} {width}");
            }
        }
    }

    #[test]
    fn an_attention_factor_of_ones_own_is_taken() {
        let mut rope = yarn(1e6, 4.0, 32_768);
        rope.scaling.attention_factor = Some(1.5);
        assert_eq!(frequencies(&rope, 128).1, 1.5);
    }
}
