//! What bars and plain lines say in the same words: how far a stage is, how it ended.
use super::figures::{self, Metrics};
use crate::format::{amount, bytes, duration, visible};
use crate::paint::Paint;
use muse_runtime::event::{Event, EventKind, Outcome, OutputInfo};
use std::collections::BTreeMap;

/// Seconds since 1970 of an event; none where its time is not one.
pub(super) fn seconds(event: &Event) -> Option<f64> {
    let time: jiff::Timestamp = event.time.parse().ok()?;
    Some(time.as_millisecond() as f64 / 1000.0)
}

/// How far a stage is: `12k of 40k documents, 30%`.
pub(crate) fn how_far(done: u64, total: Option<u64>, unit: &str) -> String {
    let word = if unit == "bytes" { String::new() } else { format!(" {}", visible(unit)) };
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = (done as f64 / total as f64 * 100.0).floor().min(100.0);
            format!("{} of {}{word}, {percent:.0}%", amount(done as f64, unit), amount(total as f64, unit))
        }
        None => format!("{}{word}", amount(done as f64, unit)),
    }
}

/// The same beside a bar: `12k/40k documents`.
pub(super) fn how_far_in_short(done: u64, total: Option<u64>, unit: &str) -> String {
    let word = if unit == "bytes" { String::new() } else { format!(" {unit}") };
    match total.filter(|total| *total > 0) {
        Some(total) => format!("{}/{}{word}", amount(done as f64, unit), amount(total as f64, unit)),
        None => format!("{}{word}", amount(done as f64, unit)),
    }
}

/// `1.2k/s`, and the time that is left where that can be known.
pub(super) fn speed(rate: f64, left: Option<u64>, unit: &str) -> Option<(String, Option<String>)> {
    if !(rate.is_finite() && rate > 0.0) {
        return None;
    }
    let left = left.map(|left| format!("{} left", duration((left as f64 / rate).ceil())));
    Some((format!("{}/s", amount(rate, unit)), left))
}

/// A figure with four digits that tell something.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        value.to_string()
    } else if size == 0.0 || (0.001..100_000.0).contains(&size) {
        let decimals =
            if size >= 1000.0 || size == 0.0 { 1 } else { 3 - (size.log10().floor() as i32).min(3) };
        let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.3e}")
    }
}

/// How a stage ended, after its name; none for what is only counted.
pub(super) fn ended(event: &Event, metrics: &Metrics, paint: Paint, verbose: bool) -> Option<String> {
    let EventKind::StageFinished { outcome, seconds, outputs, error, key, .. } = &event.kind else {
        return None;
    };
    let time = duration(*seconds);
    let error = error.as_deref().map(visible).map(|error| format!(": {error}")).unwrap_or_default();
    let key =
        key.as_deref().filter(|_| verbose).map(|key| format!(" {}", paint.faint(key))).unwrap_or_default();
    match outcome {
        Outcome::Ran => {
            let outcome = figures::outcome(metrics);
            Some(format!("{} in {time}{}{outcome}{key}", paint.good("done"), size(outputs)))
        }
        Outcome::Hit if verbose => {
            let made = paint.faint(&format!("(took {time} when it was made)"));
            Some(format!("{} {made}{key}", paint.good("hit")))
        }
        Outcome::Hit => None,
        Outcome::Failed => Some(format!("{} after {time}{error}", paint.bad("failed"))),
        Outcome::Blocked if verbose => Some(format!("{}{error}", paint.warn("blocked"))),
        Outcome::Blocked => None,
        Outcome::Interrupted => Some(format!("{} after {time}", paint.warn("interrupted"))),
    }
}

fn size(outputs: &BTreeMap<String, OutputInfo>) -> String {
    match outputs.len() {
        0 => String::new(),
        _ => format!(", {}", bytes(outputs.values().fold(0, |sum, output| sum.saturating_add(output.bytes)))),
    }
}

/// What a run begins with: `tiny: 40 stages, 2 may run`.
pub(super) fn begun(pipeline: &str, stages: usize, work: usize) -> String {
    let stages = crate::format::plural(stages, "stage");
    match work {
        0 => format!("{pipeline}: {stages}, nothing to run"),
        _ => format!("{pipeline}: {stages}, {} may run", crate::format::exact(work as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_knows_its_unit() {
        assert_eq!(how_far(12_000, Some(40_000), "documents"), "12k of 40k documents, 30%");
        assert_eq!(how_far(5 << 20, None, "bytes"), "5 MiB");
        assert_eq!(how_far(7, Some(0), "steps"), "7 steps");
        assert_eq!(how_far(9, Some(4), "steps"), "9 of 4 steps, 100%");
        assert_eq!(speed(1200.0, Some(12_000), "steps"), Some(("1.2k/s".into(), Some("10 s left".into()))));
        assert_eq!(speed(2048.0, None, "bytes"), Some(("2 KiB/s".into(), None)));
        assert_eq!((speed(0.0, Some(1), "x"), speed(f64::NAN, Some(1), "x")), (None, None));
    }

    #[test]
    fn figures_show_what_tells_something() {
        let shown = [3.25, 0.001, 0.000_02, 1234.56, 0.0, -2.0, 1e9, 99.995, f64::NAN].map(figure);
        assert_eq!(shown, ["3.25", "0.001", "2.000e-5", "1234.6", "0", "-2", "1.000e9", "100", "NaN"]);
    }
}
