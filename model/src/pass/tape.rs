//! A block's own tape: it is run with its weights and its input as leaves, and hands their gradients out.
use crate::lora::Acting;
use crate::net::{Batch, Block, Setting, Table};
use burn::backend::Autodiff;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::backend::AutodiffBackend;
use muse_kernels::{Angles, Ops, back_from};

/// The backend that keeps tapes.
pub(super) type Taped<B> = Autodiff<B>;
type Grads<B> = <Taped<B> as AutodiffBackend>::Gradients;

/// A net and a batch with its setting, as they are and as tapes want them.
pub(super) struct Run<'a, B: Ops> {
    pub(super) acting: &'a Acting<'a, B>,
    pub(super) below: (&'a Batch<B>, &'a Setting<B>),
    pub(super) batch: Batch<Taped<B>>,
    pub(super) setting: Setting<Taped<B>>,
}

impl<'a, B: Ops> Run<'a, B> {
    pub(super) fn new(acting: &'a Acting<'a, B>, batch: &'a Batch<B>, setting: &'a Setting<B>) -> Self {
        let taped = |angles: &Angles<B>| Angles {
            cos: Tensor::from_inner(angles.cos.clone()),
            sin: Tensor::from_inner(angles.sin.clone()),
        };
        Self {
            acting,
            below: (batch, setting),
            batch: Batch {
                ids: Tensor::from_inner(batch.ids.clone()),
                labels: Tensor::from_inner(batch.labels.clone()),
                positions: Tensor::from_inner(batch.positions.clone()),
                starts: Tensor::from_inner(batch.starts.clone()),
            },
            setting: Setting {
                angles: taped(&setting.angles),
                latent: setting.latent.as_ref().map(taped),
                dtype: setting.dtype,
                dropped: setting.dropped,
                of_a_row: setting.of_a_row,
            },
        }
    }
}

/// A block that was run, with its way back.
pub(super) struct Tape<B: Ops> {
    block: Block<Taped<B>>,
    learns: Learns,
    input: Tensor<Taped<B>, 2>,
    output: Tensor<Taped<B>, 2>,
}

impl<B: Ops> Tape<B> {
    /// Runs block number `at`; gives beside what [`crate::net::Seen`] has of its heads' logits.
    pub(super) fn run(run: &Run<'_, B>, at: usize, input: Tensor<B, 2>) -> (Self, Option<Tensor<B, 1>>) {
        let learns = run.acting.lora.map_or(Learns::All, |lora| Learns::Some(lora.places(at)));
        let block = run.acting.block(at).train::<Taped<B>>().map(&mut Leaves { at: 0, learns: &learns });
        let input = leaf(input);
        let (output, seen) = block.forward(input.clone(), &run.batch, &run.setting, at);
        (Self { block, learns, input, output }, seen.peak.map(Tensor::inner))
    }

    pub(super) fn output(&self) -> Tensor<B, 2> {
        self.output.clone().inner()
    }

    /// From the gradient of the output to that of the input, and to those of the weights that learn, in their order.
    pub(super) fn back(self, grad: Tensor<B, 2>) -> (Tensor<B, 2>, Vec<Tensor<B, 1>>) {
        let mut back = back_from(self.output, grad);
        let grad = self.input.grad_remove(&mut back).expect("a block's output comes from its input");
        let mut collect = Collect { at: 0, learns: &self.learns, grads: &mut back, all: Vec::new() };
        self.block.visit(&mut collect);
        (grad, collect.all)
    }
}

/// Which weights of a block gradients are wanted for.
enum Learns {
    All,
    /// Those with these numbers.
    Some(Vec<usize>),
}

impl Learns {
    fn wants(&self, at: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(places) => places.contains(&at),
        }
    }
}

/// Makes weights of a block ones that gradients are wanted for, or not.
struct Leaves<'a> {
    at: usize,
    learns: &'a Learns,
}

impl<B: Backend> ModuleMapper<B> for Leaves<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        self.at += 1;
        param.set_require_grad(self.learns.wants(self.at - 1))
    }
}

/// Collects a block's gradients in its weights' order.
struct Collect<'a, B: Ops> {
    at: usize,
    learns: &'a Learns,
    grads: &'a mut Grads<B>,
    all: Vec<Tensor<B, 1>>,
}

impl<B: Ops> ModuleVisitor<Taped<B>> for Collect<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Taped<B>, D>>) {
        if self.learns.wants(self.at) {
            self.all.push(taken(&param.val(), self.grads));
        }
        self.at += 1;
    }
}

/// A table all of whose weights gradients are wanted for.
pub(super) fn leaves<B: Ops>(table: &Table<B>) -> Table<Taped<B>> {
    table.clone().train::<Taped<B>>().map(&mut Leaves { at: 0, learns: &Learns::All })
}

/// Takes the gradients of all its weights out, in their order.
pub(super) fn all_of<B: Ops>(table: &Table<Taped<B>>, grads: &mut Grads<B>) -> Vec<Tensor<B, 1>> {
    let mut collect = Collect { at: 0, learns: &Learns::All, grads, all: Vec::new() };
    table.visit(&mut collect);
    collect.all
}

/// A tensor that a gradient is wanted for.
pub(super) fn leaf<B: Ops, const D: usize>(x: Tensor<B, D>) -> Tensor<Taped<B>, D> {
    Tensor::from_inner(x).require_grad()
}

/// Takes a gradient out, in f32 and flat. What nothing flowed back to has none to speak of.
pub(super) fn taken<B: Ops, const D: usize>(x: &Tensor<Taped<B>, D>, grads: &mut Grads<B>) -> Tensor<B, 1> {
    let len = x.shape().num_elements();
    match x.grad_remove(grads) {
        Some(grad) if grad.dtype() == DType::F32 => grad.reshape([len]),
        Some(grad) => grad.cast(DType::F32).reshape([len]),
        None => Tensor::zeros([len], (&x.device(), DType::F32)),
    }
}
