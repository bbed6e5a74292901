//! How the learning rate goes over a run. The rate of a step is set before the step.
//!
//! The first step of a warmup of `W` takes `1/W` of the peak and the last all of it. What falls reaches the floor just
//! behind the last step, so no step of a run is made with a rate of nothing.
use crate::config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate goes over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// What the rate does after its warmup.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// How long the rate rises to its peak: a number of steps, or below 1 a share of the run. Never more than half of the
    /// run.
    #[serde(default = "warmup")]
    #[schemars(range(min = 0.0))]
    pub warmup: f64,
    /// How long it falls at the end, for `wsd`: a number of steps, or below 1 a share of the run. Left out, 0.2.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub decay: Option<f64>,
    /// How it falls at the end, for `wsd`. Left out, `linear`.
    #[serde(default)]
    pub decay_shape: Option<DecayShape>,
    /// The share of the peak that it falls to.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_ratio: f64,
}

/// What the rate does after its warmup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Stays, and falls at the end. A longer run is the same up to there, so it can go on from a shorter one.
    #[default]
    Wsd,
    /// Falls along half a wave.
    Cosine,
    /// Falls along a line.
    Linear,
    /// Stays.
    Constant,
}

/// How the rate falls at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecayShape {
    /// Along a line.
    #[default]
    Linear,
    /// Along half a wave.
    Cosine,
    /// By one minus the root of the way: fast, then slowly.
    Sqrt,
}

fn warmup() -> f64 {
    100.0
}

impl Default for Schedule {
    fn default() -> Self {
        Self { kind: ScheduleKind::Wsd, warmup: warmup(), decay: None, decay_shape: None, min_ratio: 0.0 }
    }
}

impl Schedule {
    /// The share of the peak rate for the step about to be made, the first being 0, in a run of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        let warmup = self.warmup_steps(steps);
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let (start, shape) = match self.kind {
            ScheduleKind::Constant => return 1.0,
            ScheduleKind::Cosine => (warmup, DecayShape::Cosine),
            ScheduleKind::Linear => (warmup, DecayShape::Linear),
            ScheduleKind::Wsd => (self.decay_start(steps), self.decay_shape.unwrap_or_default()),
        };
        if step < start || steps <= start {
            return 1.0;
        }
        let way = ((step - start) as f64 / (steps - start) as f64).min(1.0);
        self.min_ratio + (1.0 - self.min_ratio) * shape.left(way)
    }

    /// How many of the first steps of a run of `steps` take the same rates in every longer run.
    pub fn stable_until(&self, steps: u64) -> u64 {
        // A warmup that goes by the length of the run differs from its first step on.
        let shared = !is_share(self.warmup) && whole(self.warmup) == self.warmup_steps(steps);
        match self.kind {
            _ if !shared => 0,
            ScheduleKind::Constant => steps,
            ScheduleKind::Wsd => self.decay_start(steps),
            ScheduleKind::Cosine | ScheduleKind::Linear => self.warmup_steps(steps),
        }
    }

    /// All that is wrong with it; what its pointers start from is the schedule.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut span = |pointer, name: &str, value: f64| {
            if !(value >= 0.0 && (value < 1.0 || value.fract() == 0.0) && value < 1e15) {
                let help = "a number of steps, or below 1 a share of the run";
                problems.push(Problem::new(pointer, format!("a {name} of {value}"), help));
            }
        };
        span("/warmup", "warmup", self.warmup);
        span("/decay", "decay", self.decay.unwrap_or(0.0));
        let mut idle = |there: bool, pointer, name: &str| {
            if there && self.kind != ScheduleKind::Wsd {
                let message = format!("`{name}` belongs to `kind: wsd` alone");
                problems.push(Problem::new(pointer, message, "leave it out, or write `kind: wsd`"));
            }
        };
        idle(self.decay.is_some(), "/decay", "decay");
        idle(self.decay_shape.is_some(), "/decay_shape", "decay_shape");
        if !(0.0..=1.0).contains(&self.min_ratio) {
            let message = format!("a floor of {} of the peak", self.min_ratio);
            problems.push(Problem::new("/min_ratio", message, "0 to 1"));
        } else if self.kind == ScheduleKind::Constant && self.min_ratio != 0.0 {
            let help = "leave it out, or write `kind: wsd`, `cosine` or `linear`";
            problems.push(Problem::new("/min_ratio", "with `kind: constant` nothing falls to a floor", help));
        }
        problems
    }

    fn warmup_steps(&self, steps: u64) -> u64 {
        span(self.warmup, steps).min(steps / 2)
    }

    /// The first step that falls, for `wsd`.
    fn decay_start(&self, steps: u64) -> u64 {
        let falls = span(self.decay.unwrap_or(0.2), steps);
        steps.saturating_sub(falls).max(self.warmup_steps(steps))
    }
}

impl DecayShape {
    /// What is left of the height after a part of the way.
    fn left(self, way: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - way,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * way).cos()),
            Self::Sqrt => 1.0 - way.sqrt(),
        }
    }
}

fn is_share(value: f64) -> bool {
    value > 0.0 && value < 1.0
}

/// Steps of a span that is a share or a number of steps.
fn span(value: f64, steps: u64) -> u64 {
    if is_share(value) { whole(value * steps as f64) } else { whole(value) }
}

fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wsd(warmup: f64, decay: f64, shape: DecayShape, min_ratio: f64) -> Schedule {
        let kind = ScheduleKind::Wsd;
        Schedule { kind, warmup, decay: Some(decay), decay_shape: Some(shape), min_ratio }
    }

    fn of(kind: ScheduleKind, warmup: f64, min_ratio: f64) -> Schedule {
        Schedule { kind, warmup, min_ratio, ..Schedule::default() }
    }

    fn rates(schedule: &Schedule, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| (schedule.rate(step, steps) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn a_run_of_ten_steps_step_by_step() {
        let stays = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0];
        let linear = rates(&wsd(4.0, 4.0, DecayShape::Linear, 0.0), 10);
        assert_eq!((&linear[..6], &linear[6..]), (&stays[..], &[1.0, 0.75, 0.5, 0.25][..]));
        assert_eq!(rates(&wsd(0.4, 0.4, DecayShape::Linear, 0.0), 10), linear, "shares of the run");
        assert_eq!(rates(&wsd(4.0, 4.0, DecayShape::Sqrt, 0.0), 10)[6..], [1.0, 0.5, 0.292_893, 0.133_975]);
        assert_eq!(rates(&wsd(4.0, 4.0, DecayShape::Cosine, 0.2), 10)[6..], [1.0, 0.882_843, 0.6, 0.317_157]);
        // nanoGPT's cosine: a tenth at the end.
        let cosine = rates(&of(ScheduleKind::Cosine, 2.0, 0.1), 6);
        assert_eq!(cosine, [0.5, 1.0, 1.0, 0.868_198, 0.55, 0.231_802]);
        assert_eq!(rates(&of(ScheduleKind::Linear, 0.0, 0.0), 4), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(rates(&of(ScheduleKind::Constant, 2.0, 0.5), 4), [0.5, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn warmup_is_never_longer_than_half_of_the_run() {
        let cut = rates(&of(ScheduleKind::Constant, 2000.0, 0.0), 6);
        assert_eq!(cut, [0.333_333, 0.666_667, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(rates(&wsd(100.0, 100.0, DecayShape::Linear, 0.0), 1), [1.0], "one step is made in full");
        assert_eq!(of(ScheduleKind::Cosine, 9.0, 0.0).rate(0, 0), 1.0, "a run of nothing divides by nothing");
    }

    #[test]
    fn what_a_longer_run_shares_with_a_shorter_one() {
        assert_eq!(wsd(100.0, 0.2, DecayShape::Linear, 0.0).stable_until(1000), 800);
        assert_eq!(wsd(100.0, 50.0, DecayShape::Linear, 0.0).stable_until(1000), 950);
        assert_eq!(wsd(100.0, 0.2, DecayShape::Linear, 0.0).stable_until(150), 0, "its warmup is cut");
        assert_eq!(wsd(0.1, 0.2, DecayShape::Linear, 0.0).stable_until(1000), 0, "its warmup is a share");
        assert_eq!(of(ScheduleKind::Constant, 100.0, 0.0).stable_until(1000), 1000);
        assert_eq!(of(ScheduleKind::Cosine, 100.0, 0.0).stable_until(1000), 100);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let fields =
            |schedule: Schedule| -> Vec<String> { schedule.check().iter().map(Problem::field).collect() };
        assert!(fields(Schedule::default()).is_empty());
        assert_eq!(fields(wsd(1.5, -1.0, DecayShape::Linear, 2.0)), ["warmup", "decay", "min_ratio"]);
        assert_eq!(fields(of(ScheduleKind::Constant, f64::NAN, f64::NAN)), ["warmup", "min_ratio"]);
        let idle = Schedule { kind: ScheduleKind::Cosine, ..wsd(1.0, 0.1, DecayShape::Sqrt, 0.0) };
        assert_eq!(fields(idle), ["decay", "decay_shape"]);
        let floor = |kind| fields(of(kind, 100.0, 0.1));
        assert_eq!(floor(ScheduleKind::Constant), ["min_ratio"]);
        let falls = [ScheduleKind::Wsd, ScheduleKind::Cosine, ScheduleKind::Linear];
        assert!(falls.into_iter().all(|kind| floor(kind).is_empty()));
        assert!(fields(of(ScheduleKind::Constant, 100.0, 0.0)).is_empty());
    }

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        let span = || prop_oneof![0.0..1.0, (0u32..3000).prop_map(f64::from)];
        let kinds = [ScheduleKind::Wsd, ScheduleKind::Cosine, ScheduleKind::Linear, ScheduleKind::Constant];
        let shapes = [DecayShape::Linear, DecayShape::Cosine, DecayShape::Sqrt];
        let choices = (proptest::sample::select(kinds.to_vec()), proptest::sample::select(shapes.to_vec()));
        (choices, span(), span(), 0.0..=1.0).prop_map(|((kind, shape), warmup, decay, min_ratio)| Schedule {
            kind,
            ..wsd(warmup, decay, shape, min_ratio)
        })
    }

    proptest! {
        #[test]
        fn no_step_is_above_the_peak_or_made_for_nothing(schedule in any_schedule(), steps in 1u64..2000) {
            let rates: Vec<f64> = (0..steps).map(|step| schedule.rate(step, steps)).collect();
            prop_assert!(rates.iter().all(|rate| *rate > 0.0 && *rate <= 1.0), "{rates:?}");
            let peak = rates.iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(peak, 1.0);
        }

        #[test]
        fn the_rate_rises_once_falls_once_and_ends_at_the_floor(schedule in any_schedule(), steps in 1u64..2000) {
            let rates: Vec<f64> = (0..=steps).map(|step| schedule.rate(step, steps)).collect();
            let warm = rates.iter().position(|rate| *rate == 1.0).unwrap();
            prop_assert!(rates[..=warm].is_sorted());
            prop_assert!(rates[warm..].is_sorted_by(|a, b| a >= b));
            let falls = match schedule.kind {
                ScheduleKind::Constant => false,
                ScheduleKind::Wsd => span(schedule.decay.unwrap(), steps) > 0,
                _ => true,
            };
            let floor = if falls { schedule.min_ratio } else { 1.0 };
            prop_assert!((rates[rates.len() - 1] - floor).abs() < 1e-12);
        }

        #[test]
        fn no_step_jumps_further_than_its_part_of_the_way(schedule in any_schedule(), steps in 1u64..2000) {
            let warmup = schedule.warmup_steps(steps);
            let start = if schedule.kind == ScheduleKind::Wsd { schedule.decay_start(steps) } else { warmup };
            let part = |steps: u64| 1.0 / steps.max(1) as f64;
            for step in 1..=steps {
                let jump = (schedule.rate(step, steps) - schedule.rate(step - 1, steps)).abs();
                let most = match schedule.decay_shape.unwrap() {
                    _ if step < warmup => part(warmup),
                    // The root is steepest where it begins.
                    DecayShape::Sqrt if schedule.kind == ScheduleKind::Wsd => part(steps - start).sqrt(),
                    _ => part(steps - start) * std::f64::consts::FRAC_PI_2,
                };
                prop_assert!(jump <= most + 1e-12, "step {step}: {jump} of {most}");
            }
        }

        #[test]
        fn a_longer_run_shares_what_is_said(schedule in any_schedule(), steps in 1u64..1000, more in 1u64..1000) {
            for step in 0..schedule.stable_until(steps) {
                prop_assert_eq!(schedule.rate(step, steps), schedule.rate(step, steps + more), "step {}", step);
            }
        }
    }
}
