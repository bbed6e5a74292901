//! Muon's matrices: which of them find their way together, as large products are faster than many small ones.
use super::Optimizer;
use super::groups::Rule;
use super::optimizer::{Due, Slot};
use super::rounding::seed;
use muse_kernels::{Ops, Push};
use std::mem::take;

/// Matrices of one shape by their numbers, in shares that are alike and have at most `together` numbers each, or are one matrix.
pub(super) fn stacks<B: Ops>(slots: &[Slot<B>], together: usize) -> Vec<Vec<usize>> {
    let mut by_shape: Vec<(&[usize], Vec<usize>)> = Vec::new();
    for (at, slot) in slots.iter().enumerate() {
        if !matches!(slot.plan.rule, Rule::Muon { .. }) {
            continue;
        }
        let shape = slot.weight.shape.as_slice();
        match by_shape.iter_mut().find(|(there, _)| *there == shape) {
            Some((_, all)) => all.push(at),
            None => by_shape.push((shape, vec![at])),
        }
    }
    let shares = by_shape.into_iter().flat_map(|(shape, all)| {
        let most = (together / shape.iter().product::<usize>().max(1)).max(1);
        let share = all.len().div_ceil(all.len().div_ceil(most));
        all.chunks(share).map(<[usize]>::to_vec).collect::<Vec<_>>()
    });
    shares.collect()
}

impl<B: Ops> Optimizer<B> {
    /// Finds the ways of all matrices that are in one stack with weight number `at`, where it is one and has a gradient still.
    pub(super) fn find_ways(&mut self, at: usize) {
        let slot = &self.slots[at];
        let (Rule::Muon { momentum, nesterov }, Due::Gradient(_), &[rows, columns]) =
            (slot.plan.rule, &slot.due, slot.weight.shape.as_slice())
        else {
            return;
        };
        if rows * columns == 0 {
            return;
        }
        let (mut whose, mut matrices) = (Vec::new(), Vec::new());
        for &number in self.stacks.iter().filter(|stack| stack.contains(&at)).flatten() {
            let slot = &mut self.slots[number];
            match take(&mut slot.due) {
                Due::Gradient(grad) => {
                    let state = slot.open(0, rows * columns, &self.codes);
                    whose.push(number);
                    matrices.extend(state.into_iter().map(|momentum| [grad.clone(), momentum]));
                }
                other => slot.due = other,
            }
        }
        let push = Push { scale: self.scale.clone(), momentum, nesterov };
        let found = B::muon(matrices, [rows, columns], &push);
        for (number, [way, kept]) in whose.into_iter().zip(found) {
            let slot = &mut self.slots[number];
            let seed = |purpose| seed([self.step, number as u64, 0, purpose]);
            slot.close(0, vec![kept], &self.codes, seed);
            slot.due = Due::Way(way);
        }
    }
}
