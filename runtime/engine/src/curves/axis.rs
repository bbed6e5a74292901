//! From values to places on an axis, and the round numbers that are written beside it.

/// The values that an axis shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Equal factors are equally far apart.
    pub(super) log: bool,
}

impl Axis {
    /// From `low` to `high`, with something between them.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - wide(low), low + wide(low)) };
        Self { low, high, log: false }
    }

    /// The same for factors; both must be above zero.
    pub(super) fn log(low: f64, high: f64) -> Self {
        if !(low > 0.0 && high.is_finite()) {
            return Self::linear(low, high);
        }
        let (low, high) = if high > low * 1.0001 { (low, high) } else { (low / 2.0, low * 2.0) };
        Self { low, high, log: true }
    }

    /// With a little room at both ends.
    pub(super) fn roomy(self) -> Self {
        if self.log {
            let room = (self.high / self.low).powf(0.05);
            return Self { low: self.low / room, high: self.high * room, ..self };
        }
        let room = (self.high - self.low) * 0.05;
        // Nothing that counts is below zero only because there is room.
        let low = if self.low >= 0.0 { (self.low - room).max(0.0) } else { self.low - room };
        Self { low, high: self.high + room, ..self }
    }

    /// Where a value stands: 0 at `low`, 1 at `high`.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.log {
            let value = value.max(f64::MIN_POSITIVE);
            return (value / self.low).ln() / (self.high / self.low).ln();
        }
        (value - self.low) / (self.high - self.low)
    }

    /// Round values on it, about `wanted` of them, each with its text.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let decades = if self.log { (self.high / self.low).log10() } else { 0.0 };
        if decades < 1.0 {
            let step = round_step((self.high - self.low) / wanted.max(1) as f64);
            let first = (self.low / step).ceil() as i64;
            let last = (self.high / step + 1e-9).floor() as i64;
            return (first..=last)
                .map(|at| at as f64 * step)
                .map(|value| (value, text(value, step)))
                .collect();
        }
        let factors: &[f64] = match decades {
            ..1.8 => &[1.0, 2.0, 5.0],
            ..3.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let exponents = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let every = (decades / wanted.max(1) as f64).ceil().max(1.0) as i32;
        let round = exponents.filter(|exponent| exponent % every == 0);
        let values =
            round.flat_map(|exponent| factors.iter().map(move |factor| factor * 10f64.powi(exponent)));
        let values = values.filter(|value| (self.low..=self.high).contains(value));
        values.map(|value| (value, text(value, value))).collect()
    }
}

fn wide(value: f64) -> f64 {
    if value == 0.0 { 1.0 } else { value.abs() / 2.0 }
}

/// The next of 1, 2, 5, 10, … that is no smaller.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// A value with the digits that tell it from one that is `step` away: `0.25`, `1.5k`, `3e-4`.
fn text(value: f64, step: f64) -> String {
    let size = value.abs().max(step.abs());
    if value == 0.0 {
        return "0".into();
    }
    if size < 0.001 {
        let exponent = value.abs().log10().floor() as i32;
        let digits = (exponent - step.log10().floor() as i32).max(0);
        return format!("{}e{exponent}", decimal(value / 10f64.powi(exponent), digits));
    }
    let units = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    let (unit, name) = units.into_iter().find(|(unit, _)| size >= *unit).unwrap_or((1.0, ""));
    let digits = -((step / unit).log10() + 1e-9).floor() as i32;
    format!("{}{name}", decimal(value / unit, digits))
}

fn decimal(value: f64, digits: i32) -> String {
    let text = format!("{value:.*}", usize::try_from(digits.clamp(0, 9)).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: Axis, wanted: usize) -> String {
        axis.ticks(wanted).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_beside_an_axis_are_round_and_tell_each_other_apart() {
        assert_eq!(texts(Axis::linear(0.0, 2000.0), 8), "0 500 1k 1.5k 2k");
        assert_eq!(texts(Axis::linear(0.0, 100_000.0), 8), "0 20k 40k 60k 80k 100k");
        assert_eq!(texts(Axis::linear(1.81, 2.34), 5), "2 2.2");
        assert_eq!(texts(Axis::linear(0.0, 3e-4), 4), "0 1e-4 2e-4 3e-4");
        assert_eq!(texts(Axis::linear(0.0, 1.2e-4), 4), "0 5e-5 1e-4");
        assert_eq!(texts(Axis::linear(35_900.0, 36_400.0), 4), "36k 36.2k 36.4k");
        assert_eq!(texts(Axis::linear(-1.0, 1.0), 4), "-1 -0.5 0 0.5 1");
        assert_eq!(texts(Axis::log(0.2, 150.0), 4), "0.3 1 3 10 30 100");
        assert_eq!(texts(Axis::log(0.08, 2.5), 4), "0.1 0.2 0.5 1 2");
        assert_eq!(texts(Axis::log(1e-6, 1e6), 4), "1e-6 0.001 1 1k 1M");
        assert_eq!(texts(Axis::log(0.5, 2.0), 4), "0.5 1 1.5 2");
    }

    #[test]
    fn an_axis_has_room_also_where_all_values_are_one() {
        for value in [0.0, 3.0, -3.0, 1e-30, 1e30] {
            let axis = Axis::linear(value, value);
            assert!((axis.place(value) - 0.5).abs() < 1e-9, "{value}");
        }
        assert_eq!(Axis::linear(0.0, 10.0).roomy().low, 0.0);
        let log = Axis::log(1.0, 100.0);
        assert_eq!([1.0, 10.0, 100.0].map(|value| log.place(value)), [0.0, 0.5, 1.0]);
        assert!(!Axis::log(0.0, 1.0).log, "there is no factor from nothing");
    }
}
