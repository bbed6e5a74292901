//! [`Optimizer`]: a step, weight by weight.
use super::groups::{Plan, Rule};
use super::muon::{newton_schulz, size};
use super::rounding::{seed, to_bf16};
use super::state::{Codes, Kept, Sort};
use super::{OptimError, OptimizerConfig, StateKind};
use crate::net::{Role, Weight};
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{AdamStep, Ops};

/// Numbers that are worked on at once where each goes by itself, so that what is there for a moment stays small beside a large
/// embedding. A multiple of a block of 8-bit state.
const PIECE: usize = 1 << 24;

/// Changes weights, and remembers what it must from step to step.
///
/// The same weights, gradients and steps give the same numbers, rounding at random included: it depends on the step and the
/// place alone.
pub struct Optimizer<B: Ops> {
    pub(super) slots: Vec<Slot<B>>,
    pub(super) device: B::Device,
    codes: Codes<B>,
    step: u64,
    rate: f64,
    scale: f64,
}

/// A weight, and what is remembered of it.
pub(super) struct Slot<B: Ops> {
    pub(super) weight: Weight,
    pub(super) kind: StateKind,
    /// How many numbers of it are worked on at once.
    pub(super) piece: usize,
    /// Of each piece, what its rule keeps, in the order of [`Rule::sorts`].
    pub(super) pieces: Vec<Vec<Kept<B>>>,
    plan: Plan,
}

impl Rule {
    /// What it keeps.
    pub(super) fn sorts(self) -> &'static [Sort] {
        match self {
            Self::Frozen => &[],
            Self::Adamw { .. } => &[Sort::Mean, Sort::Square],
            Self::Muon { .. } | Self::Sgd { .. } => &[Sort::Momentum],
        }
    }
}

impl<B: Ops> Slot<B> {
    pub(super) fn sorts(&self) -> &'static [Sort] {
        self.plan.rule.sorts()
    }
}

impl<B: Ops> Optimizer<B> {
    /// One that has made no step yet, for these weights.
    pub fn new(
        config: &OptimizerConfig,
        weights: Vec<Weight>,
        device: &B::Device,
    ) -> Result<Self, OptimError> {
        Self::in_pieces(config, weights, device, PIECE)
    }

    pub(super) fn in_pieces(
        config: &OptimizerConfig,
        weights: Vec<Weight>,
        device: &B::Device,
        piece: usize,
    ) -> Result<Self, OptimError> {
        let plans = Plan::all(config, &weights)?;
        let codes = Codes::new(device);
        let slots = weights.into_iter().zip(plans).map(|(weight, plan)| {
            let len = weight.len();
            // Norms are too few for their bytes to matter.
            let kind = if weight.role == Role::Norm { StateKind::F32 } else { config.state };
            let piece = if matches!(plan.rule, Rule::Muon { .. }) { len } else { piece }.max(1);
            let nothing = |len| move |sort: &Sort| (*sort, len);
            let pieces = (0..len).step_by(piece).map(|start| {
                let sorts = plan.rule.sorts().iter().map(nothing(piece.min(len - start)));
                sorts.map(|(sort, len)| codes.nothing(kind, sort, len, device)).collect()
            });
            Slot { kind, piece, pieces: pieces.collect(), weight, plan }
        });
        Ok(Self { slots: slots.collect(), device: device.clone(), codes, step: 1, rate: 0.0, scale: 1.0 })
    }

    /// Begins step `step` (from 1) at this learning rate. `scale` is what gradients are multiplied by, which
    /// [`super::clip_scale`] says. A step whose global norm is not finite must not be begun: nothing would mend what it leaves.
    pub fn begin(&mut self, step: u64, rate: f64, scale: f64) {
        (self.step, self.rate, self.scale) = (step, rate, scale);
    }

    /// Whether weight number `at` stays as it is: its gradient need not be made, and counts for no norm.
    pub fn is_frozen(&self, at: usize) -> bool {
        self.slots[at].plan.rule == Rule::Frozen
    }

    /// The new value of weight number `at`. Both come flat, the gradient in f32, the weight in f32, or in bf16 where it is
    /// kept so: it is then rounded at random.
    pub fn update(&mut self, at: usize, weight: Tensor<B, 1>, grad: Tensor<B, 1>) -> Tensor<B, 1> {
        let (len, piece) = (self.slots[at].weight.len(), self.slots[at].piece);
        if self.is_frozen(at) || len == 0 {
            return weight;
        }
        if len <= piece {
            return self.update_piece(at, 0, weight, grad);
        }
        let part = |x: &Tensor<B, 1>, start: usize| x.clone().narrow(0, start, piece.min(len - start));
        let starts = (0..len).step_by(piece).enumerate();
        let new = starts
            .map(|(number, start)| self.update_piece(at, number, part(&weight, start), part(&grad, start)));
        Tensor::cat(new.collect(), 0)
    }

    fn update_piece(
        &mut self,
        at: usize,
        number: usize,
        weight: Tensor<B, 1>,
        grad: Tensor<B, 1>,
    ) -> Tensor<B, 1> {
        let slot = &mut self.slots[at];
        let ([len], dtype, kind) = (weight.dims(), weight.dtype(), slot.kind);
        let sorts = slot.sorts();
        let kept = std::mem::take(&mut slot.pieces[number]);
        let state =
            kept.into_iter().zip(sorts).map(|(kept, sort)| self.codes.open(kept, *sort, len)).collect();
        let wide = if dtype == DType::F32 { weight } else { weight.cast(DType::F32) };

        let step = Step { number: self.step, rate: self.rate * slot.plan.rate, scale: self.scale };
        let (new, state) = step.make(&slot.plan, &slot.weight.shape, wide, grad, state);

        let seed = |purpose: usize| seed([self.step, at as u64, number as u64, purpose as u64]);
        let closed = state.into_iter().zip(sorts).enumerate();
        slot.pieces[number] =
            closed.map(|(which, (x, sort))| self.codes.close(x, kind, *sort, seed(which + 1))).collect();
        if dtype == DType::F32 { new } else { to_bf16::<B>(new, seed(0)) }
    }
}

/// What is the same for all of a weight.
struct Step {
    number: u64,
    rate: f64,
    scale: f64,
}

impl Step {
    /// The new weight, and what is remembered.
    fn make<B: Ops>(
        &self,
        plan: &Plan,
        shape: &[usize],
        weight: Tensor<B, 1>,
        grad: Tensor<B, 1>,
        state: Vec<Tensor<B, 1>>,
    ) -> (Tensor<B, 1>, Vec<Tensor<B, 1>>) {
        let mut state = state.into_iter();
        let (first, second) = (state.next(), state.next());
        match (plan.rule, first, second) {
            (Rule::Adamw { betas: [beta1, beta2], epsilon }, Some(mean), Some(square)) => {
                let Self { number: step, rate, scale } = *self;
                let step = AdamStep { rate, beta1, beta2, epsilon, decay: plan.decay, scale, step };
                let (weight, (mean, square)) = B::adamw(weight, grad, (mean, square), &step);
                (weight, vec![mean, square])
            }
            (Rule::Muon { momentum, nesterov }, Some(kept), None) => {
                let (update, kept) = self.ahead(grad, kept, momentum, nesterov);
                let (rows, columns) = (shape[0], shape[1]);
                let update = newton_schulz::<B>(update.reshape([rows, columns])).reshape([rows * columns]);
                (self.moved(plan, weight, update.mul_scalar(size([rows, columns]))), vec![kept])
            }
            (Rule::Sgd { momentum, nesterov }, Some(kept), None) => {
                let (update, kept) = self.ahead(grad, kept, momentum, nesterov);
                (self.moved(plan, weight, update), vec![kept])
            }
            (_, first, second) => (weight, first.into_iter().chain(second).collect()),
        }
    }

    /// Which way momentum goes with this gradient, and momentum.
    fn ahead<B: Ops>(
        &self,
        grad: Tensor<B, 1>,
        kept: Tensor<B, 1>,
        momentum: f64,
        nesterov: bool,
    ) -> (Tensor<B, 1>, Tensor<B, 1>) {
        let grad = grad.mul_scalar(self.scale);
        if !nesterov {
            let kept = kept.mul_scalar(momentum) + grad;
            return (kept.clone(), kept);
        }
        let kept = kept.mul_scalar(momentum) + grad.clone();
        (grad + kept.clone().mul_scalar(momentum), kept)
    }

    fn moved<B: Ops>(&self, plan: &Plan, weight: Tensor<B, 1>, update: Tensor<B, 1>) -> Tensor<B, 1> {
        weight.mul_scalar(1.0 - self.rate * plan.decay) - update.mul_scalar(self.rate)
    }
}
