//! Figures as people read them: those of training first and in their own words, the rest by name.
use super::lines::figure;
use crate::format::{bytes, count, exact, visible, width};
use std::collections::BTreeMap;

/// The last value of each figure.
pub(crate) type Metrics = BTreeMap<String, f64>;

/// Figures that have words of their own below, or that something else tells.
const WORDED: [&str; 10] = [
    "loss",
    "val_loss",
    "best_val_loss",
    "tokens_per_second",
    "lr",
    "mfu",
    "memory",
    "grad_norm",
    "skipped",
    "rolled_back",
];

/// What there is to tell, what matters most first.
pub(crate) fn parts(metrics: &Metrics) -> Vec<String> {
    let of = |name: &str| metrics.get(name).copied();
    let worded = [
        of("loss").map(|value| format!("loss {value:.4}")),
        validation(metrics),
        of("tokens_per_second").map(|value| format!("{} tokens/s", count(value))),
        of("lr").map(|value| format!("lr {}", rate(value))),
        of("mfu").map(|value| format!("{:.0}% of peak", value * 100.0)),
        of("memory").map(|value| bytes(value.max(0.0) as u64)),
        of("grad_norm").map(|value| format!("grad norm {}", figure(value))),
    ];
    let rest = metrics.iter().filter(|(name, _)| !WORDED.contains(&name.as_str()));
    let rest = rest.map(|(name, value)| format!("{} {}", visible(name), figure(*value)));
    worded.into_iter().flatten().chain(rest.take(4)).collect()
}

/// All of it in one line: `loss 3.2500, lr 3e-4`.
pub(crate) fn line(metrics: &Metrics) -> String {
    parts(metrics).join(", ")
}

/// As many whole parts as fit.
pub(super) fn fitting(metrics: &Metrics, columns: usize) -> String {
    let mut text = String::new();
    for part in parts(metrics) {
        let gap = if text.is_empty() { "" } else { "  " };
        if width(&text) + width(gap) + width(&part) > columns {
            break;
        }
        text = text + gap + &part;
    }
    text
}

/// How well a model came out, where that is what a stage makes: behind the line that says that it is done.
pub(super) fn outcome(metrics: &Metrics) -> String {
    let loss = metrics.get("loss").map(|value| format!(", loss {value:.4}"));
    let best = metrics.get("best_val_loss").map(|value| format!(", best val {value:.4}"));
    let last = metrics.get("val_loss").map(|value| format!(", val {value:.4}"));
    loss.into_iter().chain(best.or(last)).collect()
}

/// The one figure that stands for a run in a list of runs.
pub(crate) fn headline(metrics: &Metrics) -> Option<String> {
    let named = [("best_val_loss", "val"), ("val_loss", "val"), ("loss", "loss")];
    named.iter().find_map(|(name, word)| Some(format!("{word} {:.4}", metrics.get(*name)?)))
}

/// What a figure that just came tells by itself, where people should not have to wait for it: an evaluation, a step
/// that was skipped, a way back. `before` is what was told until now.
pub(super) fn happened(step: u64, name: &str, value: f64, before: &Metrics) -> Option<String> {
    let step = exact(step);
    match name {
        "val_loss" => {
            let best = before.get("best_val_loss").or(before.get("val_loss")).filter(|best| **best < value);
            let best = best.map_or_else(|| "the best so far".to_owned(), |best| format!("best {best:.4}"));
            Some(format!("step {step}: validation loss {value:.4}, {best}"))
        }
        "skipped" => Some(format!("step {step} was skipped: its loss or gradient is not finite")),
        "rolled_back" => {
            Some(format!("back from step {step} to step {}, with a lower rate", exact(value.max(0.0) as u64)))
        }
        _ => None,
    }
}

fn validation(metrics: &Metrics) -> Option<String> {
    let value = metrics.get("val_loss")?;
    Some(match metrics.get("best_val_loss") {
        Some(best) if best < value => format!("val {value:.4} (best {best:.4})"),
        _ => format!("val {value:.4}"),
    })
}

/// `3e-4`, `2.97e-4`.
fn rate(value: f64) -> String {
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => {
            format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        let told = [
            ("loss", 2.31425),
            ("val_loss", 2.4205),
            ("best_val_loss", 2.4011),
            ("tokens_per_second", 36_123.0),
            ("lr", 0.000_297_2),
            ("mfu", 0.412),
            ("memory", 1.3e9),
            ("grad_norm", 0.3123),
            ("skipped", 1.0),
            ("reward\x1b", 7.0),
        ];
        told.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn training_is_told_in_its_own_words_and_as_much_of_it_as_fits() {
        let all = "loss 2.3142, val 2.4205 (best 2.4011), 36.1k tokens/s, lr 2.97e-4, 41% of peak, 1.21 GiB, \
                   grad norm 0.3123, reward\\u{1b} 7";
        assert_eq!(line(&metrics()), all);
        assert_eq!(
            fitting(&metrics(), 68),
            "loss 2.3142  val 2.4205 (best 2.4011)  36.1k tokens/s  lr 2.97e-4"
        );
        assert_eq!(fitting(&metrics(), 20), "loss 2.3142");
        assert_eq!(outcome(&metrics()), ", loss 2.3142, best val 2.4011");
        assert_eq!(headline(&metrics()).as_deref(), Some("val 2.4011"));
        assert_eq!((outcome(&Metrics::new()), headline(&Metrics::new())), (String::new(), None));
        assert_eq!([3e-4, 1.0, 0.0, 2.5e-5].map(rate), ["3e-4", "1e0", "0e0", "2.5e-5"]);
    }

    #[test]
    fn an_evaluation_and_a_way_back_are_told_at_once() {
        let told = |name, value, before: &[(&str, f64)]| {
            let before = before.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            happened(1500, name, value, &before).unwrap_or_default()
        };
        assert_eq!(told("val_loss", 2.5, &[]), "step 1,500: validation loss 2.5000, the best so far");
        let best = ("best_val_loss", 2.4);
        assert_eq!(told("val_loss", 2.4, &[best]), "step 1,500: validation loss 2.4000, the best so far");
        assert_eq!(told("val_loss", 2.5, &[best]), "step 1,500: validation loss 2.5000, best 2.4000");
        assert_eq!(told("rolled_back", 1000.0, &[]), "back from step 1,500 to step 1,000, with a lower rate");
        assert_eq!(told("loss", 1.0, &[]), "");
    }
}
