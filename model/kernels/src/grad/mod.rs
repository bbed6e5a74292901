//! The operations in Burn's automatic differentiation: what each keeps for the way back, and the way.
mod ops;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops as Step, OpsKind};
use burn::prelude::*;
use burn::tensor::TensorPrimitive;
use burn::tensor::ops::FloatTensor;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A backend that keeps what the way back needs.
type Tracked<B, C> = Autodiff<B, C>;

/// A step of the way back, given as a function from the gradient of the result to those of the sources, some of which
/// have one already from elsewhere. What the function holds is what is kept.
struct Way<B, F>(PhantomData<(B, F)>);

/// What is kept for a step.
#[derive(Clone)]
struct Kept<F>(F);

impl<B, F> fmt::Debug for Way<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

impl<F> fmt::Debug for Kept<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl<B, F, const N: usize> Backward<B, N> for Way<B, F>
where
    B: Backend,
    F: FnOnce(FloatTensor<B>, Sources<'_, B, N>) -> [Option<FloatTensor<B>>; N] + Clone + Send + 'static,
{
    type State = Kept<F>;

    fn backward(self, step: Step<Kept<F>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&step.node);
        // Gradients are asked for by tensor, of which the node alone counts.
        let asked = step
            .parents
            .map(|node| node.map(|node| Asked::<B> { primitive: grad.clone(), rc: Arc::new(node.id), node }));
        let nodes = asked.each_ref().map(|source| source.as_ref().map(|source| source.node.id));
        let back = step.state.0(grad, Sources { asked, grads });
        for (node, grad) in nodes.into_iter().zip(back) {
            if let (Some(node), Some(grad)) = (node, grad) {
                grads.register::<B>(node, grad);
            }
        }
    }
}

type Asked<B> = FloatTensor<Autodiff<B>>;

/// What a step's result was made of.
struct Sources<'a, B: Backend, const N: usize> {
    asked: [Option<Asked<B>>; N],
    grads: &'a mut Gradients,
}

impl<B: Backend, const N: usize> Sources<'_, B, N> {
    /// Which of them want a gradient.
    fn wanted(&self) -> [bool; N] {
        self.asked.each_ref().map(Option::is_some)
    }

    /// Takes the gradient that a source has so far from other results that it went into. The step has to add to it, since it is
    /// then no longer there to be added to.
    fn so_far<const D: usize>(&mut self, at: usize) -> Option<Tensor<B, D>> {
        self.grads.remove::<B>(self.asked[at].as_ref()?).map(tensor)
    }
}

/// A tensor as the backend below has it, which nothing else here holds, and the source that it is. Sources are known by their node
/// alone, so that any numbers may stand in it.
fn apart<B: Backend, C: CheckpointStrategy, const D: usize>(
    x: Tensor<Tracked<B, C>, D>,
    any: FloatTensor<B>,
) -> (Tensor<B, D>, FloatTensor<Tracked<B, C>>) {
    let Asked::<B> { primitive, node, rc } = raw(x);
    (tensor(primitive), Asked::<B> { primitive: any, node, rc })
}

/// The tensor of the backend below, without its history.
fn inner<B: Backend, C: CheckpointStrategy, const D: usize>(x: &Tensor<Tracked<B, C>, D>) -> Tensor<B, D> {
    x.clone().inner()
}

fn raw<B: Backend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}

fn tensor<B: Backend, const D: usize>(x: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}

/// A result with its way back to `sources`. `back` is told which of them want a gradient.
fn tracked<B, C, F, const D: usize, const N: usize>(
    sources: [FloatTensor<Tracked<B, C>>; N],
    output: Tensor<B, D>,
    back: F,
) -> Tensor<Tracked<B, C>, D>
where
    B: Backend,
    C: CheckpointStrategy,
    F: FnOnce(Tensor<B, D>, [bool; N]) -> [Option<FloatTensor<B>>; N] + Clone + Send + 'static,
{
    tracked_with(sources, output, move |grad, sources| {
        let wanted = sources.wanted();
        // They hold the gradient too, which may be written over where nobody else does.
        drop(sources);
        back(grad, wanted)
    })
}

/// The same where `back` may take gradients that sources have so far.
fn tracked_with<B, C, F, const D: usize, const N: usize>(
    sources: [FloatTensor<Tracked<B, C>>; N],
    output: Tensor<B, D>,
    back: F,
) -> Tensor<Tracked<B, C>, D>
where
    B: Backend,
    C: CheckpointStrategy,
    F: FnOnce(Tensor<B, D>, Sources<'_, B, N>) -> [Option<FloatTensor<B>>; N] + Clone + Send + 'static,
{
    let back = move |grad, sources: Sources<'_, B, N>| back(tensor(grad), sources);
    let step = way(&back).prepare::<C>(sources.map(|source| source.node)).compute_bound().stateful();
    let output = raw(output);
    tensor(match step {
        OpsKind::Tracked(step) => step.finish(Kept(back), output),
        OpsKind::UnTracked(step) => step.finish(output),
    })
}

/// Stands for weights one behind the other: where the gradient of all of them comes to, as rows, and is handed out. It holds the
/// numbers of one of them, since nobody reads any.
fn behind<B: Backend, C: CheckpointStrategy>(
    weights: Vec<Tensor<Tracked<B, C>, 2>>,
) -> Tensor<Tracked<B, C>, 2> {
    let pair = |below: Tensor<Tracked<B, C>, 2>, first: Tensor<Tracked<B, C>, 2>| {
        let ([rows, _], numbers) = (first.dims(), inner(&first));
        tracked([raw(first), raw(below)], numbers, move |grad: Tensor<B, 2>, [of_first, of_below]| {
            let [all, _] = grad.dims();
            let part = |at, len| raw(grad.clone().narrow(0, at, len));
            [of_first.then(|| part(0, rows)), of_below.then(|| part(rows, all - rows))]
        })
    };
    weights.into_iter().rev().reduce(pair).expect("a product has a weight at least")
}

/// Fixes the type of a step by its function.
fn way<B, F>(_: &F) -> Way<B, F> {
    Way(PhantomData)
}

/// The gradients of everything that `y` came from, where `grad` is that of `y`: the way back from the middle of a model.
pub fn back_from<B: Backend, C: CheckpointStrategy, const D: usize>(
    y: Tensor<Tracked<B, C>, D>,
    grad: Tensor<B, D>,
) -> Gradients {
    let nothing = Tensor::<B, 1>::zeros([1], &grad.device());
    tracked::<B, C, _, 1, 1>([raw(y)], nothing, move |_, _| [Some(raw(grad))]).backward()
}
