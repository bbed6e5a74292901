//! What the schema cannot say of the parameters.
use crate::params::{Params, Recompute};
use muse_model::config::Problem;
use muse_model::net::Weight;
use muse_stage::FieldError;

/// More steps than anyone makes.
const MOST_STEPS: u64 = 1_000_000_000;
/// A step has no more tokens: all of them are in memory at once.
const MOST_TOKENS: u64 = 1 << 30;
/// No rate is higher.
const MOST_RATE: f64 = 10.0;

impl Params {
    /// Whether they make sense.
    pub fn check(&self) -> Result<(), FieldError> {
        first("/model", self.model.check())?;
        self.check_length()?;
        self.check_numbers()?;
        first("/optimizer", self.optimizer.check())?;
        first("/optimizer", self.optimizer.check_model(self.model.qk_norm))?;
        first("/optimizer", self.optimizer.check_groups(&Weight::all(&self.model.shape(1, 1))))?;
        first("/schedule", self.schedule.check())?;
        first("/loss", self.loss.check())?;
        if *self.offload && *self.recompute == Recompute::None {
            let message =
                "without `recompute` blocks keep all that they need, and none of it can wait elsewhere";
            return Err(FieldError::new("/offload", message).help("write `recompute: block` too"));
        }
        Ok(())
    }

    /// Whether they fit data of this vocabulary and of sequences of this length.
    pub fn check_data(&self, vocab_size: usize, context: usize) -> Result<(), FieldError> {
        first("/model", self.model.check_data(vocab_size, context))?;
        if self.batch_tokens.0 < context as u64 {
            let message = format!(
                "a step of {} tokens, and one sequence of the data has {context}",
                self.batch_tokens.0
            );
            let help = format!("write `batch_tokens: {context}` or more, or pack with a shorter `context`");
            return Err(FieldError::new("/batch_tokens", message).help(help));
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), FieldError> {
        let batch = self.batch_tokens.0;
        if !(1..=MOST_TOKENS).contains(&batch) {
            let message = format!("a step of {batch} tokens");
            return Err(FieldError::new("/batch_tokens", message).help(format!("1 to {MOST_TOKENS}")));
        }
        let (pointer, said) = match (self.tokens, self.steps) {
            (Some(_), Some(steps)) => {
                let message = "`tokens` and `steps` both say how long to train";
                let tokens = steps.0.0.saturating_mul(batch);
                let help = format!("take one of them away: {} steps are `tokens: {tokens}`", steps.0.0);
                return Err(FieldError::new("/steps", message).help(help));
            }
            (None, None) => {
                let message = "nothing says how long to train";
                return Err(FieldError::new("", message).help("write `tokens: 100M` or `steps: 1000`"));
            }
            (Some(tokens), None) => ("/tokens", format!("`tokens` is {}", tokens.0.0)),
            (None, Some(steps)) => ("/steps", format!("`steps` is {}", steps.0.0)),
        };
        let steps = self.steps();
        if !(1..=MOST_STEPS).contains(&steps) {
            let message = format!("{said}, which is {steps} steps");
            return Err(FieldError::new(pointer, message).help(format!("1 to {MOST_STEPS} steps")));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), FieldError> {
        if !(self.lr > 0.0 && self.lr <= MOST_RATE) {
            let message = format!("a learning rate of {}", self.lr);
            let help = format!("more than 0, and {MOST_RATE} at most; 1e-3 to 1e-4 is usual");
            return Err(FieldError::new("/lr", message).help(help));
        }
        if !(self.clip.is_finite() && self.clip >= 0.0) {
            let message = format!("gradients of a norm of {}", self.clip);
            return Err(FieldError::new("/clip", message).help("1 is usual; 0 leaves them as they are"));
        }
        let counts = [
            ("/micro_batch", self.micro_batch.map_or(1, |count| count.0), "sequences at once"),
            ("/eval_every", self.eval_every.0, "steps from one evaluation to the next"),
            ("/eval_tokens", self.eval_tokens.0, "tokens to evaluate on"),
            ("/checkpoint_every", self.checkpoint_every.0.0, "steps from one checkpoint to the next"),
            ("/keep_last", u64::from(*self.keep_last), "checkpoints that stay"),
        ];
        match counts.into_iter().find(|(_, count, _)| *count == 0) {
            Some((pointer, _, what)) => Err(FieldError::new(pointer, format!("0 {what}")).help("1 or more")),
            None => Ok(()),
        }
    }
}

/// The first problem of a part, as one of the whole.
fn first(part: &str, problems: impl IntoIterator<Item = Problem>) -> Result<(), FieldError> {
    match problems.into_iter().next() {
        Some(Problem { pointer, message, help }) => {
            Err(FieldError::new(format!("{part}{pointer}"), message).help(help))
        }
        None => Ok(()),
    }
}
