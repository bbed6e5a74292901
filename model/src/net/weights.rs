//! The weights of a decoder by name, as Hugging Face names them, and in and out of it as flat tensors.
use super::Net;
use crate::config::Shape;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Shape as Sizes;
use muse_kernels::Ops;

/// What a weight is for: optimizers treat them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rows for tokens.
    Embedding,
    /// The last product.
    Head,
    /// The weight of a norm, or another row of a few numbers.
    Norm,
    /// A matrix within a block.
    Matrix,
    /// What experts are chosen by: a row for each.
    Gate,
    /// What is added to scores where experts are chosen. In the place of a gradient it has how many tokens chose each.
    Loads,
}

impl Role {
    /// Whether it stays in f32, whatever others become: there are few such numbers, and much depends on each.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Norm | Self::Gate | Self::Loads)
    }
}

/// A weight's name, sizes and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// As Hugging Face names it.
    pub name: String,
    /// `[out, in]` of a matrix, `[width]` of a norm. Of a matrix that is the product `b a` of two, `a` is `[rank, in]` and `b`
    /// `[out, rank]`. A table of two cores is these two, and the phase, one number for each of their ranks.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

impl Weight {
    fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, role: Role) -> Self {
        Self { name: name.into(), shape: shape.into(), role }
    }

    /// All weights of a model of this shape, in their order.
    pub fn all(shape: &Shape) -> Vec<Self> {
        let s = shape;
        let table = |name: &str, role| match s.embedding {
            None => vec![Self::new(name, [s.vocab_size, s.width], role)],
            Some(embedding) => {
                let ([first, second], [a, b]) = (embedding.cores(s.vocab_size, s.width), factors(name));
                let phase = Self::new(phase(name), [embedding.tensor_train], Role::Norm);
                vec![Self::new(a, first, role), Self::new(b, second, role), phase]
            }
        };
        let mut all = table("model.embed_tokens.weight", Role::Embedding);
        all.extend((0..s.layers).flat_map(|at| Self::of_block(s, at)));
        all.push(Self::new("model.norm.weight", [s.width], Role::Norm));
        if !s.tied {
            all.extend(table("lm_head.weight", Role::Head));
        }
        if s.head_bias {
            all.push(Self::new("lm_head.bias", [s.vocab_size], Role::Norm));
        }
        all
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which part of a matrix or a table a weight is, where it is no whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first of two, which rows come to first.
    First,
    /// The second.
    Second,
    /// What counts the ranks of two cores.
    Phase,
}

impl Part {
    /// What a weight of this name is.
    pub fn of(name: &str) -> Option<Self> {
        let module = name.strip_suffix(".weight").unwrap_or(name);
        match module.rsplit_once('.')?.1 {
            "a" => Some(Self::First),
            "b" => Some(Self::Second),
            "phase" => Some(Self::Phase),
            _ => None,
        }
    }
}

/// The names of the two weights whose product the matrix of this name is, where it is not one.
pub fn factors(name: &str) -> [String; 2] {
    let module = name.strip_suffix(".weight").unwrap_or(name);
    ["a", "b"].map(|which| format!("{module}.{which}.weight"))
}

/// The name of the phase that counts the ranks of the two cores of the table of this name.
pub fn phase(name: &str) -> String {
    format!("{}.phase.weight", name.strip_suffix(".weight").unwrap_or(name))
}

impl<B: Backend> Net<B> {
    /// The weights, flat, in the order of [`Weight::all`].
    pub fn flat(&self) -> Vec<Tensor<B, 1>> {
        let mut all = Flat(Vec::new());
        self.visit(&mut all);
        all.0
    }

    /// Puts each weight through `change`, which is told its number. Nothing else holds the weight meanwhile, so its memory
    /// can be used again.
    pub fn changed(self, change: impl FnMut(usize, Tensor<B, 1>) -> Tensor<B, 1>) -> Self {
        self.map(&mut Change { at: 0, change })
    }

    /// Puts all weights through `change` at once, in the order of [`Weight::all`]. Nothing else holds them meanwhile.
    pub fn changed_together(self, change: impl FnOnce(Vec<Tensor<B, 1>>) -> Vec<Tensor<B, 1>>) -> Self {
        let mut taken = Taken { values: Vec::new(), shapes: Vec::new() };
        let emptied = self.map(&mut taken);
        let new = change(taken.values).into_iter();
        emptied.map(&mut Put(new.zip(taken.shapes)))
    }
}

impl<B: Ops> Net<B> {
    /// Multiplies the logits of attention of each head by its factor, in the weights: of each block that has any, `factors` gives `[heads]`.
    pub fn with_logits_scaled(mut self, mut factors: impl FnMut() -> Option<Tensor<B, 1>>) -> Self {
        for block in &mut self.blocks {
            if block.mixer.has_logits() {
                let Some(factors) = factors() else { break };
                block.mixer.scale_logits(factors);
            }
        }
        self
    }
}

struct Flat<B: Backend>(Vec<Tensor<B, 1>>);

impl<B: Backend> ModuleVisitor<B> for Flat<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let value = param.val();
        let len = value.shape().num_elements();
        self.0.push(value.reshape([len]));
    }
}

/// Takes weights out, and leaves what is nothing until it is asked for.
struct Taken<B: Backend> {
    values: Vec<Tensor<B, 1>>,
    shapes: Vec<Sizes>,
}

impl<B: Backend> ModuleMapper<B> for Taken<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, value, _) = param.consume();
        let (shape, device) = (value.shape(), value.device());
        self.values.push(value.reshape([shape.num_elements()]));
        self.shapes.push(shape.clone());
        let nothing = shape.clone();
        Param::uninitialized(
            id,
            move |device, _| Tensor::zeros(nothing.clone(), device),
            device,
            false,
            shape,
        )
    }
}

/// Puts others in their places.
struct Put<I>(I);

impl<B: Backend, I: Iterator<Item = (Tensor<B, 1>, Sizes)>> ModuleMapper<B> for Put<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        match self.0.next() {
            Some((new, shape)) => Param::initialized(param.id, new.reshape(shape)),
            None => param,
        }
    }
}

/// Puts weights through `change`, which is told their numbers, from `at` on.
pub(crate) struct Change<F> {
    pub(crate) at: usize,
    pub(crate) change: F,
}

impl<B: Backend, F: FnMut(usize, Tensor<B, 1>) -> Tensor<B, 1>> ModuleMapper<B> for Change<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, value, mapper) = param.consume();
        let shape = value.shape();
        let flat = value.reshape([shape.num_elements()]);
        let new = (self.change)(self.at, flat).reshape(shape);
        self.at += 1;
        Param::from_mapped_value(id, new, mapper)
    }
}
