//! What a training tells while it goes: figures of each step, how fast it is, what went wrong. None of it is in the result.
use crate::guard::Verdict;
use crate::recipe::Recipe;
use crate::state::State;
use crate::trainer::{Made, Trainer};
use muse_model::count::Flops;
use muse_model::kernels::{Ops, gpu_memory};
use muse_stage::Context;
use std::io::Write;
use std::time::{Duration, Instant};

/// Speed and memory are told this often.
const SPEED_EVERY: Duration = Duration::from_millis(500);

/// Tells how a training goes.
pub(crate) struct Tell {
    steps: u64,
    flops_per_token: f64,
    /// Operations a second that the device can do, where known.
    peak: Option<f64>,
    on_gpu: bool,
    /// The most memory of the device that was taken so far.
    memory: Option<u64>,
    since: Instant,
    tokens: u64,
    /// Time that went into other things than steps.
    aside: Duration,
}

impl Tell {
    pub(crate) fn new<B: Ops>(
        trainer: &Trainer<'_, B>,
        recipe: &Recipe,
        peak: Option<f64>,
        on_gpu: bool,
    ) -> Self {
        Self {
            steps: recipe.steps,
            flops_per_token: Flops::of(trainer.shape()).training as f64,
            peak,
            on_gpu,
            memory: None,
            since: Instant::now(),
            tokens: 0,
            aside: Duration::ZERO,
        }
    }

    /// Says something into the stage's log.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    pub(crate) fn goes_on(&mut self, made: u64) {
        self.say(&format!("goes on at step {made} of {}", self.steps));
        (self.since, self.tokens, self.aside) = (Instant::now(), 0, Duration::ZERO);
    }

    /// Does something that is no step, so that the speed of steps leaves its time out.
    pub(crate) fn aside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        self.aside += begin.elapsed();
        done
    }

    pub(crate) fn step(&mut self, context: &mut Context, state: &State, made: &Made) {
        let step = state.made;
        match made.verdict {
            Verdict::Apply => {}
            Verdict::Skip => {
                self.say(&format!(
                    "step {step} is skipped: its loss is {}, its gradient {}",
                    made.loss, made.norm
                ));
                context.metric(step, "skipped", 1.0);
            }
            Verdict::RollBack(to) => {
                self.say(&format!("back to step {to}, and on with {} of the rate", state.guard.rate()));
                context.metric(step + 1, "rolled_back", to as f64);
                return;
            }
        }
        for (name, value) in [("loss", made.loss), ("lr", made.rate), ("grad_norm", made.norm)] {
            if value.is_finite() {
                context.metric(step, name, value);
            }
        }
        self.speed(context, state);
        context.progress(step, Some(self.steps), "steps");
    }

    fn speed(&mut self, context: &mut Context, state: &State) {
        if self.tokens == 0 {
            // The first step wakes the device: what comes before its end is no speed.
            (self.since, self.tokens, self.aside) = (Instant::now(), state.tokens, Duration::ZERO);
            return;
        }
        let time = self.since.elapsed().saturating_sub(self.aside);
        if time < SPEED_EVERY && state.made != self.steps {
            return;
        }
        let speed = state.tokens.saturating_sub(self.tokens) as f64 / time.as_secs_f64();
        context.metric(state.made, "tokens_per_second", speed);
        if let Some(peak) = self.peak {
            context.metric(state.made, "mfu", speed * self.flops_per_token / peak);
        }
        self.memory = self.memory.max(if self.on_gpu { gpu_memory() } else { program_memory() });
        if let Some(memory) = self.memory {
            context.metric(state.made, "memory", memory as f64);
        }
        (self.since, self.tokens, self.aside) = (Instant::now(), state.tokens, Duration::ZERO);
    }

    pub(crate) fn evaluated(&mut self, context: &mut Context, state: &State, loss: f64) {
        context.metric(state.made, "val_loss", loss);
        if let Some(best) = state.best {
            context.metric(state.made, "best_val_loss", best.loss);
        }
    }
}

/// The most memory that this process has taken, where the system says so.
pub(crate) fn program_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
