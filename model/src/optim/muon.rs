//! Muon's matrices: those alike find their way together and go it together, as large products are faster than many small ones.
use super::Optimizer;
use super::groups::Rule;
use super::optimizer::{Due, Slot};
use super::rounding::seed;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Ops, Push};
use std::mem::take;

/// Matrices of one shape and plan by their numbers, in shares that are alike and have at most `together` numbers each, or are one matrix.
pub(super) fn stacks<B: Ops>(slots: &[Slot<B>], together: usize) -> Vec<Vec<usize>> {
    let mut alike: Vec<Vec<usize>> = Vec::new();
    for (at, slot) in slots.iter().enumerate() {
        if !matches!(slot.plan.rule, Rule::Muon { .. }) || slot.weight.is_empty() {
            continue;
        }
        let is_like = |other: &Slot<B>| (&other.weight.shape, other.plan) == (&slot.weight.shape, slot.plan);
        match alike.iter_mut().find(|all| is_like(&slots[all[0]])) {
            Some(all) => all.push(at),
            None => alike.push(vec![at]),
        }
    }
    let shares = alike.into_iter().flat_map(|all| {
        let most = (together / slots[all[0]].weight.len()).max(1);
        let share = all.len().div_ceil(all.len().div_ceil(most));
        all.chunks(share).map(<[usize]>::to_vec).collect::<Vec<_>>()
    });
    shares.collect()
}

impl<B: Ops> Optimizer<B> {
    /// Changes the matrices, stack by stack, so that the ways of one are there at a time.
    pub(super) fn change_stacks(&mut self, weights: &mut [Option<Tensor<B, 1>>]) {
        let stacks = take(&mut self.stacks);
        for stack in &stacks {
            let found = self.find_ways(stack);
            let (mut whose, mut given) = (Vec::new(), Vec::new());
            for (at, way) in found {
                match weights[at].take() {
                    Some(weight) if weight.dtype() == DType::F32 => {
                        whose.push(at);
                        given.push([weight, way]);
                    }
                    // It is rounded, by itself.
                    narrow => {
                        self.slots[at].due = Due::Way(way);
                        weights[at] = narrow.map(|weight| self.update_one(at, weight));
                    }
                }
            }
            let plan = self.slots[stack[0]].plan;
            let moved = B::moved(given, &self.step_of(&plan).moves(&plan));
            whose.into_iter().zip(moved).for_each(|(at, weight)| weights[at] = Some(weight));
        }
        self.stacks = stacks;
    }

    /// Finds the ways of those of a stack that have a gradient, by their numbers.
    fn find_ways(&mut self, stack: &[usize]) -> Vec<(usize, Tensor<B, 1>)> {
        let slot = &self.slots[stack[0]];
        let (Rule::Muon { momentum, nesterov }, &[rows, columns]) =
            (slot.plan.rule, slot.weight.shape.as_slice())
        else {
            return Vec::new();
        };
        let (mut whose, mut matrices) = (Vec::new(), Vec::new());
        for &number in stack {
            let slot = &mut self.slots[number];
            if let Due::Gradient(grad) = take(&mut slot.due) {
                let state = slot.open(0, rows * columns, &self.codes);
                whose.push(number);
                matrices.extend(state.into_iter().map(|momentum| [grad.clone(), momentum]));
            }
        }
        let push = Push { scale: self.scale.clone(), momentum, nesterov };
        let found = B::muon(matrices, [rows, columns], &push);
        let mut ways = Vec::with_capacity(whose.len());
        for (number, [way, kept]) in whose.into_iter().zip(found) {
            let seed = |purpose| seed([self.step, number as u64, 0, purpose]);
            self.slots[number].close(0, vec![kept], &self.codes, seed);
            ways.push((number, way));
        }
        ways
    }
}
