//! Attention by distance: queries and keys are points of hyperbolic space, and the nearer two are, the more they have in each other.
//!
//! A vector `u` is where one comes to from the middle of a ball of Poincaré of curvature `c` by going that way, `2 |u|` far. With
//! `a = sqrt(c) |u|` and `b` likewise, the distance `d` of two such points is that of hyperbolic geometry's law of cosines:
//! `cosh(sqrt(c) d) = cosh 2a cosh 2b - sinh 2a sinh 2b cos(angle)`, which is a product of two rows with one number more.
use super::attention::{by_head, by_token};
use super::{dropout, narrow, parts, wide};
use crate::ops::{Dropout, Ops, Sight};
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::softmax;
use std::ops::Range;

/// Queries that are attended for at once.
const BLOCK: usize = 128;
/// No vector is longer: at the rim of the ball all is equally far.
pub(crate) const LONGEST: f64 = 5.0;
/// Nothing is nearer, as the slope of the distance is infinite where two points are one.
pub(crate) const NEAREST: f64 = 1e-6;

/// Vectors as points: rows whose products say how near they are, `(cosh 2a, sinh 2a u / |u|)`, the first times `first`.
struct Points<B: Backend> {
    /// `[batch, heads, tokens, 1]`: how long vectors are.
    length: Tensor<B, 4>,
    /// `[batch, heads, tokens, width]`: where they go.
    way: Tensor<B, 4>,
    cosh: Tensor<B, 4>,
    sinh: Tensor<B, 4>,
    first: f64,
}

impl<B: Backend> Points<B> {
    /// # Shapes
    /// x `[batch, heads, tokens, width]`, root `[1, heads, 1, 1]`: that of the curvature
    fn new(x: Tensor<B, 4>, root: &Tensor<B, 4>, first: f64) -> Self {
        let length = (x.clone() * x.clone()).sum_dim(3).clamp_min(1e-12).sqrt();
        let twice = length.clone().clamp_max(LONGEST) * root.clone().mul_scalar(2.0);
        let (out, back) = (twice.clone().exp(), twice.neg().exp());
        let (cosh, sinh) = ((out.clone() + back.clone()).mul_scalar(0.5), (out - back).mul_scalar(0.5));
        Self { way: x / length.clone(), length, cosh, sinh, first }
    }

    fn rows(&self) -> Tensor<B, 4> {
        let along = self.way.clone() * self.sinh.clone();
        Tensor::cat(vec![self.cosh.clone().mul_scalar(self.first), along], 3)
    }

    /// The gradients of the vectors, and of the curvature's root, `[batch, heads, tokens, 1]`.
    fn back(self, root: &Tensor<B, 4>, grad: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let [.., wide] = grad.dims();
        let (of_first, of_along) = (grad.clone().narrow(3, 0, 1), grad.narrow(3, 1, wide - 1));
        let along = (self.way.clone() * of_along.clone()).sum_dim(3);
        let of_twice = of_first * self.sinh.clone().mul_scalar(self.first) + along.clone() * self.cosh;
        // At the rim of the ball a longer vector is no farther.
        let inside = self.length.clone().lower_elem(LONGEST).float().cast(DType::F32);
        let outwards = of_twice.clone() * inside * root.clone().mul_scalar(2.0);
        let across = (of_along - self.way.clone() * along) * self.sinh / self.length.clone();
        (across + self.way * outwards, of_twice * self.length.clamp_max(LONGEST).mul_scalar(2.0))
    }
}

/// What is known of queries and keys on the way to logits.
struct Pairs<B: Backend> {
    root: Tensor<B, 4>,
    sharpness: Tensor<B, 4>,
    query: Points<B>,
    key: Points<B>,
    /// `[batch, heads, queries, keys]`: by how much products are more than one.
    apart: Tensor<B, 4>,
    /// Distances, times the root of the curvature.
    far: Tensor<B, 4>,
}

impl<B: Ops> Pairs<B> {
    fn new(query: Tensor<B, 4>, key: Tensor<B, 4>, spaces: &Tensor<B, 2>) -> Self {
        let [_, heads, _, _] = query.dims();
        let space = |which: usize| spaces.clone().narrow(0, which, 1).reshape([1, heads, 1, 1]);
        let (root, sharpness) = (space(0).sqrt(), space(1));
        let (query, key) = (Points::new(query, &root, 1.0), Points::new(key, &root, -1.0));
        let apart = B::multiply(query.rows(), key.rows().swap_dims(2, 3)).neg().sub_scalar(1.0);
        let apart = apart.clamp_min(NEAREST);
        let far = (apart.clone() + steepness(&apart)).log1p();
        Self { root, sharpness, query, key, apart, far }
    }

    /// How much each token has in those that it sees, before it is shared out: less, the farther they are.
    fn logits(&self) -> Tensor<B, 4> {
        self.far.clone() * (self.sharpness.clone() / self.root.clone()).neg()
    }

    /// From the gradient of the logits to those of queries and keys, and of the spaces.
    fn back(self, grad: Tensor<B, 4>) -> ([Tensor<B, 4>; 2], Tensor<B, 2>) {
        let [_, heads, _, _] = grad.dims();
        let counts = self.sharpness.clone() / self.root.clone();
        let of_pairs = |x: Tensor<B, 4>| x.sum_dim(3).sum_dim(2).sum_dim(0).reshape([1, heads]);
        let of_far = of_pairs(grad.clone() * self.far);
        // Where two points are as near as points may be, nothing moves them.
        let moves = self.apart.clone().greater_elem(NEAREST).float().cast(DType::F32);
        let of_products = grad * counts.clone() / steepness(&self.apart) * moves;
        let of_query = B::multiply(of_products.clone(), self.key.rows());
        let of_key = B::multiply(of_products.swap_dims(2, 3), self.query.rows());
        let (of_query, root_by_query) = self.query.back(&self.root, of_query);
        let (of_key, root_by_key) = self.key.back(&self.root, of_key);
        let row = |x: Tensor<B, 4>| x.reshape([1, heads]);
        let (root, counts) = (row(self.root), row(counts));
        let of_root =
            of_pairs(root_by_query) + of_pairs(root_by_key) + of_far.clone() * counts / root.clone();
        let of_spaces = vec![of_root / root.clone().mul_scalar(2.0), of_far.neg() / root];
        ([of_query, of_key], Tensor::cat(of_spaces, 0))
    }
}

/// What the slope of the distance is one over.
fn steepness<B: Backend>(apart: &Tensor<B, 4>) -> Tensor<B, 4> {
    (apart.clone() * apart.clone().add_scalar(2.0)).sqrt()
}

/// A block of queries, and the keys that any of them may see.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
    dropped: Dropout,
}

fn blocks(tokens: usize, sight: &Sight<impl Backend>, window: Option<usize>) -> Vec<Block> {
    let of = |first: usize| {
        let queries = first..tokens.min(first + BLOCK);
        let keys = window.map_or(0, |window| (first + 1).saturating_sub(window))..queries.end;
        let seed = sight.dropped.seed.wrapping_add((first as u64) << 40);
        Block { queries, keys, dropped: Dropout { seed, ..sight.dropped } }
    };
    (0..tokens).step_by(BLOCK).map(of).collect()
}

/// What a block's queries and keys come to, and the shares that its tokens have in each other.
struct Shared<B: Backend> {
    pairs: Pairs<B>,
    shares: Tensor<B, 4>,
    value: Tensor<B, 4>,
}

/// # Shapes
/// query `[batch, queries, heads, width]`, key and value `[batch, keys, kv_heads, width]`
fn shared<B: Ops>(
    [query, key, value]: [Tensor<B, 4>; 3],
    spaces: &Tensor<B, 2>,
    sight: &Sight<B>,
    block: &Block,
) -> Shared<B> {
    let ([batch, queries, heads, _], [_, keys, ..]) = (query.dims(), key.dims());
    let query = wide(query.swap_dims(1, 2)).mul_scalar(sight.scale);
    let key = wide(by_head(key, heads)).mul_scalar(sight.scale);
    let pairs = Pairs::new(query, key, spaces);
    let starts = sight.starts.clone().narrow(1, block.queries.start, queries);
    let (device, whole) = (starts.device(), starts.dtype());
    let places = |range: &Range<usize>| {
        Tensor::<B, 1, Int>::arange(range.start as i64..range.end as i64, (&device, whole))
    };
    let size = [batch, 1, queries, keys];
    let columns = places(&block.keys).reshape([1, 1, 1, keys]).expand(size);
    let rows = places(&block.queries).reshape([1, 1, queries, 1]).expand(size);
    let hidden = columns.clone().lower(starts.reshape([batch, 1, queries, 1]).expand(size));
    let hidden = hidden.bool_or(columns.greater(rows)).expand([batch, heads, queries, keys]);
    let shares = softmax(pairs.logits().mask_fill(hidden, f64::NEG_INFINITY), 3);
    Shared { pairs, shares, value: wide(by_head(value, heads)) }
}

/// The parts of a block.
fn parts_of<B: Backend>(x: &Tensor<B, 4>, heads: usize, block: &Block) -> [Tensor<B, 4>; 3] {
    let [query, key, value] = parts(x.clone(), heads);
    let of = |x: Tensor<B, 4>, range: &Range<usize>| x.narrow(1, range.start, range.len());
    [of(query, &block.queries), of(key, &block.keys), of(value, &block.keys)]
}

pub(crate) fn attend_near<B: Ops>(
    x: Tensor<B, 4>,
    spaces: Tensor<B, 2>,
    sight: &Sight<B>,
    window: Option<usize>,
) -> Tensor<B, 4> {
    let (dtype, [_, tokens, ..], [_, heads]) = (x.dtype(), x.dims(), spaces.dims());
    let of = |block: Block| {
        let Shared { shares, value, .. } = shared(parts_of(&x, heads, &block), &spaces, sight, &block);
        B::multiply(dropout(shares, block.dropped), value).swap_dims(1, 2)
    };
    narrow(Tensor::cat(blocks(tokens, sight, window).into_iter().map(of).collect(), 1), dtype)
}

/// Block by block everything is made once more: so that of all tokens never more is there than one block's.
pub(crate) fn attend_near_back<B: Ops>(
    x: Tensor<B, 4>,
    spaces: Tensor<B, 2>,
    sight: &Sight<B>,
    window: Option<usize>,
    grad: Tensor<B, 4>,
) -> (Tensor<B, 4>, Tensor<B, 2>) {
    let ([batch, tokens, all, width], [_, heads], device) = (x.dims(), spaces.dims(), x.device());
    let kv = (all - heads) / 2;
    let mut of_keys = Tensor::<B, 4>::zeros([batch, tokens, 2 * kv, width], (&device, DType::F32));
    let mut of_spaces = Tensor::<B, 2>::zeros([2, heads], (&device, DType::F32));
    let mut of_queries = Vec::new();
    for block in blocks(tokens, sight, window) {
        let Shared { pairs, shares, value } = shared(parts_of(&x, heads, &block), &spaces, sight, &block);
        let grad = wide(grad.clone().narrow(1, block.queries.start, block.queries.len()).swap_dims(1, 2));
        let stayed = dropout(shares.clone(), block.dropped);
        let of_value = B::multiply(stayed.swap_dims(2, 3), grad.clone());
        let of_shares = dropout(B::multiply(grad, value.swap_dims(2, 3)), block.dropped);
        let mean = (shares.clone() * of_shares.clone()).sum_dim(3);
        let ([of_query, of_key], of_space) = pairs.back(shares * (of_shares - mean));
        of_queries.push(of_query.mul_scalar(sight.scale).swap_dims(1, 2));
        let of_both = [of_key.mul_scalar(sight.scale), of_value].map(|grad| by_token(grad, kv));
        let part = [0..batch, block.keys.clone(), 0..2 * kv, 0..width];
        let so_far = of_keys.clone().slice(part.clone());
        of_keys = of_keys.slice_assign(part, so_far + Tensor::cat(of_both.to_vec(), 2));
        of_spaces = of_spaces + of_space;
    }
    let of_x = Tensor::cat(vec![Tensor::cat(of_queries, 1), of_keys], 2);
    (narrow(of_x, x.dtype()), of_spaces)
}
