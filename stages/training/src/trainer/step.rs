//! Steps: each is asked of the device whole, and looked at when its loss has come back, while the next ones are under way already.
//!
//! A step whose loss or gradient is no number changes nothing, and neither do those that were asked for behind it. So when it is
//! looked at, these are forgotten and asked for once more, and all goes as if each had been waited for.
use super::{Trainer, failed};
use crate::data::{Cursor, Step};
use crate::guard::Verdict;
use burn::prelude::*;
use muse_model::buckets::Onto;
use muse_model::kernels::{Member, Ops};
use muse_model::net::{Dropped, Setting};
use muse_model::optim::{Told, qk_clip};
use muse_model::pass::{Pass, pass};
use muse_stage::StageError;

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// The objective's mean.
    pub(crate) loss: f64,
    /// The norm of the gradient before clipping.
    pub(crate) norm: f64,
    /// The learning rate.
    pub(crate) rate: f64,
    /// What was done about it.
    pub(crate) verdict: Verdict,
}

/// A step that the device was asked for.
pub(super) struct Asked {
    told: Told,
    rate: f64,
    tokens: u64,
    /// Where the next one begins in the data.
    cursor: Cursor,
}

/// How many steps a device is asked for before the first is looked at. Those that work together go step by step, and each waits for its
/// gradients ([`waited_with`]).
pub(crate) fn ahead<B: Ops>(member: Option<&Member>) -> usize {
    if member.is_some() { 0 } else { B::AHEAD }
}

/// Waits for what the others have to do with it, if there are any. A GPU that waits for another may stand in its way: Burn finds out
/// which kernels are fast on one GPU at a time, and that takes until the GPU has nothing else to do.
pub(crate) fn waited_with(member: Option<&Member>, told: Told) -> Told {
    if member.is_some() { told.waited() } else { told }
}

impl<B: Ops> Trainer<'_, B> {
    /// Makes the next step, but for going back where the guard says so. With `on`, those behind it may be asked for, up to the next
    /// one behind which something else is done.
    pub(crate) fn step(&mut self, on: bool) -> Result<Made, StageError> {
        while self.asked.len() <= self.ahead {
            let number = self.state.made + self.asked.len() as u64;
            let may = on && self.training.recipe.goes_on_at(number);
            if !self.asked.is_empty() && !may {
                break;
            }
            let asked = self.ask(number)?;
            self.asked.push_back(asked);
        }
        let asked = self.asked.pop_front().ok_or_else(|| StageError::new("no step was asked for"))?;
        self.looked_at(asked)
    }

    /// Whether a step was asked for that is not looked at yet.
    pub(crate) fn is_ahead(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Asks for step `number`, the first being 0.
    fn ask(&mut self, number: u64) -> Result<Asked, StageError> {
        let step = self.batches.step()?;
        let rate = self.training.recipe.rate(number) * self.state.guard.rate();
        let Pass { loss, grads, peaks, .. } = self.gathered(&step, number)?;
        let counted = grads.iter().enumerate().filter(|(at, _)| self.optimizer.counts(*at));
        let (scale, told) = self.clip.of(loss, counted.map(|(_, grad)| grad));
        let told = waited_with(self.member.as_ref(), told);
        let update = self.state.updates + self.asked.len() as u64 + 1;
        let optimizer = &mut self.optimizer;
        optimizer.begin(update, rate, scale.clone(), grads);
        let change = |weights| optimizer.update(weights);
        match self.lora.take() {
            Some(lora) => self.lora = Some(lora.changed_together(change)),
            None => self.net = self.net.take().map(|net| net.changed_together(change)),
        }
        if let Some(threshold) = self.training.recipe.optimizer.threshold() {
            self.clip_heads(peaks, threshold, &scale);
        }
        Ok(Asked { told, rate, tokens: step.tokens(), cursor: self.batches.cursor() })
    }

    /// Looks at what a step came to.
    fn looked_at(&mut self, asked: Asked) -> Result<Made, StageError> {
        let Asked { told, rate, tokens, cursor } = asked;
        let (loss, norm) = told.loss_and_norm();
        self.checked()?;
        let verdict = self.state.guard.judge(self.state.made, loss, norm)?;
        if verdict == Verdict::Apply {
            self.state.updates += 1;
        } else {
            self.forget_asked(cursor);
        }
        if !matches!(verdict, Verdict::RollBack(_)) {
            self.state.made += 1;
            self.state.tokens += tokens;
            self.state.cursor = cursor;
            self.state.losses.add(self.state.made, loss);
        }
        Ok(Made { loss, norm, rate, verdict })
    }

    /// Forgets what was asked for and did nothing, and begins in the data at `cursor` once more.
    pub(super) fn forget_asked(&mut self, cursor: Cursor) {
        self.asked.clear();
        self.clip.go_on();
        self.batches.go_to(cursor);
    }

    /// Whether all went well until now, here and with the others.
    pub(crate) fn checked(&self) -> Result<(), StageError> {
        B::checked(&self.device).map_err(failed)?;
        self.member.as_ref().and_then(Member::over).map_or(Ok(()), |error| Err(failed(error)))
    }

    /// The loss and the gradients of a step, added up over its micro-batches: over those of all devices.
    fn gathered(&self, step: &Step, at: u64) -> Result<Pass<B>, StageError> {
        let (rank, devices) = self.place();
        let mut sum: Option<Pass<B>> = None;
        let mut share = step.share_of(rank, devices).peekable();
        while let Some((number, rows)) = share.next() {
            let dropped = Dropped::of(&self.model, self.training.recipe.seed_of(at, number));
            let setting = Setting { dropped, of_a_row: step.of_a_row(), ..self.setting.clone() };
            let (before, so_far) = match sum {
                None => (None, None),
                Some(Pass { loss, plain, grads, peaks, .. }) => (Some((loss, plain, peaks)), Some(grads)),
            };
            let last = share.peek().is_none();
            let mut passed = pass(
                self.acting(),
                &self.batch(&rows),
                &setting,
                &self.objective,
                step.share(),
                self.training.recipe.keeps(),
                Onto { so_far, member: self.member.as_ref().filter(|_| last) },
            );
            if let Some((loss, plain, peaks)) = before {
                (passed.loss, passed.plain) = (loss + passed.loss, plain + passed.plain);
                let pairs = peaks.into_iter().zip(passed.peaks);
                passed.peaks = pairs.map(|(most, peak)| most.max_pair(peak)).collect();
            }
            sum = Some(passed);
        }
        let own = sum.ok_or_else(|| StageError::new("a step has no sequence for each device"))?;
        match &self.member {
            Some(member) => own.together(member).map_err(failed),
            None => Ok(own),
        }
    }

    /// Which one this is of how many.
    pub(super) fn place(&self) -> (usize, usize) {
        self.member.as_ref().map_or((0, 1), |member| (member.rank(), member.count()))
    }

    /// Brings heads whose logits grew too large back to the threshold.
    fn clip_heads(&mut self, peaks: Vec<Tensor<B, 1>>, threshold: f64, scale: &Tensor<B, 1>) {
        let mut peaks = peaks.into_iter();
        self.net = self
            .net
            .take()
            .map(|net| net.with_logits_scaled(|| Some(qk_clip(peaks.next()?, threshold, scale))));
    }
}
