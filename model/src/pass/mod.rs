//! One way through the model and back: the loss of a batch and the gradient of every weight, block by block.
//!
//! Each block has a tape of its own. With [`Recompute::Block`] only its input is kept, and the tape is made again when the
//! way back comes to it, so memory grows with a block's input instead of all that it keeps.
mod sums;
mod tape;

use crate::buckets::Onto;
use crate::lora::Acting;
use crate::net::{Batch, Setting, Top};
use burn::prelude::*;
use muse_kernels::{Objective, Ops, back_from};
use sums::Sums;
use tape::{Run, Tape, all_of, leaf, leaves, taken};

/// What is kept of a block on the way forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// All that the way back needs.
    #[default]
    Nothing,
    /// Its input alone.
    Block,
    /// Its input, and that in the memory of the host.
    BlockOffloaded,
}

/// What a pass gives.
pub struct Pass<B: Backend> {
    /// `[1]`: the objective, each token counted by the share.
    pub loss: Tensor<B, 1>,
    /// `[1]`: plain cross-entropy, likewise.
    pub plain: Tensor<B, 1>,
    /// The gradient of every weight, flat, in f32, in the order of `Weight::all`; of every factor, where there are factors.
    pub grads: Vec<Tensor<B, 1>>,
    /// Of each block that has logits the largest one of each head, `[heads]`.
    pub peaks: Vec<Tensor<B, 1>>,
    /// The numbers of the gradients by bucket, where several devices put them together: see [`Pass::together`].
    pub buckets: Vec<Vec<usize>>,
}

/// What is kept of a block.
enum Kept<B: Ops> {
    Tape(Box<Tape<B>>),
    Input(Tensor<B, 2>),
    Away(TensorData),
}

/// The loss of a batch and the gradients of all weights. Each token with a label counts `share`. Where there are gradients of
/// other batches, those of this one are added to them as they come, and never all there beside them. With factors beside
/// the net there are gradients of these alone. For a group that puts them together, buckets are noted as they are made.
pub fn pass<'a, B: Ops>(
    net: impl Into<Acting<'a, B>>,
    batch: &Batch<B>,
    setting: &Setting<B>,
    objective: &Objective,
    share: f64,
    recompute: Recompute,
    onto: Onto<'_, B>,
) -> Pass<B> {
    let acting = net.into();
    let Acting { net, lora } = acting;
    let mut sums = Sums::new(&acting, onto);
    let run = Run::new(&acting, batch, setting);
    let (state, kept, peaks) = forward(&run, recompute);

    // From the loss down to the last block.
    let ((norm, norm_eps), state) = (net.norm(), leaf(state));
    let top = Top { norm: leaf(norm), head: leaves(net.head()), bias: net.head_bias().map(leaf), norm_eps };
    let made = top.loss(state.clone(), &run.batch, objective, share, true);
    let (loss, plain) = (made.loss.clone().inner(), made.plain.inner());
    let mut back = made.loss.backward();
    let mut grad = state.grad_remove(&mut back).expect("the loss comes from the last block's output");
    if lora.is_none() {
        let bias = top.bias.as_ref().map(|bias| taken(bias, &mut back));
        sums.add_top(taken(&top.norm, &mut back), all_of(&top.head, &mut back), bias);
    }
    drop((back, top, state));

    // From block to block.
    for (at, kept) in kept.into_iter().enumerate().rev() {
        let tape = match kept {
            Kept::Tape(tape) => *tape,
            Kept::Input(input) => Tape::run(&run, at, input).0,
            Kept::Away(data) => {
                let dtype = data.dtype;
                Tape::run(&run, at, Tensor::from_data(data, (&grad.device(), dtype))).0
            }
        };
        let (of_input, of_weights) = tape.back(grad);
        grad = of_input;
        sums.add_block(match lora {
            None => of_weights,
            Some(lora) => lora.gradients(at, of_weights),
        });
    }
    if lora.is_some() {
        let (grads, buckets) = sums.all();
        return Pass { loss, plain, grads, peaks, buckets };
    }

    // From the first block to the embedding.
    let embedding = leaves(net.embedding());
    let mut back = back_from(embedding.embedded(&run.batch, &run.setting), grad);
    sums.add_embedding(all_of(&embedding, &mut back));
    let (grads, buckets) = sums.all();
    Pass { loss, plain, grads, peaks, buckets }
}

type Forward<B> = (Tensor<B, 2>, Vec<Kept<B>>, Vec<Tensor<B, 1>>);

fn forward<B: Ops>(run: &Run<'_, B>, recompute: Recompute) -> Forward<B> {
    let (batch, setting) = run.below;
    let mut state = run.acting.net.embedded(batch, setting);
    let (mut kept, mut peaks) = (Vec::new(), Vec::new());
    for at in 0..run.acting.net.blocks().len() {
        if recompute == Recompute::Nothing {
            let (tape, peak) = Tape::run(run, at, state);
            state = tape.output();
            kept.push(Kept::Tape(Box::new(tape)));
            peaks.extend(peak);
            continue;
        }
        kept.push(match recompute {
            Recompute::BlockOffloaded => Kept::Away(state.to_data()),
            _ => Kept::Input(state.clone()),
        });
        let (next, seen) = run.acting.block(at).forward(state, batch, setting, at);
        state = next;
        peaks.extend(seen.peak);
    }
    (state, kept, peaks)
}
