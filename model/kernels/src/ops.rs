//! [`Ops`]: the operations of a language model. Each has a body of plain Burn here, which is the reference; a backend
//! replaces those that it does faster.
use crate::decode::DeviceResult;
use crate::group::{Bucket, Member};
use crate::plain;
use burn::prelude::*;

/// Which sides of a product are turned (transposed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turned {
    /// `a b`
    Neither,
    /// `aᵀ b`
    Left,
    /// `a bᵀ`
    Right,
}

/// The angles of rotary embedding, one row a position. The cosine and sine hold the factor that scales them, if any.
#[derive(Clone, Debug)]
pub struct Angles<B: Backend> {
    /// `[positions, width / 2]`
    pub cos: Tensor<B, 2>,
    /// `[positions, width / 2]`
    pub sin: Tensor<B, 2>,
}

/// What attention sees, and how.
#[derive(Clone, Debug)]
pub struct Sight<B: Backend> {
    /// `[batch, tokens]`: the first token that each one sees. It sees those from there up to itself, and no others: this one
    /// number says what a causal mask, documents packed side by side and a sliding window say together.
    pub starts: Tensor<B, 2, Int>,
    /// What logits are multiplied by.
    pub scale: f64,
    /// Which of the shares that tokens have in each other are dropped.
    pub dropped: Dropout,
}

/// Which numbers are dropped, and those that stay made larger for it: by [`Ops::noise`], so that the way back drops the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The share of numbers, 0 for none.
    pub rate: f64,
    /// Which ones.
    pub seed: u64,
}

impl Dropout {
    /// Nothing is dropped.
    pub const NONE: Self = Self { rate: 0.0, seed: 0 };

    /// Whether anything is dropped.
    pub fn any(self) -> bool {
        self.rate > 0.0
    }

    /// What the numbers that stay are multiplied by.
    pub(crate) fn scale(self) -> f64 {
        1.0 / (1.0 - self.rate)
    }
}

/// What attention gives.
#[derive(Clone, Debug)]
pub struct Attended<B: Backend> {
    /// `[batch, tokens, heads, width]`
    pub output: Tensor<B, 4>,
    /// `[batch, heads, tokens]`: the logarithm of the sum of exponentials of a row of logits, which the way back needs.
    pub lse: Tensor<B, 3>,
    /// `[heads]`: the largest logit of each head.
    pub peak: Tensor<B, 1>,
}

/// What the loss is made of: a weighted sum of parts, each a mean over the tokens that have a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Weight of cross-entropy.
    pub cross_entropy: f64,
    /// Weight of focal loss, `(1 - p)^gamma` times cross-entropy.
    pub focal: f64,
    /// The exponent of focal loss.
    pub gamma: f64,
    /// Weight of cross-entropy against a smoothed target.
    pub smooth: f64,
    /// How much of the target goes to the classes that are not the label, in equal shares.
    pub epsilon: f64,
    /// Weight of the squared logarithm of the normalizer.
    pub z: f64,
}

impl Objective {
    /// Cross-entropy alone.
    pub const PLAIN: Self =
        Self { cross_entropy: 1.0, focal: 0.0, gamma: 0.0, smooth: 0.0, epsilon: 0.0, z: 0.0 };
}

/// The loss of a batch, from the last hidden state to the number.
#[derive(Clone, Debug)]
pub struct HeadLoss<B: Backend> {
    /// `[1]`: the objective, summed over the tokens that have a label, times the caller's share. Always f32.
    pub loss: Tensor<B, 1>,
    /// `[1]`: plain cross-entropy, likewise. Nothing flows back from it.
    pub plain: Tensor<B, 1>,
    /// The gradient for the hidden state and for the head's weight, where they were asked for.
    pub back: Option<(Tensor<B, 2>, Tensor<B, 2>)>,
}

/// One step of AdamW, but for the tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second mean.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// The gradient is multiplied by this first: what clipping asks for.
    pub scale: f64,
    /// Which step this is, from 1.
    pub step: u64,
}

/// Rows of text are labelled with what comes next; where nothing is to be learned stands this.
pub const NO_LABEL: i32 = -100;

/// The operations of a language model over a backend.
///
/// Floats are f32 or bf16; sums run in f32 whatever the tensors hold. The operations know their own way back: those
/// named `_back` take the gradient of a result and give those of its sources.
pub trait Ops: Backend {
    /// Products of matrices side by side, exact to f32 where that is what they hold: what all plain bodies multiply by.
    ///
    /// # Shapes
    /// `[.., m, k] [.., k, n] -> [.., m, n]`
    fn multiply<const D: usize>(a: Tensor<Self, D>, b: Tensor<Self, D>) -> Tensor<Self, D> {
        a.matmul(b)
    }

    /// The product of two matrices, either one turned.
    ///
    /// # Shapes
    /// `[m, k] [k, n] -> [m, n]` once turned
    fn product(a: Tensor<Self, 2>, b: Tensor<Self, 2>, turned: Turned) -> Tensor<Self, 2> {
        plain::product(a, b, turned)
    }

    /// `x wᵀ`, with the weight in the type of `x`.
    ///
    /// # Shapes
    /// x `[rows, in]`, weight `[out, in]` -> `[rows, out]`
    fn project(x: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let weight = plain::narrow(weight, x.dtype());
        Self::product(x, weight, Turned::Right)
    }

    /// The way back of [`Ops::project`], for a weight in the type of `x`: the gradient of x, added to what there is of it, and
    /// that of the weight (f32). Each is made where it is wanted.
    fn project_back(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
        so_far: Option<Tensor<Self, 2>>,
        wanted: [bool; 2],
    ) -> [Option<Tensor<Self, 2>>; 2] {
        plain::project_back(x, weight, grad, so_far, wanted)
    }

    /// `weight * x / sqrt(mean(x²) + epsilon)`, row by row.
    ///
    /// # Shapes
    /// x `[rows, width]`, weight `[width]` -> `[rows, width]`
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        plain::rms_norm(x, weight, epsilon)
    }

    /// The way back of [`Ops::rms_norm`]: gradients of x and of the weight (f32).
    fn rms_norm_back(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 1>,
        epsilon: f64,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 1>) {
        plain::rms_norm_back(x, weight, epsilon, grad)
    }

    /// The same, with the gradient of x added to what there is of it.
    fn rms_norm_back_added(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 1>,
        epsilon: f64,
        grad: Tensor<Self, 2>,
        so_far: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 1>) {
        let (own, of_weight) = Self::rms_norm_back(x, weight, epsilon, grad);
        (own + so_far, of_weight)
    }

    /// Turns each pair `(x[i], x[i + width / 2])` by the angle of its row's position, or back by it: which is also the way
    /// back of the gradient.
    ///
    /// # Shapes
    /// x `[rows, heads, width]`, positions `[rows]` -> `[rows, heads, width]`
    fn rotate(
        x: Tensor<Self, 3>,
        angles: &Angles<Self>,
        positions: Tensor<Self, 1, Int>,
        back: bool,
    ) -> Tensor<Self, 3> {
        plain::rotate(x, angles, positions, back)
    }

    /// Attention of each token to those that it sees. Several heads may share keys and values.
    ///
    /// # Shapes
    /// sources: query `[batch, tokens, heads, width]`, key and value `[batch, tokens, kv_heads, width]`
    fn attend(sources: [Tensor<Self, 4>; 3], sight: &Sight<Self>) -> Attended<Self> {
        plain::attend(sources, sight)
    }

    /// The way back of [`Ops::attend`]: gradients of query, key and value.
    fn attend_back(
        sources: [Tensor<Self, 4>; 3],
        sight: &Sight<Self>,
        attended: Attended<Self>,
        grad: Tensor<Self, 4>,
    ) -> [Tensor<Self, 4>; 3] {
        plain::attend_back(sources, sight, attended, grad)
    }

    /// `x + y`: what a block adds to what came in.
    ///
    /// # Shapes
    /// both `[rows, width]`
    fn add(x: Tensor<Self, 2>, y: Tensor<Self, 2>) -> Tensor<Self, 2> {
        x + y
    }

    /// `silu(gate) * up`.
    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::swiglu(gate, up)
    }

    /// The way back of [`Ops::swiglu`].
    fn swiglu_back(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::swiglu_back(gate, up, grad)
    }

    /// The rows of `weight` that `ids` name.
    ///
    /// # Shapes
    /// weight `[vocabulary, width]`, ids `[rows]` -> `[rows, width]`
    fn embed(weight: Tensor<Self, 2>, ids: Tensor<Self, 1, Int>) -> Tensor<Self, 2> {
        plain::embed(weight, ids)
    }

    /// The way back of [`Ops::embed`]: the gradient of the weight (f32).
    fn embed_back(ids: Tensor<Self, 1, Int>, vocabulary: usize, grad: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::embed_back(ids, vocabulary, grad)
    }

    /// From the last hidden state to the loss, a chunk of tokens at a time, so that the logits of a batch never exist at
    /// once. The gradients are made on the way, where `back` asks for them. `share` is what each token's loss counts.
    ///
    /// # Shapes
    /// x `[rows, width]`, weight `[vocabulary, width]`, labels `[rows]` ([`NO_LABEL`] where there is none)
    fn head_loss(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> HeadLoss<Self> {
        plain::head_loss(x, weight, labels, objective, share, back)
    }

    /// Numbers in `[0, 1)` that depend on the seed and their place alone: the same on every backend.
    fn noise(len: usize, seed: u64, device: &Self::Device) -> Tensor<Self, 1> {
        plain::noise(len, seed, device)
    }

    /// Zeroes what is to be dropped. The way back is the same operation.
    fn dropout(x: Tensor<Self, 2>, dropped: Dropout) -> Tensor<Self, 2> {
        plain::dropout(x, dropped)
    }

    /// The sum of squares, in f32.
    ///
    /// # Shapes
    /// `[n] -> [1]`
    fn sum_squares(x: Tensor<Self, 1>) -> Tensor<Self, 1> {
        plain::sum_squares(x)
    }

    /// Numbers that add up to the sum of squares of all tensors: one of each tensor, or a few.
    ///
    /// # Shapes
    /// `[n]` each -> `[few]`
    fn squares(all: Vec<Tensor<Self, 1>>) -> Tensor<Self, 1> {
        Tensor::cat(all.into_iter().map(Self::sum_squares).collect(), 0)
    }

    /// One step of AdamW: the new weight and both means, all in f32.
    ///
    /// # Shapes
    /// all `[n]`
    fn adamw(
        weight: Tensor<Self, 1>,
        grad: Tensor<Self, 1>,
        means: (Tensor<Self, 1>, Tensor<Self, 1>),
        step: &AdamStep,
    ) -> (Tensor<Self, 1>, (Tensor<Self, 1>, Tensor<Self, 1>)) {
        plain::adamw(weight, grad, means, step)
    }

    /// Whether all that was asked of the device until now succeeds, as far as is known: nobody waits for what is asked for.
    fn checked(_: &Self::Device) -> DeviceResult<()> {
        Ok(())
    }

    /// Makes the members of a group ready for [`Ops::together`], each on its own thread. Says why numbers go by way of the host's
    /// memory, where they do and need not.
    fn join(_: &Member, _: &Self::Device) -> DeviceResult<Option<String>> {
        Ok(None)
    }

    /// Notes that bucket `number` of the next [`Ops::together`] is made by what was asked of the device until now: so it is put
    /// together while the device does what is asked for after this. Each may be noted once, in order.
    fn made(_: &Member, _number: usize, _: &Self::Device) {}

    /// The tensors of each bucket, as all members put them together: the same bits for each of them.
    fn together(member: &Member, buckets: Vec<Bucket<Self>>) -> DeviceResult<Vec<Vec<Tensor<Self, 1>>>> {
        plain::together(member, buckets)
    }
}

impl AdamStep {
    /// What both means are divided by, since they began at zero.
    pub(crate) fn corrections(&self) -> (f64, f64) {
        let step = self.step as f64;
        (1.0 - self.beta1.powf(step), 1.0 - self.beta2.powf(step))
    }
}
