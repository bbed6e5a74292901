//! What the schema cannot say of a recipe.
use crate::recipe::{Recipe, Recompute};
use muse_model::config::{Model, Problem, Shape};
use muse_model::net::Weight;
use muse_model::optim::OptimizerKind;
use muse_stage::{FieldError, StageError};

/// More steps than anyone makes.
const MOST_STEPS: u64 = 1_000_000_000;
/// A step has no more tokens: all of them are in memory at once.
const MOST_TOKENS: u64 = 1 << 30;
/// No rate is higher.
const MOST_RATE: f64 = 10.0;

impl Recipe {
    /// Whether it makes sense, and with a model, as far as that is known.
    pub fn check(&self, model: Option<&Model>) -> Result<(), FieldError> {
        self.check_numbers()?;
        first("/optimizer", self.optimizer.check())?;
        if let Some(lora) = &self.lora {
            first("/lora", lora.check())?;
            if self.optimizer.kind == OptimizerKind::Muonclip {
                let message = "`muonclip` scales the weights of queries and keys, and with `lora` these stay as they are";
                return Err(FieldError::new("/optimizer/kind", message).help("write `kind: muon`"));
            }
        }
        if let Some(model) = model {
            if self.lora.is_some() && model.linear.is_some() {
                let message = "factors stand beside matrices as they are, and those of this model are of low rank or rounded";
                let help = "leave `lora` out, and train the model itself";
                return Err(FieldError::new("/lora", message).help(help));
            }
            if let Some(lora) = &self.lora {
                first("/lora", lora.check_model(&model.shape(1, 1)))?;
            }
            first("/optimizer", self.optimizer.check_model(model))?;
            first("/optimizer", self.optimizer.check_groups(&self.changes(&model.shape(1, 1))))?;
        }
        first("/schedule", self.schedule.check())?;
        first("/loss", self.loss.check())?;
        if self.offload && self.recompute == Recompute::None {
            let message =
                "without `recompute` blocks keep all that they need, and none of it can wait elsewhere";
            return Err(FieldError::new("/offload", message).help("write `recompute: block` too"));
        }
        Ok(())
    }

    /// What the optimizer changes in a model of this shape.
    pub(crate) fn changes(&self, shape: &Shape) -> Vec<Weight> {
        match &self.lora {
            None => Weight::all(shape),
            Some(lora) => lora.weights(shape).into_iter().flat_map(|(_, both)| both).collect(),
        }
    }

    /// Whether a step has room for a sequence of this length.
    pub fn check_context(&self, context: usize) -> Result<(), FieldError> {
        if self.batch_tokens < context as u64 {
            let message =
                format!("a step of {} tokens, and one sequence of the data has {context}", self.batch_tokens);
            let help = format!("write `batch_tokens: {context}` or more, or pack with a shorter `context`");
            return Err(FieldError::new("/batch_tokens", message).help(help));
        }
        Ok(())
    }

    /// Whether so many devices each have a sequence of a step, where one has so many tokens.
    pub fn check_devices(&self, context: usize, devices: usize) -> Result<(), FieldError> {
        let sequences = self.sequences(context);
        if sequences < devices as u64 {
            let each = if sequences == 1 { "1 sequence".into() } else { format!("{sequences} sequences") };
            let message = format!("a step of {each}, and {devices} GPUs to share them");
            let least = devices.saturating_mul(context);
            let help =
                format!("write `batch_tokens: {least}` or more, or `resources: {{ gpu: {sequences} }}`");
            return Err(FieldError::new("/batch_tokens", message).help(help));
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
            ("/micro_batch", self.micro_batch.unwrap_or(1), "sequences at once"),
            ("/eval_every", self.eval_every, "steps from one evaluation to the next"),
            ("/eval_tokens", self.eval_tokens, "tokens to evaluate on"),
            ("/checkpoint_every", self.checkpoint_every, "steps from one checkpoint to the next"),
            ("/keep_last", u64::from(self.keep_last), "checkpoints that stay"),
        ];
        match counts.into_iter().find(|(_, count, _)| *count == 0) {
            Some((pointer, _, what)) => Err(FieldError::new(pointer, format!("0 {what}")).help("1 or more")),
            None => Ok(()),
        }
    }
}

/// Whether a step is as large as steps are.
pub fn check_batch(batch_tokens: u64) -> Result<(), FieldError> {
    if !(1..=MOST_TOKENS).contains(&batch_tokens) {
        let message = format!("a step of {batch_tokens} tokens");
        return Err(FieldError::new("/batch_tokens", message).help(format!("1 to {MOST_TOKENS}")));
    }
    Ok(())
}

/// Whether a training is as long as trainings are, where the length was `said` at `pointer`.
pub fn check_steps(pointer: &str, said: &str, steps: u64) -> Result<(), FieldError> {
    if !(1..=MOST_STEPS).contains(&steps) {
        let message = format!("{said}, which is {steps} steps");
        return Err(FieldError::new(pointer, message).help(format!("1 to {MOST_STEPS} steps")));
    }
    Ok(())
}

/// What is wrong with a field, as a run says it.
pub fn at_run(error: FieldError) -> StageError {
    let said = StageError::new(error.message);
    match error.help {
        Some(help) => said.help(help),
        None => said,
    }
}

/// The first problem of a part, as one of the whole.
pub fn first(part: &str, problems: impl IntoIterator<Item = Problem>) -> Result<(), FieldError> {
    match problems.into_iter().next() {
        Some(Problem { pointer, message, help }) => {
            Err(FieldError::new(format!("{part}{pointer}"), message).help(help))
        }
        None => Ok(()),
    }
}
