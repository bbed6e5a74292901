//! Low-rank factors beside matrices of blocks (LoRA): what a training changes where the matrices themselves stay as they are.
//!
//! A matrix `W` acts as `W + alpha / rank · B A`. This sum is made for a block when the block is run, and the gradient of the
//! sum becomes those of `A` and `B` as soon as it is there: both exist for a block at a time.
use crate::config::{Problem, Shape};
use crate::count::Factors;
use crate::net::{Block, Change, Net, Role, Weight, drawn};
use burn::module::Module;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Ops, Turned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Factors beside matrices of blocks, which a training changes in their place (LoRA).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// How many numbers stand between both factors of a matrix: more can learn more, and take more memory. Usual: 8 to 64.
    #[schemars(range(min = 1, max = 4096))]
    pub rank: usize,
    /// What the factors add is multiplied by this over `rank`. Left out, twice the rank.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1e6))]
    pub alpha: Option<f64>,
    /// The matrices that get factors. Left out, all that a block has.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub targets: Option<Vec<Target>>,
}

/// A matrix of a block, as Hugging Face names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// What becomes of the answers of attention.
    OProj,
    /// The gate of SwiGLU.
    GateProj,
    /// What the gate lets through.
    UpProj,
    /// The way back to the width of the model.
    DownProj,
    /// What queries of latent attention are made of.
    QAProj,
    /// Queries of that.
    QBProj,
    /// What keys of latent attention are made of, and values, where they are made of the same.
    KAProj,
    /// Keys of that.
    KBProj,
    /// What all heads of latent attention have of a key in common.
    KRopeProj,
    /// What values of latent attention are made of by themselves.
    VAProj,
    /// Values of that.
    VBProj,
    /// The potentials of chains.
    PotentialProj,
    /// Their couplings.
    CouplingProj,
}

impl Target {
    /// All of them, in the order of their weights.
    pub const ALL: [Self; 16] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
        Self::QAProj,
        Self::QBProj,
        Self::KAProj,
        Self::KBProj,
        Self::KRopeProj,
        Self::VAProj,
        Self::VBProj,
        Self::PotentialProj,
        Self::CouplingProj,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
            Self::QAProj => "q_a_proj",
            Self::QBProj => "q_b_proj",
            Self::KAProj => "k_a_proj",
            Self::KBProj => "k_b_proj",
            Self::KRopeProj => "k_rope_proj",
            Self::VAProj => "v_a_proj",
            Self::VBProj => "v_b_proj",
            Self::PotentialProj => "potential_proj",
            Self::CouplingProj => "coupling_proj",
        }
    }
}

impl LoraConfig {
    /// What is multiplied by over the rank.
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(2.0 * self.rank as f64)
    }

    /// The matrices that get factors, in the order of their weights.
    pub fn targets(&self) -> Vec<Target> {
        let wanted = |target: &Target| self.targets.as_ref().is_none_or(|targets| targets.contains(target));
        Target::ALL.into_iter().filter(wanted).collect()
    }

    /// All that is wrong with it; what its pointers start from is the field.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=4096).contains(&self.rank) {
            let help = "1 to 4096; 8 to 64 are usual";
            problems.push(Problem::new("/rank", format!("`rank` is {}", self.rank), help));
        }
        if let Some(alpha) = self.alpha.filter(|alpha| !(*alpha > 0.0 && *alpha <= 1e6)) {
            let help = "more than 0, and 1000000 at most; twice the rank is usual";
            problems.push(Problem::new("/alpha", format!("`alpha` is {alpha}"), help));
        }
        if self.targets().is_empty() {
            let help = "name one of the matrices, or leave `targets` out for all";
            problems.push(Problem::new("/targets", "no matrix gets factors", help));
        }
        problems
    }

    /// The matrices of a model of this shape that get factors, as they are named.
    pub fn targets_of(&self, shape: &Shape) -> Vec<&'static str> {
        let all = self.weights(shape);
        let has = |target: &Target| {
            let middle = format!(".{}.", target.name());
            all.iter().any(|(_, [a, _])| a.name.contains(&middle))
        };
        self.targets().into_iter().filter(has).map(Target::name).collect()
    }

    /// What is wrong with it for a model of this shape: a matrix is named that it has not.
    pub fn check_model(&self, shape: &Shape) -> Option<Problem> {
        let there = Self { targets: None, ..self.clone() }.targets_of(shape);
        let absent = self.targets.iter().flatten().find(|target| !there.contains(&target.name()))?;
        let message = format!("no block of the model has `{}`", absent.name());
        Some(Problem::new("/targets", message, format!("it has {}", there.join(", "))))
    }

    /// The factors for a model of this shape, by name, `A` before `B`; each after the number of its matrix in [`Weight::all`].
    pub fn weights(&self, shape: &Shape) -> Vec<(usize, [Weight; 2])> {
        let targets = self.targets();
        let all = Weight::all(shape).into_iter().enumerate();
        let of = |(number, weight): (usize, Weight)| {
            let module = weight.name.strip_suffix(".weight").filter(|_| weight.role == Role::Matrix)?;
            let (_, last) = module.rsplit_once('.')?;
            targets.iter().find(|target| last == target.name())?;
            let factor = |name: &str, shape: [usize; 2]| Weight {
                name: format!("{module}.{name}.weight"),
                shape: shape.to_vec(),
                role: Role::Matrix,
            };
            let [out, input] = [weight.shape[0], weight.shape[1]];
            Some((number, [factor("lora_A", [self.rank, input]), factor("lora_B", [out, self.rank])]))
        };
        all.filter_map(of).collect()
    }

    /// How many numbers the factors have for a model of this shape, and the matrices beside which they stand.
    pub fn count(&self, shape: &Shape) -> Factors {
        let mut count = Factors { numbers: 0, matrices: 0 };
        for (_, [a, b]) in self.weights(shape) {
            count.numbers += (a.len() + b.len()) as u64;
            count.matrices += (b.shape[0] * a.shape[1]) as u64;
        }
        count
    }
}

/// The factors beside the matrices of a net.
pub struct Lora<B: Backend> {
    scale: f64,
    /// The numbers of each block's weights in [`Weight::all`].
    blocks: Vec<Range<usize>>,
    /// The numbers of the matrices in [`Weight::all`], in their order.
    matrices: Vec<usize>,
    /// As [`Lora::flat`] gives them.
    names: Vec<Weight>,
    /// `A` and `B` of each matrix, one behind the other.
    factors: Vec<Tensor<B, 2>>,
}

impl<B: Ops> Lora<B> {
    /// Factors that add nothing yet: `A` is drawn by `seed`, `B` is zero.
    pub fn new(config: &LoraConfig, shape: &Shape, seed: u64, device: &B::Device) -> Self {
        let (mut matrices, mut names, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for (number, [a, b]) in config.weights(shape) {
            matrices.push(number);
            // Rows as long as those that a layer of this width usually begins with.
            factors.push(drawn::<B>(&a, (3.0 * a.shape[1] as f64).sqrt().recip(), seed, device));
            factors.push(Tensor::zeros([b.shape[0], b.shape[1]], (device, DType::F32)));
            names.extend([a, b]);
        }
        // Behind the embedding, which may be of several weights.
        let in_a_block = |weight: &Weight| weight.name.contains(".layers.");
        let mut first = Weight::all(shape).iter().take_while(|weight| !in_a_block(weight)).count();
        let blocks = (0..shape.layers).map(|at| {
            let block = first..first + Weight::of_block(shape, at).len();
            first = block.end;
            block
        });
        let blocks = blocks.collect();
        let scale = config.alpha() / config.rank as f64;
        Self { scale, blocks, matrices, names, factors }
    }

    /// The names and sizes of all factors.
    pub fn names(&self) -> &[Weight] {
        &self.names
    }

    /// All factors, flat.
    pub fn flat(&self) -> Vec<Tensor<B, 1>> {
        self.factors.iter().map(|factor| flat(factor.clone())).collect()
    }

    /// Puts each factor through `change`, which is told its number.
    #[must_use]
    pub fn changed(self, mut change: impl FnMut(usize, Tensor<B, 1>) -> Tensor<B, 1>) -> Self {
        self.changed_together(|all| all.into_iter().enumerate().map(|(at, x)| change(at, x)).collect())
    }

    /// Puts all factors through `change` at once.
    #[must_use]
    pub fn changed_together(self, change: impl FnOnce(Vec<Tensor<B, 1>>) -> Vec<Tensor<B, 1>>) -> Self {
        let shapes: Vec<_> = self.factors.iter().map(Tensor::shape).collect();
        let new = change(self.factors.into_iter().map(flat).collect());
        let factors = new.into_iter().zip(shapes).map(|(new, shape)| new.reshape(shape)).collect();
        Self { factors, ..self }
    }

    /// What weight number `number` of [`Weight::all`] acts as, both flat: with what its factors add, if it has any.
    pub fn merged(&self, number: usize, weight: Tensor<B, 1>) -> Tensor<B, 1> {
        let Ok(at) = self.matrices.binary_search(&number) else { return weight };
        let [a, b] = [&self.factors[2 * at], &self.factors[2 * at + 1]].map(Tensor::clone);
        let added = flat(B::product(b, a, Turned::Neither)).mul_scalar(self.scale);
        match weight.dtype() {
            DType::F32 => weight + added,
            narrow => (weight.cast(DType::F32) + added).cast(narrow),
        }
    }

    /// Block number `at` as it acts.
    fn beside(&self, block: &Block<B>, at: usize) -> Block<B> {
        let first = self.blocks[at].start;
        block.clone().map(&mut Change { at: first, change: |number, weight| self.merged(number, weight) })
    }

    /// Which of the weights of block number `at` have factors.
    pub(crate) fn places(&self, at: usize) -> Vec<usize> {
        let block = &self.blocks[at];
        let within = self.matrices.iter().filter(|number| block.contains(number));
        within.map(|number| number - block.start).collect()
    }

    /// The gradients of the factors of block number `at`, by those of what its matrices act as: both flat and in their order.
    pub(crate) fn gradients(&self, at: usize, acting: Vec<Tensor<B, 1>>) -> Vec<Tensor<B, 1>> {
        let before = self.matrices.partition_point(|number| *number < self.blocks[at].start);
        let factors = self.factors[2 * before..].chunks(2);
        let both = acting.into_iter().zip(factors).flat_map(|(grad, pair)| {
            let [a, b] = [&pair[0], &pair[1]].map(Tensor::clone);
            let grad = grad.reshape([b.dims()[0], a.dims()[1]]);
            let of_a = B::product(b, grad.clone(), Turned::Left);
            let of_b = B::product(grad, a, Turned::Right);
            [of_a, of_b].map(|grad| flat(grad.mul_scalar(self.scale)))
        });
        both.collect()
    }
}

fn flat<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 1> {
    let len = x.shape().num_elements();
    x.reshape([len])
}

/// A net as it acts: by itself, or with factors beside it.
pub struct Acting<'a, B: Backend> {
    /// The net.
    pub net: &'a Net<B>,
    /// The factors: then they are what gradients are made for, and the net stays as it is.
    pub lora: Option<&'a Lora<B>>,
}

impl<'a, B: Backend> From<&'a Net<B>> for Acting<'a, B> {
    fn from(net: &'a Net<B>) -> Self {
        Self { net, lora: None }
    }
}

impl<B: Ops> Acting<'_, B> {
    /// Block number `at`.
    pub(crate) fn block(&self, at: usize) -> Block<B> {
        let block = &self.net.blocks()[at];
        self.lora.map_or_else(|| block.clone(), |lora| lora.beside(block, at))
    }
}
