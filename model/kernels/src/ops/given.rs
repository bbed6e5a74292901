//! What operations are given and what they give, beside tensors.
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

/// What weights are rounded to while they are used, and not where they are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Three values: zero, and the mean size of all of them with either sign, for those that are larger than half of it.
    Ternary,
    /// 8 bits, with a scale in half precision for 32 of a row: GGUF's Q8_0.
    Int8,
}

/// What the way back of SwiGLU gives.
#[derive(Clone, Debug)]
pub struct Gated<B: Backend> {
    /// `[rows, width]`: what SwiGLU gave.
    pub output: Tensor<B, 2>,
    /// `[rows, 2 width]`: the gradient of gate and up.
    pub grad: Tensor<B, 2>,
}

/// What the way back of RMSNorm gives.
#[derive(Clone, Debug)]
pub struct Normed<B: Backend> {
    /// `[rows, width]`: what the norm gave, where it was asked for.
    pub output: Option<Tensor<B, 2>>,
    /// `[rows, width]`: the gradient of x.
    pub grad: Tensor<B, 2>,
    /// `[width]`: that of the weight, in f32.
    pub of_weight: Tensor<B, 1>,
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

/// Which numbers are dropped, and those that stay made larger for it: by [`super::Ops::noise`], so that the way back drops the same.
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

/// How heads learn from token to token.
#[derive(Clone, Debug)]
pub struct Learning<B: Backend> {
    /// How many there are.
    pub heads: usize,
    /// `[batch, tokens]`: the first token of each one's document, at which nothing is learned yet.
    pub begins: Tensor<B, 2, Int>,
    /// How large a token's step is.
    pub rate: f64,
}

/// Which tokens chains go through.
#[derive(Clone, Debug)]
pub struct Linking<B: Backend> {
    /// `[batch, tokens]`: the first token of each one's document, where chains begin.
    pub begins: Tensor<B, 2, Int>,
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

/// A table of rows, one for each token, that is made of two cores: for each of some ranks, row `i` has the outer product of a part of
/// row `i / n` of the first and of one of row `i % n` of the second, which has `n` rows. The sum of these is the row, but for what is
/// behind its end.
#[derive(Clone, Debug)]
pub struct Cores<B: Backend> {
    /// `[m, ranks * a]`
    pub first: Tensor<B, 2>,
    /// `[n, ranks * b]`
    pub second: Tensor<B, 2>,
    /// How many outer products a row is the sum of.
    pub ranks: usize,
    /// How many rows the table has: `m n` at most.
    pub rows: usize,
    /// How wide they are: `a b` at most.
    pub width: usize,
}

/// The loss of rows of logits.
#[derive(Clone, Debug)]
pub struct LogitLoss<B: Backend> {
    /// `[1]`: the objective, as [`HeadLoss`] has it.
    pub loss: Tensor<B, 1>,
    /// `[1]`: plain cross-entropy.
    pub plain: Tensor<B, 1>,
    /// The gradient of the logits, in their type, where it was asked for.
    pub grad: Option<Tensor<B, 2>>,
}

/// The loss of a batch, from the last hidden state to the number. `N` weights make the logits.
#[derive(Clone, Debug)]
pub struct HeadLoss<B: Backend, const N: usize = 1> {
    /// `[1]`: the objective, summed over the tokens that have a label, times the caller's share. Always f32.
    pub loss: Tensor<B, 1>,
    /// `[1]`: plain cross-entropy, likewise. Nothing flows back from it.
    pub plain: Tensor<B, 1>,
    /// The gradient for the hidden state and for the head's weights, where they were asked for.
    pub back: Option<(Tensor<B, 2>, [Tensor<B, 2>; N])>,
}

/// One step of AdamW, but for the tensors that it changes.
#[derive(Clone, Debug)]
pub struct AdamStep<B: Backend> {
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
    /// `[1]`: the gradient is multiplied by this first, as [`crate::Ops::clip`] says. Where it is no number, nothing changes.
    pub scale: Tensor<B, 1>,
    /// Which step this is, from 1.
    pub step: u64,
}

/// How momentum takes a gradient in.
#[derive(Clone, Debug)]
pub struct Push<B: Backend> {
    /// `[1]`: the gradient is multiplied by this first. Where it is no number, momentum stays.
    pub scale: Tensor<B, 1>,
    /// What is kept of momentum.
    pub momentum: f64,
    /// The step looks ahead: the gradient, and what momentum will be left of all with it.
    pub nesterov: bool,
}

/// How far a weight goes its way.
#[derive(Clone, Debug)]
pub struct Move<B: Backend> {
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// `[1]`: where it is no number, the weight stays.
    pub scale: Tensor<B, 1>,
}

/// Numbers of a device that are asked for: on their way, or there.
pub struct Later(Box<dyn FnOnce() -> Vec<f64> + Send>);

impl Later {
    pub(crate) fn new(numbers: impl FnOnce() -> Vec<f64> + Send + 'static) -> Self {
        Self(Box::new(numbers))
    }

    /// Waits for them, to ask for them another time.
    pub fn waited(self) -> Self {
        let numbers = self.numbers();
        Self::new(move || numbers)
    }

    /// Waits for them.
    pub fn numbers(self) -> Vec<f64> {
        self.0()
    }
}

/// Rows of text are labelled with what comes next; where nothing is to be learned stands this.
pub const NO_LABEL: i32 = -100;

impl<B: Backend> AdamStep<B> {
    /// What both means are divided by, since they began at zero.
    pub(crate) fn corrections(&self) -> (f64, f64) {
        let step = self.step as f64;
        (1.0 - self.beta1.powf(step), 1.0 - self.beta2.powf(step))
    }
}
