//! The moments of a training step that may take most memory: at the loss, where the way back begins and where it ends, and while the
//! optimizer has its turn.
use super::kept::{self, kept_by_a_block};
use super::{Device, Parameters, Precision, Training};
use crate::config::Shape;

/// What a moment of a step takes, beside weights and the optimizer's numbers.
#[derive(Clone, Copy, Default)]
pub(super) struct Moment {
    pub(super) gradients: u64,
    pub(super) activations: u64,
    pub(super) loss: u64,
    pub(super) workspace: u64,
}

impl Moment {
    pub(super) fn sum(&self) -> u64 {
        let all = [self.gradients, self.activations, self.loss, self.workspace];
        all.into_iter().fold(0, u64::saturating_add)
    }
}

/// The moments of a step that may take most, in their order; and what comes and goes with each block.
pub(super) fn moments(shape: &Shape, training: &Training, device: Device) -> ([Moment; 4], u64) {
    let (tokens, bytes) = (tokens(shape, training), training.precision.bytes());
    let (layers, width, vocabulary) = (shape.layers as u64, shape.width as u64, shape.vocab_size as u64);
    let of_kind = |at| {
        let kept = kept_by_a_block(shape, at);
        product([tokens, kept.iter().map(|kept| kept.numbers * if kept.f32 { 4 } else { bytes }).sum()])
    };
    let blocks: Vec<(u64, u64)> =
        shape.kinds().into_iter().map(|(at, blocks)| (of_kind(at), blocks)).collect();
    let all_blocks =
        blocks.iter().fold(0, |sum: u64, (kept, blocks)| sum.saturating_add(product([*kept, *blocks])));
    // The one that keeps most.
    let block = blocks.iter().map(|(kept, _)| *kept).max().unwrap_or(0);
    let input = product([tokens, width, bytes]);
    let parts = Parameters::of(shape);
    // What matrices act as that have factors beside them or are rounded, in all blocks, is kept as a block is. In bf16 each is there once
    // more in any case.
    let acting = match (training.lora, shape.round) {
        (Some(factors), _) => 4 * factors.matrices,
        (None, Some(_)) if training.precision == Precision::F32 => 4 * (parts.attention + parts.mlp),
        _ => 0,
    };
    let (block, all_blocks) =
        (block.saturating_add(acting / layers.max(1)), all_blocks.saturating_add(acting));
    // What waits for the way back, and what is made once more when it comes to a block.
    let (waiting, again) = match (training.recompute, training.offload) {
        (false, _) => (all_blocks, 0),
        (true, false) => (product([layers, input]), block),
        // One block's input is there, and the next is on its way.
        (true, true) => (product([2, input]), block),
    };
    // Gradients of earlier micro-batches are there already, and each new one is added to them at once.
    let (of_head, of_all) = (4 * parts.of_logits(), 4 * training.changes(&parts));
    // Of a block the gradients are whole, also where they become those of factors.
    let of_block = 4 * parts.total() / layers.max(1);
    let (first, later) = match (training.adds_up, training.lora) {
        (true, _) => (of_all, of_all),
        (false, None) => (of_head, of_all - of_block),
        (false, Some(_)) => (0, of_all),
    };
    let passing = |(at, _)| {
        let [numbers, in_f32] = kept::passing_in_a_block(shape, at, device);
        product([tokens, numbers * bytes + 4 * in_f32])
    };
    let backward = shape.kinds().into_iter().map(passing).max().unwrap_or(0);
    // Beside the logits of a chunk there is what lies between both cores of a table.
    let between = shape.embedding.map_or(0, |embedding| {
        let [[rows, _], [_, second]] = embedding.cores(shape.vocab_size, shape.width);
        kept::BETWEEN_TIMES * bytes * kept::logits(device).min(product([tokens, (rows * second) as u64]))
    });
    let at_the_loss = Moment {
        gradients: if training.adds_up { of_all + of_head } else { of_head },
        activations: waiting,
        loss: product([2, input]),
        workspace: kept::LOGITS_TIMES * 4 * kept::logits(device).min(product([tokens, vocabulary])) + between,
    };
    let in_the_last_block = Moment {
        gradients: first + of_block,
        activations: waiting.saturating_add(again),
        loss: 0,
        workspace: backward,
    };
    let in_the_first_block = Moment {
        gradients: later + of_block,
        activations: if training.recompute { input.saturating_add(again) } else { block },
        ..in_the_last_block
    };
    let in_the_update =
        Moment { gradients: of_all, workspace: training.workspace(shape, device), ..Moment::default() };
    ([at_the_loss, in_the_last_block, in_the_first_block, in_the_update], again.saturating_add(backward))
}

/// Tokens that go through the model at once.
pub(super) fn tokens(shape: &Shape, training: &Training) -> u64 {
    product([training.micro_batch, shape.context as u64])
}

/// A product that does not go round.
pub(super) fn product<const N: usize>(factors: [u64; N]) -> u64 {
    factors.into_iter().fold(1, u64::saturating_mul)
}
