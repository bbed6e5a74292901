//! Walks over the graph of stages. All of them are linear, and none recurses: a chain may be 200,000 long.
use super::inputs;
use crate::document::Pipeline;

/// The stages that no other stage takes.
pub fn targets(pipeline: &Pipeline) -> Vec<usize> {
    let mut taken = vec![false; pipeline.stages.len()];
    for input in pipeline.stages.iter().flat_map(inputs) {
        taken[input] = true;
    }
    (0..pipeline.stages.len()).filter(|&stage| !taken[stage]).collect()
}

/// All that `targets` stand on, and they themselves, each behind its inputs and otherwise in the file's order.
pub fn topological(pipeline: &Pipeline, targets: &[usize]) -> Vec<usize> {
    let mut wanted = vec![false; pipeline.stages.len()];
    let mut work = targets.to_vec();
    while let Some(stage) = work.pop() {
        if !std::mem::replace(&mut wanted[stage], true) {
            work.extend(inputs(&pipeline.stages[stage]));
        }
    }
    let mut order = Vec::new();
    let mut entered = vec![false; pipeline.stages.len()];
    let mut placed = vec![false; pipeline.stages.len()];
    for first in (0..pipeline.stages.len()).filter(|&stage| wanted[stage]) {
        work.push(first);
        while let Some(&stage) = work.last() {
            if placed[stage] {
                work.pop();
            } else if std::mem::replace(&mut entered[stage], true) {
                work.pop();
                placed[stage] = true;
                order.push(stage);
            } else {
                // Reversed, so that the first input is placed first.
                let open = work.len();
                work.extend(inputs(&pipeline.stages[stage]).filter(|&input| !placed[input]));
                work[open..].reverse();
            }
        }
    }
    order
}

/// For each stage of `order` the stages of `order` that take something from it, each once.
pub fn downstream(pipeline: &Pipeline, order: &[usize]) -> Vec<Vec<usize>> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); pipeline.stages.len()];
    for &stage in order {
        for input in inputs(&pipeline.stages[stage]) {
            if below[input].last() != Some(&stage) {
                below[input].push(stage);
            }
        }
    }
    below
}
