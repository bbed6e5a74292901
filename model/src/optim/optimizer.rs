//! [`Optimizer`]: a step. Matrices of one shape find their way together, AdamW's weights are changed side by side, and all others go one
//! by one.
use super::adamw::alike;
use super::groups::{Plan, Rule};
use super::muon::stacks;
use super::rounding::{seed, to_bf16};
use super::state::{Codes, Kept, Sort};
use super::{OptimError, OptimizerConfig, StateKind};
use crate::net::Weight;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{AdamStep, Move, Ops, Push, ahead};
use std::mem::take;

/// Numbers that are worked on at once where each goes by itself and not in its place, so that what is there for a moment stays small
/// beside a large embedding. A multiple of a block of 8-bit state.
const PIECE: usize = 1 << 24;

/// Changes weights, and remembers what it must from step to step.
///
/// The same weights, gradients and steps give the same numbers, rounding at random included: it depends on the step and the
/// place alone.
pub struct Optimizer<B: Ops> {
    pub(super) slots: Vec<Slot<B>>,
    pub(super) device: B::Device,
    /// Which matrices find their way together, by their numbers: for all steps alike, so that no number depends on where a run
    /// was taken up.
    pub(super) stacks: Vec<Vec<usize>>,
    /// Which weights AdamW changes side by side.
    pub(super) alike: Vec<Vec<usize>>,
    pub(super) codes: Codes<B>,
    pub(super) step: u64,
    rate: f64,
    /// How far what is added to the scores of experts moves in a step.
    balancing: f64,
    pub(super) scale: Tensor<B, 1>,
}

/// A weight, and what is remembered of it.
pub(super) struct Slot<B: Ops> {
    pub(super) weight: Weight,
    pub(super) kind: StateKind,
    /// How many numbers of it are worked on at once.
    pub(super) piece: usize,
    /// Of each piece, what its rule keeps, in the order of [`Rule::sorts`].
    pub(super) pieces: Vec<Vec<Kept<B>>>,
    pub(super) plan: Plan,
    pub(super) due: Due<B>,
}

/// What a weight is to be changed by in this step.
#[derive(Default)]
pub(super) enum Due<B: Backend> {
    #[default]
    Nothing,
    Gradient(Tensor<B, 1>),
    /// The way that a matrix goes, which came of its gradient.
    Way(Tensor<B, 1>),
}

impl Rule {
    /// What it keeps.
    pub(super) fn sorts(self) -> &'static [Sort] {
        match self {
            Self::Frozen | Self::Against => &[],
            Self::Adamw { .. } => &[Sort::Mean, Sort::Square],
            Self::Muon { .. } | Self::Sgd { .. } => &[Sort::Momentum],
        }
    }
}

impl<B: Ops> Slot<B> {
    pub(super) fn sorts(&self) -> &'static [Sort] {
        self.plan.rule.sorts()
    }

    /// What is remembered of a piece, in f32, while it is worked on.
    pub(super) fn open(&mut self, number: usize, len: usize, codes: &Codes<B>) -> Vec<Tensor<B, 1>> {
        let kept = take(&mut self.pieces[number]).into_iter().zip(self.sorts());
        kept.map(|(kept, sort)| codes.open(kept, *sort, len)).collect()
    }

    /// Remembers a piece, rounded by its seed and the purpose of each sort.
    pub(super) fn close(
        &mut self,
        number: usize,
        state: Vec<Tensor<B, 1>>,
        codes: &Codes<B>,
        seed: impl Fn(u64) -> u64,
    ) {
        let closed = state.into_iter().zip(self.sorts()).zip(1..);
        self.pieces[number] =
            closed.map(|((x, sort), purpose)| codes.close(x, self.kind, *sort, seed(purpose))).collect();
    }
}

impl<B: Ops> Optimizer<B> {
    /// One that has made no step yet, for these weights.
    pub fn new(
        config: &OptimizerConfig,
        weights: Vec<Weight>,
        device: &B::Device,
    ) -> Result<Self, OptimError> {
        Self::in_parts(config, weights, device, PIECE, B::TOGETHER)
    }

    /// One that works on a piece of a weight at once, and on as many matrices as have `together` numbers.
    pub(super) fn in_parts(
        config: &OptimizerConfig,
        weights: Vec<Weight>,
        device: &B::Device,
        piece: usize,
        together: usize,
    ) -> Result<Self, OptimError> {
        let plans = Plan::all(config, &weights)?;
        let codes = Codes::new(device);
        let slots = weights.into_iter().zip(plans).map(|(weight, plan)| {
            let len = weight.len();
            // They are too few for their bytes to matter.
            let kind = if weight.role.is_exact() { StateKind::F32 } else { config.state };
            // What is changed where it lies takes no memory beside, and pieces would have to be put together again.
            let whole = match plan.rule {
                Rule::Muon { .. } => true,
                Rule::Adamw { .. } => kind == StateKind::F32,
                _ => false,
            };
            let piece = if whole { len } else { piece }.max(1);
            let nothing = |len| move |sort: &Sort| (*sort, len);
            let pieces = (0..len).step_by(piece).map(|start| {
                let sorts = plan.rule.sorts().iter().map(nothing(piece.min(len - start)));
                sorts.map(|(sort, len)| codes.nothing(kind, sort, len, device)).collect()
            });
            Slot { kind, piece, pieces: pieces.collect(), weight, plan, due: Due::Nothing }
        });
        let slots: Vec<_> = slots.collect();
        let (stacks, alike) = (stacks(&slots, together), alike(&slots));
        let scale = Tensor::ones([1], (device, DType::F32));
        Ok(Self {
            slots,
            device: device.clone(),
            stacks,
            alike,
            codes,
            step: 1,
            rate: 0.0,
            balancing: 0.0,
            scale,
        })
    }

    /// Has what is added to the scores of experts move so far in a step, whatever the learning rate: up where fewer rows chose one than the
    /// mean, which is what it is given in the place of a gradient.
    #[must_use]
    pub fn balancing(self, rate: f64) -> Self {
        Self { balancing: rate, ..self }
    }

    /// Begins step `step` (from 1) at this learning rate, with the gradients of all weights in their order, flat and in f32.
    /// `scale`, `[1]`, is what they are multiplied by, which [`super::Clip`] says. Where it is no number, the step changes nothing.
    pub fn begin(&mut self, step: u64, rate: f64, scale: Tensor<B, 1>, grads: Vec<Tensor<B, 1>>) {
        (self.step, self.rate, self.scale) = (step, rate, scale);
        // What is kept in codes would come back as other codes, so there the device is asked.
        let coded = self.slots.iter().any(|slot| slot.kind == StateKind::Int8);
        let stays = coded && self.scale.clone().into_scalar().elem::<f64>().is_nan();
        let mut grads = grads.into_iter().take(if stays { 0 } else { usize::MAX });
        for slot in &mut self.slots {
            slot.due = grads.next().map_or(Due::Nothing, Due::Gradient);
        }
    }

    /// Whether weight number `at` stays as it is: its gradient need not be made.
    pub fn is_frozen(&self, at: usize) -> bool {
        self.slots[at].plan.rule == Rule::Frozen
    }

    /// Whether what weight number `at` is given counts for the norm of the gradient: it is one, and changes something.
    pub fn counts(&self, at: usize) -> bool {
        !matches!(self.slots[at].plan.rule, Rule::Frozen | Rule::Against)
    }

    /// The new values of all weights, in their order, once in a step. They come flat, in f32, or in bf16 where they are kept so: these
    /// are then rounded at random. Where nobody else holds them, their memory is used again.
    pub fn update(&mut self, weights: Vec<Tensor<B, 1>>) -> Vec<Tensor<B, 1>> {
        let mut weights: Vec<_> = weights.into_iter().map(Some).collect();
        self.change_alike(&mut weights);
        self.change_stacks(&mut weights);
        weights.into_iter().flatten().enumerate().map(|(at, weight)| self.update_one(at, weight)).collect()
    }

    /// The new value of weight number `at`, if it has not come to it yet.
    pub(super) fn update_one(&mut self, at: usize, weight: Tensor<B, 1>) -> Tensor<B, 1> {
        let slot = &mut self.slots[at];
        let (len, piece, due) = (slot.weight.len(), slot.piece, take(&mut slot.due));
        if self.is_frozen(at) || len == 0 {
            return weight;
        }
        match due {
            Due::Nothing => weight,
            Due::Gradient(grad) if len > piece => {
                let part =
                    |x: &Tensor<B, 1>, start: usize| x.clone().narrow(0, start, piece.min(len - start));
                let starts = (0..len).step_by(piece).enumerate();
                let new = starts.map(|(number, start)| {
                    self.update_piece(at, number, part(&weight, start), Due::Gradient(part(&grad, start)))
                });
                Tensor::cat(new.collect(), 0)
            }
            due => self.update_piece(at, 0, weight, due),
        }
    }

    fn update_piece(&mut self, at: usize, number: usize, weight: Tensor<B, 1>, due: Due<B>) -> Tensor<B, 1> {
        let plan = self.slots[at].plan;
        let (step, slot) = (self.step_of(&plan), &mut self.slots[at]);
        let ([len], dtype) = (weight.dims(), weight.dtype());
        let wide = if dtype == DType::F32 { weight } else { weight.cast(DType::F32) };
        let seed = |purpose| seed([self.step, at as u64, number as u64, purpose]);
        let new = match due {
            Due::Nothing => wide,
            Due::Way(way) => B::moved(vec![[wide, way]], &step.moves(&plan)).remove(0),
            Due::Gradient(grad) => {
                let state = slot.open(number, len, &self.codes);
                let (new, state) = step.make(&plan, wide, grad, state);
                slot.close(number, state, &self.codes, seed);
                new
            }
        };
        if dtype == DType::F32 { new } else { to_bf16::<B>(new, seed(0)) }
    }

    /// The step that comes now, for a weight of this plan.
    pub(super) fn step_of(&self, plan: &Plan) -> Step<B> {
        let rate = if plan.rule == Rule::Against { self.balancing } else { self.rate };
        Step { number: self.step, rate: rate * plan.rate, scale: self.scale.clone() }
    }
}

/// What is the same for all of a weight.
pub(super) struct Step<B: Backend> {
    number: u64,
    rate: f64,
    scale: Tensor<B, 1>,
}

impl<B: Ops> Step<B> {
    pub(super) fn moves(&self, plan: &Plan) -> Move<B> {
        Move { rate: self.rate, decay: plan.decay, scale: self.scale.clone() }
    }

    pub(super) fn adam(&self, [beta1, beta2]: [f64; 2], epsilon: f64, decay: f64) -> AdamStep<B> {
        let Self { number: step, rate, ref scale } = *self;
        AdamStep { rate, beta1, beta2, epsilon, decay, scale: scale.clone(), step }
    }

    /// The new weight, and what is remembered.
    fn make(
        &self,
        plan: &Plan,
        weight: Tensor<B, 1>,
        grad: Tensor<B, 1>,
        state: Vec<Tensor<B, 1>>,
    ) -> (Tensor<B, 1>, Vec<Tensor<B, 1>>) {
        let mut state = state.into_iter();
        let (first, second) = (state.next(), state.next());
        match (plan.rule, first, second) {
            (Rule::Adamw { betas, epsilon }, Some(mean), Some(square)) => {
                let step = self.adam(betas, epsilon, plan.decay);
                let [weight, mean, square] = B::adamw(vec![[weight, grad, mean, square]], &step).remove(0);
                (weight, vec![mean, square])
            }
            (Rule::Sgd { momentum, nesterov }, Some(kept), None) => {
                let [way, kept] = ahead(grad, kept, &Push { scale: self.scale.clone(), momentum, nesterov });
                (B::moved(vec![[weight, way]], &self.moves(plan)).remove(0), vec![kept])
            }
            (Rule::Against, None, None) => {
                let way = (grad.clone() - grad.mean()).sign();
                (B::moved(vec![[weight, way]], &self.moves(plan)).remove(0), Vec::new())
            }
            (_, first, second) => (weight, first.into_iter().chain(second).collect()),
        }
    }
}
