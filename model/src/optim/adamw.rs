//! AdamW's weights: those of one plan are changed side by side, as starting a step costs as much as changing a small one.
use super::groups::Rule;
use super::optimizer::{Due, Slot};
use super::rounding::seed;
use super::{Optimizer, StateKind};
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::Ops;
use std::mem::take;

/// Weights by their numbers that are changed by the same rule at the same rate, with a state in f32. The others go by themselves, so
/// that what is there for a moment stays small.
pub(super) fn alike<B: Ops>(slots: &[Slot<B>]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    for (at, slot) in slots.iter().enumerate() {
        let by_adamw = matches!(slot.plan.rule, Rule::Adamw { .. });
        if !by_adamw || slot.kind != StateKind::F32 || slot.weight.is_empty() {
            continue;
        }
        match all.iter_mut().find(|some| slots[some[0]].plan == slot.plan) {
            Some(some) => some.push(at),
            None => all.push(vec![at]),
        }
    }
    all
}

impl<B: Ops> Optimizer<B> {
    /// Changes those of all weights that are in f32 and have others like them.
    pub(super) fn change_alike(&mut self, weights: &mut [Option<Tensor<B, 1>>]) {
        let alike = take(&mut self.alike);
        for some in &alike {
            let (mut whose, mut given) = (Vec::new(), Vec::new());
            for &at in some {
                let slot = &mut self.slots[at];
                let Due::Gradient(grad) = &slot.due else { continue };
                let grad = grad.clone();
                let wide = weights[at].take_if(|weight| weight.dtype() == DType::F32);
                let Some(weight) = wide else { continue };
                slot.due = Due::Nothing;
                let state = slot.open(0, slot.weight.len(), &self.codes);
                let [mean, square] = <[_; 2]>::try_from(state).expect("AdamW keeps two means");
                whose.push(at);
                given.push([weight, grad, mean, square]);
            }
            let plan = &self.slots[some[0]].plan;
            let Rule::Adamw { betas, epsilon } = plan.rule else { continue };
            let step = self.step_of(plan).adam(betas, epsilon, plan.decay);
            for (at, [weight, mean, square]) in whose.into_iter().zip(B::adamw(given, &step)) {
                weights[at] = Some(weight);
                let seed = |purpose| seed([self.step, at as u64, 0, purpose]);
                self.slots[at].close(0, vec![mean, square], &self.codes, seed);
            }
        }
        self.alike = alike;
    }
}
