//! What is done about steps whose loss or gradient is no number: they are skipped, and where that does not end, the training
//! goes back to where all was well and on from there with a lower rate.
//!
//! The guard says what to do and remembers what it said; the loop does it. It goes by numbers alone, so the same steps lead to
//! the same ends, and a training that was killed comes to the same weights as one that was not. Only what is no number
//! counts: a loss that leaps is left to the clipping of gradients.
//!
//! It returns only to checkpoints of which [`Guard::is_good`] said that they are good, and not to what a signal or the hour
//! left behind: so how often checkpoints are written changes nothing. Its own state goes into every checkpoint. Going
//! back, the loop takes all else from the checkpoint, and keeps the guard.
use muse_stage::StageError;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// So many skipped steps are one too many,
const SKIPS: usize = 3;
/// where they are among so many steps.
const WITHIN: u64 = 100;
/// What the rate is multiplied by on the way back.
const LOWER: f64 = 0.5;
/// So often the training goes back; then it gives up.
const ROLL_BACKS: usize = 3;

/// What to do with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Change the weights.
    Apply,
    /// Change neither weights nor the optimizer's numbers; the next step takes the next data.
    Skip,
    /// Go back to the checkpoint after this many steps, of which [`Guard::is_good`] said that it is good; to the very start
    /// where it is 0.
    RollBack(u64),
}

/// A way back that was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The step that was one too many, the first being 1.
    pub at: u64,
    /// Steps that were made where it went on.
    pub to: u64,
}

/// Watches a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Steps that were skipped of late, oldest first.
    late: VecDeque<u64>,
    /// Steps that were made at the last good checkpoint.
    good: u64,
    /// Steps that were skipped in all.
    skipped: u64,
    rolled_back: Vec<RolledBack>,
}

impl Guard {
    /// Judges step `step`, the first being 0, by its loss and the norm of its gradient before clipping. An error where it
    /// gives up.
    pub fn judge(&mut self, step: u64, loss: f64, norm: f64) -> Result<Verdict, StageError> {
        self.forget(step);
        if loss.is_finite() && norm.is_finite() {
            return Ok(Verdict::Apply);
        }
        self.late.push_back(step);
        self.skipped += 1;
        if self.late.len() < SKIPS {
            return Ok(Verdict::Skip);
        }
        if self.rolled_back.len() == ROLL_BACKS {
            return Err(self.gives_up(step + 1));
        }
        self.late.clear();
        self.rolled_back.push(RolledBack { at: step + 1, to: self.good });
        Ok(Verdict::RollBack(self.good))
    }

    /// Whether a checkpoint after `made` steps is one to return to: no step was skipped of late, and the loss on what is held
    /// back, if there is any, is a number. Then it is returned to, and must be kept, until there is a later one.
    ///
    /// Asked at evaluations alone, since these come at the same steps however often a training is stopped.
    pub fn is_good(&mut self, made: u64, validation: Option<f64>) -> bool {
        self.forget(made);
        let good = self.late.is_empty() && validation.is_none_or(f64::is_finite);
        if good {
            self.good = made;
        }
        good
    }

    /// What the learning rate of the schedule is multiplied by.
    pub fn rate(&self) -> f64 {
        self.rolled_back.iter().map(|_| LOWER).product()
    }

    /// Steps that were made at the checkpoint that is returned to, which must be kept; 0 is the start.
    pub fn good(&self) -> u64 {
        self.good
    }

    /// Steps that were skipped in all.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Each way back, in order.
    pub fn rolled_back(&self) -> &[RolledBack] {
        &self.rolled_back
    }

    /// Whether it did not lead back yet from beyond so many steps: from there on, a way back is a way of its own.
    pub fn is_same_until(&self, made: u64) -> bool {
        self.rolled_back.iter().all(|back| back.at <= made)
    }

    /// What was long before `step` says nothing of it.
    fn forget(&mut self, step: u64) {
        self.late.retain(|late| step.saturating_sub(*late) < WITHIN);
    }

    fn gives_up(&self, step: u64) -> StageError {
        StageError::new(format!(
            "loss or gradient is no number again at step {step}, after {ROLL_BACKS} ways back and at {} of the rate",
            self.rate()
        ))
        .help(
            "write a lower `lr`, or a longer `schedule.warmup`; where `precision` is `bf16`, see whether `f32` goes well",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAN: f64 = f64::NAN;

    #[test]
    fn what_is_no_number_is_skipped() {
        let mut guard = Guard::default();
        assert_eq!(guard.judge(0, 2.0, 1.0).unwrap(), Verdict::Apply);
        assert_eq!(guard.judge(1, 1e30, 1e30).unwrap(), Verdict::Apply, "however large");
        assert_eq!(guard.judge(2, NAN, 1.0).unwrap(), Verdict::Skip);
        assert_eq!(guard.judge(3, 2.0, f64::INFINITY).unwrap(), Verdict::Skip);
        assert_eq!((guard.rate(), guard.skipped()), (1.0, 2));
        // They are forgotten before the third comes.
        assert_eq!(guard.judge(3 + WITHIN, f64::NEG_INFINITY, 1.0).unwrap(), Verdict::Skip);
        assert_eq!((guard.skipped(), guard.rolled_back().len()), (3, 0));
    }

    #[test]
    fn the_third_goes_back_with_half_of_the_rate() {
        let mut guard = Guard::default();
        assert!(guard.is_good(250, Some(2.0)));
        let verdicts = [260, 270, 359].map(|step| guard.judge(step, NAN, NAN).unwrap());
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Skip, Verdict::RollBack(250)]);
        assert_eq!((guard.rate(), guard.rolled_back()), (0.5, &[RolledBack { at: 360, to: 250 }][..]));
        // From there on it begins to count anew.
        assert_eq!(guard.judge(260, NAN, NAN).unwrap(), Verdict::Skip);
        // Before any evaluation there is the start.
        let mut young = Guard::default();
        assert_eq!([1, 2, 3].map(|step| young.judge(step, NAN, 0.0).unwrap())[2], Verdict::RollBack(0));
    }

    #[test]
    fn no_checkpoint_is_good_where_something_was_wrong_of_late() {
        let mut guard = Guard::default();
        assert!(guard.is_good(100, None));
        assert!(!guard.is_good(200, Some(NAN)));
        guard.judge(250, NAN, 1.0).unwrap();
        assert!(!guard.is_good(300, Some(2.0)));
        assert_eq!(guard.good(), 100);
        assert!(guard.is_good(250 + WITHIN, Some(2.0)));
        assert_eq!(guard.good(), 350);
    }

    #[test]
    fn it_gives_up_and_says_what_to_write() {
        let mut guard = Guard::default();
        let mut back = 0;
        let error = (0..).find_map(|step| match guard.judge(step, NAN, 1.0) {
            Ok(Verdict::RollBack(_)) => {
                back += 1;
                None
            }
            Ok(_) => None,
            Err(error) => Some(error),
        });
        let Some(StageError::Failed { message, help }) = error else { panic!("{error:?}") };
        assert_eq!(back, ROLL_BACKS);
        assert!(message.contains("step 12") && message.contains("0.125"), "{message}");
        assert!(help.unwrap().contains("`lr`"));
    }

    proptest! {
        /// A training of made-up steps that is killed at any moments, and goes on from the newest checkpoint of whatever
        /// kind, does the same as one that is not.
        #[test]
        fn kills_change_nothing(
            bad in proptest::collection::btree_map(0_u64..1200, 0_usize..4, 0..30),
            kills in proptest::collection::vec(1_u64..3000, 0..6),
            every in 1_u64..80,
        ) {
            prop_assert_eq!(train(&bad, &kills, every), train(&bad, &[], 1_000_000));
        }

        #[test]
        fn it_always_comes_to_an_end(bad in proptest::collection::vec(any::<bool>(), 1..3000)) {
            let mut guard = Guard::default();
            for (step, bad) in bad.iter().enumerate() {
                let loss = if *bad { NAN } else { 1.0 };
                match guard.judge(step as u64, loss, 1.0) {
                    Ok(verdict) => prop_assert_eq!(*bad, verdict != Verdict::Apply),
                    Err(_) => {
                        prop_assert_eq!(guard.rolled_back().len(), ROLL_BACKS);
                        return Ok(());
                    }
                }
            }
            prop_assert!(guard.skipped() == bad.iter().filter(|bad| **bad).count() as u64);
            prop_assert_eq!(guard.rate(), 0.5_f64.powi(guard.rolled_back().len() as i32));
        }
    }

    /// What a made-up training comes to: its weights, which are the steps that were applied and at which rate, and its guard.
    /// A step in `bad` is no number until there were so many ways back.
    fn train(
        bad: &std::collections::BTreeMap<u64, usize>,
        kills: &[u64],
        every: u64,
    ) -> Result<(Vec<(u64, f64)>, Guard), String> {
        const STEPS: u64 = 1200;
        const EVAL: u64 = 150;
        type State = (u64, Vec<(u64, f64)>, Guard);
        let copy = |state: &State| -> State {
            let guard = serde_json::to_string(&state.2).unwrap();
            (state.0, state.1.clone(), serde_json::from_str(&guard).unwrap())
        };
        let mut state: State = Default::default();
        // By step, as on disk: those that were written later stand in the place of others of that step.
        let mut kept = std::collections::BTreeMap::from([(0, copy(&state))]);
        for moment in 1_u64.. {
            if kills.contains(&moment) {
                state = copy(kept.last_key_value().unwrap().1);
            }
            let (step, rate) = (state.0, state.2.rate());
            if step == STEPS {
                break;
            }
            let wrong = bad.get(&step).is_some_and(|until| state.2.rolled_back().len() <= *until);
            let verdict =
                state.2.judge(step, if wrong { NAN } else { 1.0 }, 1.0).map_err(|error| error.to_string())?;
            match verdict {
                Verdict::Apply => state.1.push((step, rate)),
                Verdict::Skip => {}
                Verdict::RollBack(to) => {
                    let guard = state.2.clone();
                    kept.retain(|made, _| *made <= to);
                    state = copy(&kept[&to]);
                    state.2 = guard;
                    continue;
                }
            }
            state.0 += 1;
            let good = state.0.is_multiple_of(EVAL) && state.2.is_good(state.0, None);
            if good || state.0.is_multiple_of(every) {
                kept.insert(state.0, copy(&state));
            }
        }
        Ok((state.1, state.2))
    }
}
