//! Rules of thumb, as docs/training.md and docs/optimizers.md have them: what suits a model of a size.
use crate::commands::init::choices::Goal;

/// Tokens for each parameter that a training is measured by: fewer, and a smaller model would do as well.
pub(crate) const TOKENS_EACH: u64 = 20;
/// Bytes of text that a token stands for, about: English has less than four, Japanese up to six.
pub(crate) const BYTES_EACH: u64 = 4;
/// How often text may be seen before it is worth less than new text.
pub(crate) const TIMES: u64 = 4;
/// How often chats are learned from.
pub(crate) const CHAT_EPOCHS: f64 = 2.0;
/// Bytes of a story of the generator.
pub(crate) const STORY: u64 = 300;

/// How long a training may take where nobody says.
pub(crate) fn seconds(goal: Goal) -> u64 {
    match goal {
        Goal::Try => 300,
        Goal::Real | Goal::Benchmark => 86_400,
    }
}

/// Tokens of a sequence.
pub(crate) fn context(goal: Goal, parameters: u64, on_gpu: bool) -> u64 {
    match (goal, on_gpu) {
        (Goal::Try, false) => below(parameters, &[(20, 256)], 512),
        (Goal::Try, true) => 512,
        _ => below(parameters, &[(5, 256), (20, 512), (100, 1024)], 2048),
    }
}

/// The learning rate at its peak.
pub(crate) fn lr(parameters: u64) -> f64 {
    let rates = [(5, 3e-3), (20, 2e-3), (60, 1e-3), (200, 6e-4), (800, 4e-4)];
    below(parameters, &rates, 3e-4)
}

/// What goes for a model of so many parameters, of bounds in millions and of what goes above them all.
pub(crate) fn below<T: Copy>(parameters: u64, bounds: &[(u64, T)], above: T) -> T {
    let found = bounds.iter().find(|(millions, _)| parameters < millions * 1_000_000);
    found.map_or(above, |(_, value)| *value)
}

/// Tokens of a step: 16k for a million parameters, 500k for a hundred million, 4M for ten billion; fewer where there would be too
/// few steps. A power of two, and a sequence at least.
pub(crate) fn batch_tokens(parameters: u64, tokens: u64, context: u64) -> u64 {
    let millions = (parameters as f64 / 1e6).max(1.0);
    let usual = if millions < 100.0 {
        16_384.0 * millions.powf(0.7525)
    } else {
        524_288.0 * (millions / 100.0).powf(0.45)
    };
    let steps_left = (tokens / FEWEST_STEPS).max(context) as f64;
    let power = usual.min(steps_left).log2().round().clamp(0.0, 30.0);
    let mut batch = 1_u64 << (power as u32);
    while batch > context && tokens / batch < FEWEST_STEPS {
        batch /= 2;
    }
    batch.max(context)
}

/// With fewer steps a rate has no time to rise and fall.
const FEWEST_STEPS: u64 = 400;

/// Steps from one evaluation to the next: about eight in all.
pub(crate) fn eval_every(steps: u64) -> u64 {
    rounded((steps / 8).clamp(1, 500), 1)
}

/// A count with so many digits and zeros behind them: 25,611,264 is 26,000,000.
pub(crate) fn rounded(count: u64, digits: u32) -> u64 {
    let power = count.checked_ilog10().unwrap_or(0).saturating_sub(digits.saturating_sub(1));
    let unit = 10_u64.saturating_pow(power);
    (count.saturating_add(unit / 2) / unit).saturating_mul(unit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_as_large_as_the_model_and_as_many_as_a_schedule_needs() {
        assert_eq!(batch_tokens(1_280_000, 1 << 40, 256), 16_384);
        assert_eq!(batch_tokens(126_000_000, 1 << 40, 1024), 524_288);
        assert_eq!(batch_tokens(10_000_000_000, 1 << 50, 2048), 4_194_304);
        assert_eq!(batch_tokens(1_280_000, 1_200_000, 256), 2048, "a short training");
        assert_eq!(batch_tokens(1_280_000, 100, 256), 256, "a sequence");
        for tokens in (10..40).map(|power| 1_u64 << power) {
            let batch = batch_tokens(30_000_000, tokens, 512);
            assert!(batch == 512 || tokens / batch >= FEWEST_STEPS, "{tokens} {batch}");
        }
    }

    #[test]
    fn larger_models_take_smaller_rates() {
        let rates: Vec<f64> = (20..36).map(|power| lr(1 << power)).collect();
        assert!(rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
    }

    #[test]
    fn counts_are_rounded_to_digits() {
        assert_eq!([rounded(25_611_264, 2), rounded(999, 2), rounded(7, 2)], [26_000_000, 1000, 7]);
        assert_eq!([rounded(0, 2), rounded(u64::MAX, 2)], [1, 18_000_000_000_000_000_000]);
        assert_eq!([eval_every(600), eval_every(3), eval_every(1 << 20)], [80, 1, 500]);
    }
}
