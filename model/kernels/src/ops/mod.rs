//! [`Ops`]: the operations of a language model. Each has a body of plain Burn here, which is the reference; a backend
//! replaces those that it does faster.
mod given;

pub use given::{
    AdamStep, Angles, Attended, Cores, Dropout, Gated, HeadLoss, Later, Learning, Linking, LogitLoss, Move,
    NO_LABEL, Normed, Objective, Placing, Push, Rounding, Sight, Turned,
};

use crate::decode::DeviceResult;
use crate::experts::Dealing;
use crate::group::{Bucket, Member};
use crate::plain;
use burn::prelude::*;
use burn::tensor::DType;

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

    /// `x wᵀ` of every weight with a part of x of its own, side by side.
    ///
    /// # Shapes
    /// x `[rows, weights * in]`, weights `[out, in]` each -> `[rows, sum of outs]`
    fn project_apart(x: Tensor<Self, 2>, weights: Vec<Tensor<Self, 2>>) -> Tensor<Self, 2> {
        let outs: Vec<usize> = weights.iter().map(|weight| weight.dims()[0]).collect();
        let weights = Self::stacked(weights, x.dtype());
        Self::project_apart_stacked(x, weights, &outs)
    }

    /// The same for weights that are [`Ops::stacked`] and give so many numbers each.
    fn project_apart_stacked(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        outs: &[usize],
    ) -> Tensor<Self, 2> {
        plain::project_apart(x, weights, outs)
    }

    /// The way back of [`Ops::project_apart_stacked`]: the gradient of x, and that of all weights (f32), one behind the other.
    fn project_apart_back(
        x: Tensor<Self, 2>,
        weights: Vec<Tensor<Self, 2>>,
        outs: &[usize],
        grad: Tensor<Self, 2>,
    ) -> [Tensor<Self, 2>; 2] {
        plain::project_apart_back(x, weights, outs, grad)
    }

    /// `sum + x wᵀ`, of which the product may be dropped in part: how a block adds to what came in.
    ///
    /// # Shapes
    /// sum `[rows, out]`, x `[rows, in]`, weight `[out, in]` -> `[rows, out]`
    fn project_onto(
        sum: Tensor<Self, 2>,
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        dropped: Dropout,
    ) -> Tensor<Self, 2> {
        Self::add(sum, Self::dropout(Self::project(x, vec![weight]), dropped))
    }

    /// [`Ops::project_onto`] of what [`Ops::swiglu`] gives, which the way back makes again likewise.
    fn project_gated_onto(
        sum: Tensor<Self, 2>,
        both: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        dropped: Dropout,
    ) -> Tensor<Self, 2> {
        Self::project_onto(sum, Self::swiglu(both), weight, dropped)
    }

    /// `weight * x / sqrt(mean(x²) + epsilon)`, row by row.
    ///
    /// # Shapes
    /// x `[rows, width]`, weight `[width]` -> `[rows, width]`
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        plain::rms_norm(x, weight, epsilon)
    }

    /// The way back of [`Ops::rms_norm`]: gradients of x, added to what there is of it, and of the weight; and with `again` what the
    /// norm gave, which is there in passing.
    fn rms_norm_back(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 1>,
        epsilon: f64,
        grad: Tensor<Self, 2>,
        so_far: Option<Tensor<Self, 2>>,
        again: bool,
    ) -> Normed<Self> {
        plain::rms_norm_back(x, weight, epsilon, grad, so_far, again)
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

    /// [`Ops::attend`] where what tokens have in each other goes by how near queries and keys are in hyperbolic space: each head's has its
    /// curvature, and a distance counts by its sharpness. No token sees more than `window`.
    ///
    /// # Shapes
    /// x `[batch, tokens, heads + 2 kv_heads, width]`: queries, keys, values; spaces `[2, heads]`: curvatures, sharpness (f32)
    /// -> `[batch, tokens, heads, width]`
    fn attend_near(
        x: Tensor<Self, 4>,
        spaces: Tensor<Self, 2>,
        sight: &Sight<Self>,
        window: Option<usize>,
    ) -> Tensor<Self, 4> {
        plain::attend_near(x, spaces, sight, window)
    }

    /// The way back of [`Ops::attend_near`]: the gradients of x and of the spaces.
    fn attend_near_back(
        x: Tensor<Self, 4>,
        spaces: Tensor<Self, 2>,
        sight: &Sight<Self>,
        window: Option<usize>,
        grad: Tensor<Self, 4>,
    ) -> (Tensor<Self, 4>, Tensor<Self, 2>) {
        plain::attend_near_back(x, spaces, sight, window, grad)
    }

    /// Heads learn from token to token: each answers a query by what it has learned of the tokens before, and makes a step of gradient descent
    /// towards giving the token's value for its key. Queries and keys are brought to a length of one.
    ///
    /// # Shapes
    /// x `[batch, tokens, 3 heads, width]`: queries, keys, values; or `heads`, which are all three -> `[batch, tokens, heads, width]`
    fn learn(x: Tensor<Self, 4>, learning: &Learning<Self>) -> Tensor<Self, 4> {
        plain::learn(x, learning)
    }

    /// The way back of [`Ops::learn`]: the gradient of x.
    fn learn_back(x: Tensor<Self, 4>, learning: &Learning<Self>, grad: Tensor<Self, 4>) -> Tensor<Self, 4> {
        plain::learn_back(x, learning, grad)
    }

    /// What links of chains are made of, in f32, each behind its bias: potentials, of which none becomes larger than `most`, by tanh, and
    /// couplings, which are more than nothing, by softplus.
    ///
    /// # Shapes
    /// both `[rows, 2 chains]`, biases `[chains]` each (f32) -> `[rows, 2 chains]`
    fn bounded(both: Tensor<Self, 2>, biases: [Tensor<Self, 1>; 2], most: f64) -> Tensor<Self, 2> {
        plain::bounded(both, biases, most)
    }

    /// The way back of [`Ops::bounded`]: the gradients of both and of the biases (f32).
    fn bounded_back(
        both: Tensor<Self, 2>,
        biases: [Tensor<Self, 1>; 2],
        most: f64,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, [Tensor<Self, 1>; 2]) {
        plain::bounded_back(both, biases, most, grad)
    }

    /// Chains of numbers, in which each token finds `1 / (a - i eta - k g)` by its potential `a` and by what the token before it found, `g`,
    /// times that one's coupling `k`. All in f32.
    ///
    /// # Shapes
    /// links `[batch, tokens, 2 chains]`: potentials, couplings; eta `[chains]` -> `[batch, tokens, 2 chains]`: real parts, imaginary ones
    fn link(links: Tensor<Self, 3>, eta: Tensor<Self, 1>, linking: &Linking<Self>) -> Tensor<Self, 3> {
        plain::link(links, eta, linking)
    }

    /// The way back of [`Ops::link`], by what was found: the gradients of the links and of eta.
    fn link_back(
        links: Tensor<Self, 3>,
        found: Tensor<Self, 3>,
        linking: &Linking<Self>,
        grad: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Tensor<Self, 1>) {
        plain::link_back(links, found, linking, grad)
    }

    /// How many places an expert has, or a multiple of it, so that products of few shapes are asked for.
    const PLACES: usize = 1;

    /// The row of each place, by experts; zeros where one is empty.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[places, width]`
    fn dealt(x: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        plain::dealt(x, dealing)
    }

    /// The way back of [`Ops::dealt`]: the gradient of x, a sum of those of its places.
    fn dealt_back(grad: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        plain::dealt_back(grad, dealing)
    }

    /// The sum, row by row, of what stands at its places, each times its share.
    ///
    /// # Shapes
    /// x `[places, width]`, shares `[rows, chosen]` (f32) -> `[rows, width]`
    fn gathered(x: Tensor<Self, 2>, shares: Tensor<Self, 2>, dealing: &Dealing<Self>) -> Tensor<Self, 2> {
        plain::gathered(x, shares, dealing)
    }

    /// The way back of [`Ops::gathered`]: the gradients of x and of the shares (f32).
    fn gathered_back(
        x: Tensor<Self, 2>,
        shares: Tensor<Self, 2>,
        dealing: &Dealing<Self>,
        grad: Tensor<Self, 2>,
    ) -> [Tensor<Self, 2>; 2] {
        plain::gathered_back(x, shares, dealing, grad)
    }

    /// [`Ops::project`] by experts, each with its weights and the places that `ends` says are its own: none is left out, and none filled up.
    ///
    /// # Shapes
    /// x `[places, in]`, weights `[out, in]` each, as many of each expert -> `[places, sum of outs of one]`
    fn project_dealt(
        x: Tensor<Self, 2>,
        weights: Vec<Vec<Tensor<Self, 2>>>,
        ends: &[usize],
    ) -> Tensor<Self, 2> {
        plain::project_dealt(x, weights, ends)
    }

    /// The way back of [`Ops::project_dealt`], for weights that are [`Ops::stacked`] by experts: the gradient of x, and that of all weights
    /// (f32), one behind the other. Each is made where it is wanted.
    fn project_dealt_back(
        x: Tensor<Self, 2>,
        weights: Vec<Vec<Tensor<Self, 2>>>,
        ends: &[usize],
        grad: Tensor<Self, 2>,
        wanted: [bool; 2],
    ) -> [Option<Tensor<Self, 2>>; 2] {
        plain::project_dealt_back(x, weights, ends, grad, wanted)
    }

    /// x as it is; on the way back each row of `y` gets `grad`, whatever comes back to x.
    ///
    /// # Shapes
    /// x any, y `[rows, width]`, grad `[width]`
    fn beside(x: Tensor<Self, 2>, _y: Tensor<Self, 2>, _grad: Tensor<Self, 1>) -> Tensor<Self, 2> {
        x
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

    /// Weights as they act where they are rounded. The way back hands on what it is given, so that it is the weights as they are that
    /// learn: straight through.
    fn rounded(weight: Tensor<Self, 2>, to: Rounding) -> Tensor<Self, 2> {
        plain::rounded(weight, to)
    }

    /// Each row in 8 bits by its largest number, straight through likewise: what weights of three values are multiplied by.
    fn rounded_rows(x: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::rounded_rows(x)
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

    /// How many numbers a head of two cores has at once, of logits and of what lies between both cores.
    const BETWEEN: usize = 1 << 26;

    /// [`Ops::head_loss`] where the head is a table of two cores, which is never made.
    fn cores_loss(
        x: Tensor<Self, 2>,
        cores: Cores<Self>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> HeadLoss<Self, 2> {
        plain::cores_loss(x, cores, labels, objective, share, back)
    }

    /// The loss of logits that are there, and their gradient.
    ///
    /// # Shapes
    /// logits `[rows, vocabulary]`, labels `[rows]`
    fn logit_loss(
        logits: Tensor<Self, 2>,
        labels: Tensor<Self, 1, Int>,
        objective: &Objective,
        share: f64,
        back: bool,
    ) -> LogitLoss<Self> {
        plain::logit_loss(logits, labels, objective, share, back)
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

    /// What the gradients of a step are multiplied by, so that their norm is `most` at most, where that is more than nothing; then
    /// that norm, and the loss. The first is no number where one of the others is none, or where `before` is none, which is the
    /// first of the step before: so nothing changes until somebody has looked.
    ///
    /// # Shapes
    /// squares `[few]` that add up to the norm's, loss `[1]`, before `[1]` -> `[3]`
    fn clip(
        squares: Tensor<Self, 1>,
        loss: Tensor<Self, 1>,
        before: Tensor<Self, 1>,
        most: f64,
    ) -> Tensor<Self, 1> {
        plain::clip(squares, loss, before, most)
    }

    /// One step of AdamW for weights, each with its gradient, its mean and its mean of squares: the new weight and both means, all in
    /// f32.
    ///
    /// # Shapes
    /// all of a weight's `[n]`
    fn adamw(weights: Vec<[Tensor<Self, 1>; 4]>, step: &AdamStep<Self>) -> Vec<[Tensor<Self, 1>; 3]> {
        weights.into_iter().map(|one| plain::adamw(one, step)).collect()
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
        push: &Push<Self>,
    ) -> Vec<[Tensor<Self, 1>; 2]> {
        plain::muon(matrices, shape, push)
    }

    /// Weights that went some way each, and decayed, in f32. The ways are in any type of float.
    ///
    /// # Shapes
    /// a weight and its way `[n]`
    fn moved(weights: Vec<[Tensor<Self, 1>; 2]>, by: &Move<Self>) -> Vec<Tensor<Self, 1>> {
        weights.into_iter().map(|one| plain::moved(one, by)).collect()
    }

    /// How many steps a training asks for before it looks at what came of the first: none where who asks waits until it is done.
    const AHEAD: usize = 0;

    /// Asks for numbers, and does not wait for them.
    fn later(x: Tensor<Self, 1>) -> Later {
        let numbers = x.into_data().iter().collect();
        Later::new(move || numbers)
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
