//! Heads that learn from token to token (test-time training), many tokens at once: what each step of gradient descent would have given, by
//! products of whole chunks.
//!
//! A head has a matrix `W`, at first zero. Token `t` is answered `W q`, and then `W` makes a step towards `W k = v`: `W += eta (v - W k) kᵀ`.
//! With `R` for the rows `v - W k` of a chunk that finds `W0`, `(I + eta tril(K Kᵀ, -1)) R = V - K W0ᵀ`: so all of a chunk is known once its
//! `W0` is, and from chunk to chunk `W` is multiplied by one matrix and another is added. That is put together pair by pair.
use super::{narrow, wide};
use crate::ops::{Learning, Ops};
use burn::prelude::*;
use burn::tensor::DType;

/// Tokens of a chunk: a power of two.
const CHUNK: usize = 64;
/// What is added to the length of a key, so that nothing is divided by zero.
pub(crate) const LEAST: f64 = 1e-6;

/// Which tokens of chunks know of each other, as ones and zeros.
struct Masks<B: Backend> {
    /// `[.., CHUNK, CHUNK]`: those of the same document before each.
    before: Tensor<B, 4>,
    /// `[.., CHUNK, 1]`: whether a token's document began before its chunk.
    carried: Tensor<B, 4>,
    /// `[.., CHUNK, 1]`: whether it is of the chunk's last document.
    last: Tensor<B, 4>,
    /// `[.., 1, 1]`: whether the chunk's last document began before it.
    carries: Tensor<B, 4>,
}

/// # Shapes
/// begins `[batch, chunks * CHUNK]` -> masks `[batch * heads, chunks, ..]`
fn masks<B: Backend>(begins: Tensor<B, 2, Int>, heads: usize, dtype: DType) -> Masks<B> {
    let ([batch, tokens], device) = (begins.dims(), begins.device());
    let chunks = tokens / CHUNK;
    let begins = begins.reshape([batch, chunks, CHUNK, 1]);
    let places = Tensor::<B, 1, Int>::arange(0..tokens as i64, (&device, begins.dtype()));
    let of_rows = places.clone().reshape([1, chunks, CHUNK, 1]);
    let of_columns = places.reshape([1, chunks, 1, CHUNK]);
    let first = of_rows.clone().narrow(2, 0, 1);
    let last = begins.clone().narrow(2, CHUNK - 1, 1);
    let square = [batch, chunks, CHUNK, CHUNK];
    let seen = of_columns.clone().expand(square).greater_equal(begins.clone().expand(square));
    let before = seen.bool_and(of_columns.expand(square).lower(of_rows.clone().expand(square)));
    let column = [batch, chunks, CHUNK, 1];
    let carried = begins.lower(first.clone().expand(column));
    let of_last = of_rows.expand(column).greater_equal(last.clone().expand(column));
    let carries = last.lower(first.expand([batch, chunks, 1, 1]));
    let by_head = |mask: Tensor<B, 4, Bool>| {
        let [_, _, rows, columns] = mask.dims();
        let mask = mask.float().cast(dtype).unsqueeze_dim::<5>(1).repeat_dim(1, heads);
        mask.reshape([batch * heads, chunks, rows, columns])
    };
    Masks {
        before: by_head(before),
        carried: by_head(carried),
        last: by_head(of_last),
        carries: by_head(carries),
    }
}

/// The inverse of a lower triangle with ones on its diagonal, of which `below` is the rest: from that of its blocks to that of blocks twice
/// as large. Powers of `below` would lose all digits where steps are large.
fn inverse<B: Ops>(below: Tensor<B, 4>) -> Tensor<B, 4> {
    let (device, dtype) = (below.device(), below.dtype());
    let places = Tensor::<B, 1, Int>::arange(0..CHUNK as i64, &device);
    let (rows, columns) = (places.clone().reshape([1, 1, CHUNK, 1]), places.reshape([1, 1, 1, CHUNK]));
    let block = |x: &Tensor<B, 4, Int>, size: usize| x.clone().div_scalar(size as i64);
    let mask = |both: Tensor<B, 4, Bool>| both.float().cast(dtype);
    let square = [1, 1, CHUNK, CHUNK];
    let same = |size: usize| block(&rows, size).expand(square).equal(block(&columns, size).expand(square));
    let mut made = mask(same(1)) - below.clone() * mask(same(2).bool_and(same(1).bool_not()));
    let mut size = 2;
    while size < CHUNK {
        let between = below.clone() * mask(same(2 * size).bool_and(same(size).bool_not()));
        made = made.clone() - B::multiply(B::multiply(made.clone(), between), made);
        size *= 2;
    }
    made
}

/// What each chunk finds, where chunk by chunk what is found is multiplied by a matrix and another is added: nothing, at first.
///
/// # Shapes
/// both `[.., chunks, width, width]`
fn found<B: Ops>(times: Tensor<B, 4>, plus: Tensor<B, 4>) -> Tensor<B, 4> {
    let [batch, chunks, width, _] = times.dims();
    if chunks == 1 {
        return times.zeros_like();
    }
    if chunks % 2 == 1 {
        let nothing = Tensor::zeros([batch, 1, width, width], (&times.device(), times.dtype()));
        let longer = |x| Tensor::cat(vec![x, nothing.clone()], 1);
        return found(longer(times), longer(plus)).narrow(1, 0, chunks);
    }
    let half = |x: Tensor<B, 4>, which: usize| {
        let pairs = x.reshape([batch * chunks / 2, 2, width, width]);
        pairs.narrow(1, which, 1).reshape([batch, chunks / 2, width, width])
    };
    let (first, second) = ([half(times.clone(), 0), half(plus.clone(), 0)], [half(times, 1), half(plus, 1)]);
    let ([times, plus], [times_after, plus_after]) = (first, second);
    let both = B::multiply(times.clone(), times_after.clone());
    let even = found(both, B::multiply(plus.clone(), times_after) + plus_after);
    let odd = B::multiply(even.clone(), times) + plus;
    Tensor::stack::<5>(vec![even, odd], 2).reshape([batch, chunks, width, width])
}

/// Rows by head in chunks, with zeros behind the last.
///
/// # Shapes
/// `[batch, tokens, heads, width]` -> `[batch * heads, chunks, CHUNK, width]`, in f32
fn in_chunks<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [batch, tokens, heads, width] = x.dims();
    let (x, chunks) = (wide(x.swap_dims(1, 2)), tokens.div_ceil(CHUNK));
    let missing = chunks * CHUNK - tokens;
    let x = if missing == 0 {
        x
    } else {
        let nothing = Tensor::zeros([batch, heads, missing, width], (&x.device(), DType::F32));
        Tensor::cat(vec![x, nothing], 2)
    };
    x.reshape([batch * heads, chunks, CHUNK, width])
}

/// The way back of [`in_chunks`].
fn by_token<B: Backend>(x: Tensor<B, 4>, heads: usize, tokens: usize) -> Tensor<B, 4> {
    let [all, chunks, _, width] = x.dims();
    x.reshape([all / heads, heads, chunks * CHUNK, width]).narrow(2, 0, tokens).swap_dims(1, 2)
}

/// Rows of a length of one, and what they were divided by.
fn unit<B: Backend>(x: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 4>) {
    let length = (x.clone() * x.clone()).sum_dim(3).clamp_min(LEAST * LEAST).sqrt().add_scalar(LEAST);
    (x / length.clone(), length)
}

/// The way back of [`unit`], from what it gave.
fn unit_back<B: Backend>(unit: Tensor<B, 4>, length: Tensor<B, 4>, grad: Tensor<B, 4>) -> Tensor<B, 4> {
    let along = (unit.clone() * grad.clone()).sum_dim(3) * length.clone() / length.clone().sub_scalar(LEAST);
    (grad - unit * along) / length
}

fn turned<B: Backend>(x: &Tensor<B, 4>) -> Tensor<B, 4> {
    x.clone().swap_dims(2, 3)
}

/// All that is known on the way to the answers.
struct Learned<B: Backend> {
    masks: Masks<B>,
    /// Queries, keys and values, and what the first two were divided by to have a length of one; and values too, where one view is all three.
    views: [Tensor<B, 4>; 3],
    lengths: [Tensor<B, 4>; 2],
    /// The inverse of the triangle.
    solved: Tensor<B, 4>,
    /// `R` is `own` less what `W0` takes of `taken`.
    own: Tensor<B, 4>,
    taken: Tensor<B, 4>,
    /// What goes on to the next chunk is of the last document.
    key_of_last: Tensor<B, 4>,
    /// What `W` is multiplied by from chunk to chunk.
    times: Tensor<B, 4>,
    /// `W0` of each chunk, turned.
    found: Tensor<B, 4>,
    rest: Tensor<B, 4>,
    within: Tensor<B, 4>,
}

fn learned<B: Ops>(x: Tensor<B, 4>, learning: &Learning<B>) -> Learned<B> {
    let ([_, tokens, all, width], heads, rate) = (x.dims(), learning.heads, learning.rate);
    let view = |which: usize| in_chunks(x.clone().narrow(2, which * heads, heads));
    let one = all == heads;
    let (key, key_length) = unit(view(usize::from(!one)));
    let (views, lengths) = if one {
        ([key.clone(), key.clone(), key], [key_length.clone(), key_length])
    } else {
        let (query, query_length) = unit(view(0));
        ([query, key, view(2)], [query_length, key_length])
    };
    let mut begins = learning.begins.clone();
    let missing = tokens.next_multiple_of(CHUNK) - tokens;
    if missing > 0 {
        let more = begins.clone().narrow(1, tokens - 1, 1).repeat_dim(1, missing);
        begins = Tensor::cat(vec![begins, more], 1);
    }
    let masks = masks(begins, heads, DType::F32);
    let [query, key, value] = views.clone();
    let solved = inverse((B::multiply(key.clone(), turned(&key)) * masks.before.clone()).mul_scalar(rate));
    let own = B::multiply(solved.clone(), value);
    let taken = B::multiply(solved.clone(), key.clone() * masks.carried.clone());
    let key_of_last = key.clone() * masks.last.clone().mul_scalar(rate);
    let eye = Tensor::<B, 2>::eye(width, &key.device()).cast(DType::F32).unsqueeze::<4>();
    let times = eye * masks.carries.clone() - B::multiply(turned(&taken), key_of_last.clone());
    let found = turned(&found(times.clone(), B::multiply(turned(&own), key_of_last.clone())));
    let rest = own.clone() - B::multiply(taken.clone(), found.clone());
    let within = (B::multiply(query, turned(&key)) * masks.before.clone()).mul_scalar(rate);
    Learned { masks, views, lengths, solved, own, taken, key_of_last, times, found, rest, within }
}

pub(crate) fn learn<B: Ops>(x: Tensor<B, 4>, learning: &Learning<B>) -> Tensor<B, 4> {
    let (dtype, [_, tokens, ..]) = (x.dtype(), x.dims());
    let Learned { masks, views: [query, ..], found, rest, within, .. } = learned(x, learning);
    let answers = B::multiply(query * masks.carried, found) + B::multiply(within, rest);
    narrow(by_token(answers, learning.heads, tokens), dtype)
}

/// All is made once more. What the loss asks of the matrix behind a chunk comes from the chunks behind it, as what is learned comes from those
/// before: by the same products the other way round.
pub(crate) fn learn_back<B: Ops>(
    x: Tensor<B, 4>,
    learning: &Learning<B>,
    grad: Tensor<B, 4>,
) -> Tensor<B, 4> {
    let (dtype, [_, tokens, all, _], Learning { heads, rate, .. }) = (x.dtype(), x.dims(), learning);
    let Learned {
        masks,
        views,
        lengths,
        solved,
        own,
        taken,
        key_of_last,
        times,
        found: matrix,
        rest,
        within,
    } = learned(x, learning);
    let ([query, key, _], grad) = (views, in_chunks(grad));
    // Of the answers: by way of the matrix that the chunk finds, and within it.
    let of_within = (B::multiply(grad.clone(), turned(&rest)) * masks.before.clone()).mul_scalar(*rate);
    let of_rest = B::multiply(turned(&within), grad.clone());
    let query_carried = query.clone() * masks.carried.clone();
    let asked = B::multiply(turned(&grad), query_carried) - B::multiply(turned(&of_rest), taken.clone());
    let behind = found(turned(&times).flip([1]), asked.flip([1])).flip([1]);
    // Of what goes on from chunk to chunk.
    let of_times = B::multiply(matrix.clone(), behind.clone());
    let of_taken = (B::multiply(key_of_last.clone(), turned(&of_times))
        + B::multiply(of_rest.clone(), turned(&matrix)))
    .neg();
    let of_own = of_rest + B::multiply(key_of_last, turned(&behind));
    let of_last = B::multiply(own.clone(), behind) - B::multiply(taken.clone(), of_times);
    // Of the triangle.
    let [of_value, of_carried] = [of_own, of_taken].map(|grad| B::multiply(turned(&solved), grad));
    let of_triangle =
        B::multiply(of_value.clone(), turned(&own)) + B::multiply(of_carried.clone(), turned(&taken));
    let of_triangle = (of_triangle * masks.before).mul_scalar(-rate);
    let of_query = B::multiply(of_within.clone(), key.clone())
        + B::multiply(grad, turned(&matrix)) * masks.carried.clone();
    let of_key = B::multiply(turned(&of_within), query.clone())
        + B::multiply(of_triangle.clone() + turned(&of_triangle), key.clone())
        + of_carried * masks.carried
        + of_last * masks.last.mul_scalar(*rate);
    let [query_length, key_length] = lengths;
    let grads = if all == *heads {
        vec![unit_back(key, key_length, of_query + of_key + of_value)]
    } else {
        vec![unit_back(query, query_length, of_query), unit_back(key, key_length, of_key), of_value]
    };
    let grads = grads.into_iter().map(|grad| by_token(grad, *heads, tokens)).collect();
    narrow(Tensor::cat(grads, 2), dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;
    use burn::backend::Flex;

    #[test]
    fn a_triangle_times_its_inverse_is_one_for_large_steps_too() {
        let device = Default::default();
        let all: Vec<f32> = numbers(CHUNK * 8, 3).into_iter().map(|x| x as f32).collect();
        // Keys that are next to alike: what lies below the diagonal is near to one everywhere.
        let keys = Tensor::<Flex, 4>::from_data(TensorData::new(all, [1, 1, CHUNK, 8]), &device)
            .mul_scalar(0.05)
            + 1.0;
        let length = (keys.clone() * keys.clone()).sum_dim(3).sqrt();
        let keys = keys / length;
        let begins = Tensor::<Flex, 2, Int>::zeros([1, CHUNK], &device);
        let below = Flex::multiply(keys.clone(), keys.swap_dims(2, 3)) * masks(begins, 1, DType::F32).before;
        let eye = Tensor::<Flex, 2>::eye(CHUNK, &device).unsqueeze::<4>();
        let off = Flex::multiply(eye.clone() + below.clone(), inverse(below)) - eye;
        assert!(off.abs().max().into_scalar() < 1e-4);
    }
}
