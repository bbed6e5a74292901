//! One figure over the steps of a stage, in bounded memory: neighbours become one point where there are many.

/// Points of a series at most. A picture has fewer columns.
const MOST: usize = 2048;

/// What was told of a few steps that follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) first: u64,
    pub(super) last: u64,
    count: u64,
    sum: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Point {
    fn of(step: u64, value: f64) -> Self {
        Self { first: step, last: step, count: 1, sum: value, low: value, high: value }
    }

    fn add(&mut self, next: &Self) {
        self.last = next.last;
        self.count += next.count;
        self.sum += next.sum;
        self.low = self.low.min(next.low);
        self.high = self.high.max(next.high);
    }

    pub(super) fn step(&self) -> f64 {
        (self.first as f64 + self.last as f64) / 2.0
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// A figure's values by step.
#[derive(Clone, Debug)]
pub(super) struct Series {
    points: Vec<Point>,
    /// Values in a point that is full.
    per: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self { points: Vec::new(), per: 1 }
    }
}

impl Series {
    /// One value more, as exact as a picture needs it. What is not finite has no place in one.
    pub(super) fn push(&mut self, step: u64, value: f64) {
        let value = f64::from(value as f32);
        if !value.is_finite() {
            return;
        }
        let point = Point::of(step, value);
        match self.points.last_mut().filter(|last| last.count < self.per) {
            Some(last) => last.add(&point),
            None => self.points.push(point),
        }
        if self.points.len() > MOST {
            self.points = merged(&self.points, 2);
            self.per *= 2;
        }
    }

    /// The work went back: what was told from `step` on happens again.
    pub(super) fn cut(&mut self, step: u64) {
        self.points.retain(|point| point.first < step);
    }

    /// The points, the nearest ones together so that there are no more than `most`.
    pub(super) fn points(&self, most: usize) -> Vec<Point> {
        merged(&self.points, self.points.len().div_ceil(most.max(1)).max(1))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// It was told at two steps at least: there is a line to draw.
    pub(super) fn is_line(&self) -> bool {
        self.points.first().zip(self.points.last()).is_some_and(|(first, last)| first.first < last.last)
    }
}

fn merged(points: &[Point], by: usize) -> Vec<Point> {
    let groups = points.chunks(by).filter_map(|group| {
        let (first, rest) = group.split_first()?;
        let mut point = *first;
        rest.iter().for_each(|next| point.add(next));
        Some(point)
    });
    groups.collect()
}

/// The mean around each point, and once more around that: a window about a fiftieth as wide as the curve. It narrows
/// towards the beginning, where curves are steep, so that the line is not bent there; at the end it looks back, so
/// that the last values do not stand for themselves.
pub(super) fn smoothed(points: &[Point]) -> Vec<f64> {
    let counts: Vec<u64> = points.iter().map(|point| point.count).collect();
    let means: Vec<f64> = points.iter().map(Point::mean).collect();
    averaged(&averaged(&means, &counts), &counts)
}

fn averaged(values: &[f64], counts: &[u64]) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u64)];
    for (value, count) in values.iter().zip(counts) {
        let (sum, before) = sums.last().copied().unwrap_or_default();
        sums.push((sum + value * *count as f64, before + count));
    }
    let widest = (values.len() / 100).max(1);
    let around = |at: usize| {
        let back = widest.min(at);
        let ahead = back.min(values.len() - 1 - at);
        let (from, to) = (sums[at - back], sums[at + ahead + 1]);
        (to.0 - from.0) / (to.1 - from.1) as f64
    };
    (0..values.len()).map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_become_few_points_and_lose_neither_extremes_nor_the_mean() {
        let mut series = Series::default();
        for step in 1..=300_000u64 {
            series.push(step, if step == 123_456 { 1e6 } else { (step % 2) as f64 });
        }
        assert!((MOST / 2..=MOST).contains(&series.points.len()), "{}", series.points.len());
        let points = series.points(400);
        assert!((200..=400).contains(&points.len()), "{}", points.len());
        assert_eq!((points[0].first, points[points.len() - 1].last), (1, 300_000));
        assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), 300_000);
        assert_eq!(points.iter().filter(|point| point.high == 1e6).count(), 1);
        assert!((points[0].mean() - 0.5).abs() < 0.01);
    }

    #[test]
    fn what_is_not_finite_is_passed_over_and_what_is_done_again_replaces() {
        let mut series = Series::default();
        for step in 0..10 {
            series.push(step, f64::NAN);
            series.push(step, 1.0);
        }
        series.cut(6);
        series.push(6, 2.0);
        let told: Vec<(u64, f64)> =
            series.points(99).iter().map(|point| (point.first, point.mean())).collect();
        assert_eq!(told.len(), 7);
        assert_eq!((told[5], told[6]), ((5, 1.0), (6, 2.0)));
    }

    #[test]
    fn a_smoothed_line_stays_a_line_and_a_step_is_not_late() {
        let line: Vec<Point> = (0..500).map(|step| Point::of(step, step as f64)).collect();
        for (point, smooth) in line.iter().zip(smoothed(&line)) {
            let late = if point.first < 490 { 1e-9 } else { 5.0 };
            assert!((point.mean() - smooth).abs() < late, "{point:?}: {smooth}");
        }
        let stairs: Vec<Point> = (0..500).map(|step| Point::of(step, f64::from(step >= 250))).collect();
        let smooth = smoothed(&stairs);
        assert!((smooth[249] + smooth[250] - 1.0).abs() < 1e-9, "the middle stays in the middle");
        assert!(smoothed(&[]).is_empty());
        assert_eq!(smoothed(&line[..1]), [0.0]);
    }
}
