//! [`Ops`]: the operations of a language model. Each has a body of plain Burn here, which is the reference; a backend
//! replaces those that it does faster.
use crate::decode::DeviceResult;
use crate::group::{Bucket, Member};
use crate::plain;
use burn::prelude::*;
use burn::tensor::DType;

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

/// How queries and keys are placed.
#[derive(Clone, Debug)]
pub struct Placing<B: Backend> {
    /// How many heads of queries there are.
    pub heads: usize,
    /// The angles of all positions.
    pub angles: Angles<B>,
    /// `[rows]`: which position each row has.
    pub positions: Tensor<B, 1, Int>,
    /// The weights of the norms of queries and of keys, `[width]` each, where there are norms.
    pub norms: Option<[Tensor<B, 1>; 2]>,
    /// Added to the mean square of what is normed.
    pub epsilon: f64,
}

/// What the way back of SwiGLU gives.
#[derive(Clone, Debug)]
pub struct Gated<B: Backend> {
    /// `[rows, width]`: what SwiGLU gave.
    pub output: Tensor<B, 2>,
    /// `[rows, 2 width]`: the gradient of gate and up.
    pub grad: Tensor<B, 2>,
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

/// How momentum takes a gradient in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Push {
    /// The gradient is multiplied by this first: what clipping asks for.
    pub scale: f64,
    /// What is kept of momentum.
    pub momentum: f64,
    /// The step looks ahead: the gradient, and what momentum will be left of all with it.
    pub nesterov: bool,
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

    /// Weights as products take them: in one type, and one behind the other where the backend multiplies the faster for it.
    ///
    /// # Shapes
    /// `[out, in]` each, with outs of their own
    fn stacked(weights: Vec<Tensor<Self, 2>>, dtype: DType) -> Vec<Tensor<Self, 2>> {
        weights.into_iter().map(|weight| plain::narrow(weight, dtype)).collect()
    }

    /// `x wᵀ` of every weight, side by side, with the weights in the type of `x`.
    ///
    /// # Shapes
    /// x `[rows, in]`, weights `[out, in]` each -> `[rows, sum of outs]`
    fn project(x: Tensor<Self, 2>, weights: Vec<Tensor<Self, 2>>) -> Tensor<Self, 2> {
        let weights = Self::stacked(weights, x.dtype());
        plain::project(x, weights)
    }

    /// The way back of [`Ops::project`], for weights that are [`Ops::stacked`]: the gradient of x, added to what there is of
    /// it, and that of all weights (f32), one behind the other. Each is made where it is wanted.
    fn project_back(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        grad: Tensor<Self, 2>,
        so_far: Option<Tensor<Self, 2>>,
        wanted: [bool; 2],
    ) -> [Option<Tensor<Self, 2>>; 2] {
        plain::project_back(x, weights, grad, so_far, wanted)
    }

    /// [`Ops::project`] of rows behind their norm. The way back makes the normed rows again, so that nobody keeps them.
    fn project_normed(
        x: Tensor<Self, 2>,
        norm: Tensor<Self, 1>,
        epsilon: f64,
        weights: Vec<Tensor<Self, 2>>,
    ) -> Tensor<Self, 2> {
        Self::project(Self::rms_norm(x, norm, epsilon), weights)
    }

    /// [`Ops::project`] of what [`Ops::swiglu`] gives, which the way back likewise makes again.
    fn project_gated(both: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        Self::project(Self::swiglu(both), vec![weight])
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

    /// Queries and keys with their norms, where there are any, turned by their places; values as they are. Turning takes
    /// each pair `(x[i], x[i + width / 2])` by the angle of its row's position.
    ///
    /// # Shapes
    /// x `[rows, heads + 2 kv_heads, width]`: queries, keys, values; positions `[rows]`
    fn place(x: Tensor<Self, 3>, placing: &Placing<Self>) -> Tensor<Self, 3> {
        plain::place(x, placing)
    }

    /// The way back of [`Ops::place`], for x where there are norms: the gradient of x, and of both norms (f32).
    fn place_back(
        x: Option<Tensor<Self, 3>>,
        placing: &Placing<Self>,
        grad: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Option<[Tensor<Self, 1>; 2]>) {
        plain::place_back(x, placing, grad)
    }

    /// Attention of each token to those that it sees. Several heads may share keys and values.
    ///
    /// # Shapes
    /// x `[batch, tokens, heads + 2 kv_heads, width]`: queries, keys, values
    fn attend(x: Tensor<Self, 4>, heads: usize, sight: &Sight<Self>) -> Attended<Self> {
        plain::attend(x, heads, sight)
    }

    /// The way back of [`Ops::attend`]: the gradient of x.
    fn attend_back(
        x: Tensor<Self, 4>,
        sight: &Sight<Self>,
        attended: Attended<Self>,
        grad: Tensor<Self, 4>,
    ) -> Tensor<Self, 4> {
        plain::attend_back(x, sight, attended, grad)
    }

    /// `x + y`: what a block adds to what came in.
    ///
    /// # Shapes
    /// both `[rows, width]`
    fn add(x: Tensor<Self, 2>, y: Tensor<Self, 2>) -> Tensor<Self, 2> {
        x + y
    }

    /// `silu(gate) * up`.
    ///
    /// # Shapes
    /// both `[rows, 2 width]`: gate, up -> `[rows, width]`
    fn swiglu(both: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::swiglu(both)
    }

    /// The way back of [`Ops::swiglu`]: the gradient of both. What it gave comes out beside, since it costs next to nothing.
    fn swiglu_back(both: Tensor<Self, 2>, grad: Tensor<Self, 2>) -> Gated<Self> {
        plain::swiglu_back(both, grad)
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

    /// How many numbers of matrices [`Ops::muon`] is best given at once, though one matrix at least.
    const TOGETHER: usize = 1;

    /// Which way matrices of one shape go by Muon, each with its gradient and its momentum: that way, and momentum as it is then,
    /// in f32. The ways are in any type of float.
    ///
    /// # Shapes
    /// all `[rows * columns]`
    fn muon(
        matrices: Vec<[Tensor<Self, 1>; 2]>,
        shape: [usize; 2],
        push: &Push,
    ) -> Vec<[Tensor<Self, 1>; 2]> {
        plain::muon(matrices, shape, push)
    }

    /// A weight that went some way at this learning rate, and decayed, in f32. The way is in any type of float.
    ///
    /// # Shapes
    /// all `[n]`
    fn moved(weight: Tensor<Self, 1>, way: Tensor<Self, 1>, rate: f64, decay: f64) -> Tensor<Self, 1> {
        plain::moved(weight, way, rate, decay)
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

    /// The same numbers, in memory that nobody else holds where [`Ops::together`] writes over it.
    fn owned(x: Tensor<Self, 1>) -> Tensor<Self, 1> {
        x
    }

    /// The tensors of each bucket, as all members put them together: the same bits for each of them. What is not
    /// [`Ops::owned`] is copied first, so its bucket waits for all that was asked of the device.
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
