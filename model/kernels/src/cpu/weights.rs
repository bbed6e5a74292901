//! What logits say: which token is the likeliest, and how much each weighs.
use super::vector::{exp, largest, wide};

wide! {
    fn most(x: &[f32]) -> f32 {
        largest(x)
    }
}

wide! {
    fn weigh(logits: &[f32], most: f32, times: f32, out: &mut [f32]) {
        for (out, logit) in out.iter_mut().zip(logits) {
            let x = (logit - most) * times;
            // What weighs next to nothing, and what is no number, weighs nothing; the likeliest weighs 1 whatever it is.
            let weight = if x > -80.0 { exp(x) } else { 0.0 };
            *out = if *logit == most { 1.0 } else { weight };
        }
    }
}

/// Where the largest number stands, the first of equals.
pub fn likeliest(x: &[f32]) -> usize {
    let most = most(x);
    x.iter().position(|x| *x == most).unwrap_or(0)
}

/// How much each logit weighs at a temperature above 0, where the likeliest weighs 1.
pub fn weights(logits: &[f32], temperature: f32) -> Vec<f32> {
    let mut weights = vec![0.0; logits.len()];
    weigh(logits, most(logits), 1.0 / temperature, &mut weights);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_exponentials() {
        let logits: Vec<f32> = (0..100).map(|at| (at * at % 37) as f32 / 5.0 - 3.0).collect();
        let most = logits[likeliest(&logits)];
        for (logit, weight) in logits.iter().zip(weights(&logits, 0.7)) {
            let right = ((f64::from(*logit) - f64::from(most)) / f64::from(0.7_f32)).exp();
            assert!((f64::from(weight) / right - 1.0).abs() < 3e-6, "{logit}");
        }
        assert_eq!(weights(&[1.0, f32::NEG_INFINITY, f32::NAN, 1.0], 1.0), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(weights(&[1.0, f32::INFINITY, 2.0], 1.0), [0.0, 1.0, 0.0]);
        assert_eq!(weights(&[1.0, 2.0, 0.0], 1e-40), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_first_of_equals_is_the_likeliest() {
        for len in [1, 15, 16, 40] {
            let mut x = vec![0.5; len];
            assert_eq!(likeliest(&x), 0);
            x[len - 1] = 0.75;
            assert_eq!(likeliest(&x), len - 1);
        }
        assert_eq!((likeliest(&[]), likeliest(&[f32::NAN])), (0, 0));
    }
}
