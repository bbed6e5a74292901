//! Loss by step, as it goes into checkpoints and into the result: no time and no speed, and never more than a page of
//! points, however long the training.
use crate::guard::{Guard, RolledBack};
use serde::{Deserialize, Serialize};

/// A curve has no more points; an even number.
const MOST: usize = 1000;

/// The losses that were measured so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    train: Curve,
    validation: Curve,
    last: Option<f64>,
}

/// A loss and where it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Steps that were made.
    pub step: u64,
    /// The loss, in a curve the mean since the point before.
    pub loss: f64,
}

/// What the result says of a training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of the format: 1.
    pub format: u32,
    /// The loss that was made small, each point the mean since the one before.
    pub train: Vec<Point>,
    /// Cross-entropy on what is held back, likewise.
    pub validation: Vec<Point>,
    /// Steps that came to nothing, since their loss or gradient was no number.
    pub skipped: u64,
    /// Where the training went back.
    pub rolled_back: Vec<RolledBack>,
}

impl Losses {
    /// The loss of the step that makes it `made` steps. What is no number is left out.
    pub fn add(&mut self, made: u64, loss: f64) {
        if loss.is_finite() {
            self.last = Some(loss);
        }
        self.train.push(made, loss);
    }

    /// The loss on what is held back, after `made` steps.
    pub fn add_validation(&mut self, made: u64, loss: f64) {
        self.validation.push(made, loss);
    }

    /// The loss of the last step that had one.
    pub fn last(&self) -> Option<f64> {
        self.last
    }

    /// What the result says.
    pub fn report(&self, guard: &Guard) -> Report {
        Report {
            format: 1,
            train: self.train.points(),
            validation: self.validation.points(),
            skipped: guard.skipped(),
            rolled_back: guard.rolled_back().to_vec(),
        }
    }
}

impl Point {
    /// Six digits are enough for people.
    fn rounded(self) -> Self {
        Self { loss: (self.loss * 1e6).round() / 1e6, ..self }
    }
}

/// Means of so many values each; of twice as many when there are too many of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Curve {
    /// Values of a point.
    every: u64,
    points: Vec<Point>,
    /// Values that are no point yet: where the last was, how many there are, and their sum.
    step: u64,
    count: u64,
    sum: f64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { every: 1, points: Vec::new(), step: 0, count: 0, sum: 0.0 }
    }
}

impl Curve {
    fn push(&mut self, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        (self.step, self.count, self.sum) = (step, self.count + 1, self.sum + value);
        if self.count < self.every {
            return;
        }
        self.points.push(self.rest());
        (self.count, self.sum) = (0, 0.0);
        if self.points.len() == MOST {
            self.every *= 2;
            let mean = |[first, last]: &[Point; 2]| Point { loss: (first.loss + last.loss) / 2.0, ..*last };
            self.points = self.points.as_chunks().0.iter().map(mean).collect();
        }
    }

    fn rest(&self) -> Point {
        Point { step: self.step, loss: self.sum / self.count as f64 }
    }

    fn points(&self) -> Vec<Point> {
        let rest = (self.count > 0).then(|| self.rest());
        self.points.iter().copied().chain(rest).map(Point::rounded).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn curve(values: impl IntoIterator<Item = f64>) -> Curve {
        let mut curve = Curve::default();
        (1..).zip(values).for_each(|(step, value)| curve.push(step, value));
        curve
    }

    fn point(step: u64, loss: f64) -> Point {
        Point { step, loss }
    }

    #[test]
    fn a_short_training_keeps_every_step() {
        let points = curve([3.0, 2.5, f64::NAN, 2.0]).points();
        assert_eq!(points, [point(1, 3.0), point(2, 2.5), point(4, 2.0)]);
        assert_eq!(curve([2.0 / 3.0]).points(), [point(1, 0.666_667)]);
    }

    #[test]
    fn a_long_one_keeps_means() {
        let at = |count: usize| curve((1..=count).map(|value| value as f64)).points();
        assert_eq!(at(999).len(), 999);
        let halved = at(1000);
        assert_eq!((halved.len(), halved[0], halved[499]), (500, point(2, 1.5), point(1000, 999.5)));
        // The rest is a point too, of what there is of it.
        assert_eq!(at(1001)[500], point(1001, 1001.0));
        assert_eq!(at(1002)[500], point(1002, 1001.5));
        let four = at(2000);
        assert_eq!((four.len(), four[0], four[499]), (500, point(4, 2.5), point(2000, 1998.5)));
    }

    #[test]
    fn a_report_holds_what_a_reader_wants() {
        let mut losses = Losses::default();
        losses.add(1, 4.158_883_083_359_672);
        losses.add(2, f64::NAN);
        losses.add_validation(2, 4.0);
        assert_eq!(losses.last(), Some(4.158_883_083_359_672));
        let mut guard = Guard::default();
        guard.judge(1, f64::NAN, 1.0).unwrap();
        let report = serde_json::to_string(&losses.report(&guard)).unwrap();
        let train = r#""train":[{"step":1,"loss":4.158883}]"#;
        let validation = r#""validation":[{"step":2,"loss":4.0}]"#;
        assert_eq!(report, format!(r#"{{"format":1,{train},{validation},"skipped":1,"rolled_back":[]}}"#));
    }

    proptest! {
        /// Going on from a checkpoint gives the same to the last bit, and a curve says of all steps what they say.
        #[test]
        fn a_checkpoint_keeps_it_to_the_last_bit(
            values in prop::collection::vec(0.0_f64..20.0, 1..6000),
            at in any::<prop::sample::Index>(),
        ) {
            let at = at.index(values.len());
            let mut gone_on = curve(values[..at].iter().copied());
            gone_on = serde_json::from_str(&serde_json::to_string(&gone_on).unwrap()).unwrap();
            (at as u64 + 1..).zip(&values[at..]).for_each(|(step, value)| gone_on.push(step, *value));
            let whole = curve(values.iter().copied());
            prop_assert_eq!(&gone_on, &whole);

            prop_assert!(whole.points.len() < MOST);
            prop_assert_eq!(whole.points.len() as u64 * whole.every + whole.count, values.len() as u64);
            let sum: f64 = whole.points.iter().map(|point| point.loss * whole.every as f64).sum();
            prop_assert!((sum + whole.sum - values.iter().sum::<f64>()).abs() < 1e-6);
            prop_assert!(whole.points.is_sorted_by(|a, b| a.step + whole.every == b.step));
        }
    }
}
