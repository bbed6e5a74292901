//! The step of Muon: the matrices of one shape as a stack in bf16, which is what Muon's authors iterate in, through products that
//! take all of them at once.
use super::blas::{Product, Shape, apart};
use super::gram::{Gram, Norms};
use super::kernel::{Kernel, Source, Words};
use super::product::{multiplies, multiply_all};
use super::tensor::Numbers;
use super::{capability, narrow};
use crate::ops::{Push, Turned};
use crate::plain::{QUINTIC, ROUNDS, SMALLEST, size};
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use std::mem::swap;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/muon.cu")];
const THREADS: usize = 256;
/// Numbers that a thread has at once.
const EACH: usize = 8;
/// How many matrices a kernel takes in.
const EIGHT: usize = 8;
/// How many blocks share a large matrix.
const SHARES: usize = 512;
/// Numbers of a stack: enough to keep any GPU busy, and few beside its memory.
pub(crate) const TOGETHER: usize = 1 << 26;
/// As many matrices as a row of blocks each can be started for.
const MOST: usize = 65_535;
/// How often the longer side of a matrix has the shorter one where rounds share a factor: three products of squares a round are then
/// less than two of the whole matrix.
const APART: usize = 2;
/// How many rounds share one there. In bf16 three lose nothing to five by themselves; of more, small singular values would be lost.
const FEW: [usize; 2] = [3, 2];
const _: () = assert!(FEW[0] + FEW[1] == ROUNDS);

fn kernel(entry: &'static str, dtype: DType) -> Kernel {
    Kernel::of(entry, SOURCE, vec![narrow(dtype)], THREADS as u32, 0)
}

/// Whether [`muon`] can find the ways of these.
pub(crate) fn can_find(matrices: &[[Tensor<Cuda, 1>; 2]], [rows, columns]: [usize; 2]) -> bool {
    let fits = |x: &Tensor<Cuda, 1>| x.dtype() == DType::F32 && x.dims() == [rows * columns];
    let Some([first, _]) = matrices.first() else { return false };
    let there = || capability(first.device().index).is_some_and(|it| it >= (8, 0));
    let few = matrices.len() <= MOST && rows * columns > 0;
    few && matrices.iter().flatten().all(fits) && multiplies() && there()
}

/// The ways are parts of one stack. Momentum that nothing else holds is written over.
pub(crate) fn muon(
    matrices: Vec<[Tensor<Cuda, 1>; 2]>,
    shape: [usize; 2],
    push: &Push<Cuda>,
) -> Vec<[Tensor<Cuda, 1>; 2]> {
    let [rows, columns] = shape;
    let (count, len) = (matrices.len(), rows * columns);
    let matrices: Vec<_> = matrices.into_iter().map(|both| both.map(Numbers::of)).collect();
    let Some(like) = matrices.first().map(|[grad, _]| grad.clone()) else { return Vec::new() };
    let stack = Numbers::room(&like, [count, apart(rows, columns)], DType::BF16);
    let shares = len.div_ceil(2 * THREADS * EACH).clamp(1, SHARES);
    let parts = Numbers::room(&like, [count, shares], DType::F32);
    let over = |x: &Numbers| if x.alone() { x.clone() } else { Numbers::room(x, [len], DType::F32) };
    let scale = Numbers::of(push.scale.clone());
    let mut kept = Vec::with_capacity(count);
    for some in matrices.chunks(EIGHT) {
        let first = kept.len();
        kept.extend(some.iter().map(|[_, momentum]| over(momentum)));
        // Where there are fewer than eight, nobody looks at the last ones.
        let own = |at: usize| at.min(some.len() - 1);
        let grads = (0..EIGHT).map(|at| some[own(at)][0].at());
        let momenta = (0..EIGHT).map(|at| some[own(at)][1].at());
        let news = (0..EIGHT).map(|at| kept[first + own(at)].at());
        let buffers = grads.chain(momenta).chain(news).chain([stack.at(), parts.at(), scale.at()]).collect();
        let words = Words::default().long(len).long(apart(rows, columns)).int(first);
        let words = words.float(push.momentum).int(usize::from(push.nesterov));
        kernel("push_all", DType::BF16).start(like.client(), [shares, some.len(), 1], buffers, words);
    }
    // Gradients make room for what follows.
    drop(matrices);
    let stack = near_one(&stack, count, shape, &Norms { parts, shares, smallest: SMALLEST });
    let way = |at: usize| stack.part(at * apart(rows, columns), len).tensor();
    kept.into_iter().enumerate().map(|(at, kept)| [way(at), kept.tensor()]).collect()
}

/// Divides a stack of matrices by their norms and brings their singular values near to one, by the iteration of Newton and Schulz,
/// and to the size of a step. What is multiplied and added besides is done by the products themselves.
fn near_one(stack: &Numbers, count: usize, [rows, columns]: [usize; 2], norms: &Norms) -> Numbers {
    let (short, long, tall) = (rows.min(columns), rows.max(columns), rows > columns);
    let (whole, square) = (apart(rows, columns), apart(short, short));
    let room = |apart| Numbers::room(stack, [count, apart], DType::BF16);
    let of_all = Gram { count, side: short, deep: long, turned: tall, apart: [whole, square] };
    let of_gram = Gram { count, side: short, deep: short, turned: false, apart: [square; 2] };
    // Half of the work where there is a kernel for it.
    let half = capability(stack.device().index).is_some_and(|it| of_all.fits(it) && of_gram.fits(it));
    if !half {
        let words = Words::default().long(rows * columns).long(whole).int(norms.shares).float(norms.smallest);
        let buffers = vec![stack.at(), norms.parts.at()];
        kernel("to_one", DType::BF16).start(stack.client(), [norms.shares, count, 1], buffers, words);
    }
    let together: &[usize] = if half && long >= APART * short { &FEW } else { &[1; ROUNDS] };
    let [gram, all] = [(); 2].map(|()| room(square));
    let [last, spare] =
        [&gram, &all].map(|it| if together.len() < ROUNDS { room(square) } else { it.clone() });
    let mut squares = [gram, all, last, spare];
    let mut memory = [stack.clone(), room(whole)];
    // Where they stand among what products are given.
    let [x, to_come, gram, factor] = [0, 1, 2, 3];
    let [a, b, c] = QUINTIC;
    for (at, &rounds) in together.iter().enumerate() {
        let [from, to] = &memory;
        let mut products = Vec::new();
        let mut product = |turned, [m, k, n]: [usize; 3], places: [usize; 4], [times, added]: [f64; 2]| {
            let (narrow, narrow_result) = (true, true);
            let (added_to, strides) = (added != 0.0, [0; 3]);
            let shape = Shape { turned, count, m, n, k, narrow, narrow_result, added: added_to, strides };
            products.push(Product { shape, places, times: [times as f32, added as f32] });
        };
        if half {
            // The first ones take the norm along: twice in a matrix times itself, once in what it is multiplied by.
            let [twice, once] = if at == 0 { [2, 1] } else { [0, 0] };
            of_all.start([from, from], &squares[0], None, norms, twice);
            polynomials(&of_gram, &mut squares, rounds, norms, once);
        } else {
            let turned = if tall { Turned::Left } else { Turned::Right };
            product(turned, [short, long, short], [x, x, gram, gram], [1.0, 0.0]);
            product(Turned::Neither, [short; 3], [gram, gram, gram, factor], [c, b]);
        }
        let [left, right] = if tall { [x, factor] } else { [factor, x] };
        let of_size = if at + 1 == together.len() { size([rows, columns]) } else { 1.0 };
        // The kernel has put it on the diagonal of the factor.
        let added = if half { 0.0 } else { a * of_size };
        product(Turned::Neither, [rows, short, columns], [left, right, x, to_come], [of_size, added]);
        multiply_all(&[from, to, &squares[0], &squares[1]], products);
        memory.reverse();
    }
    let [found, _] = memory;
    found
}

/// What a matrix is multiplied by in so many rounds, of the first square, its product with itself, to the second one. A round with the
/// factor `p` makes `p g p` of that product: all of these are polynomials of one matrix, so their products are symmetric. The other
/// squares are needed from the second round on.
fn polynomials(
    of_gram: &Gram,
    [gram, all, last, spare]: &mut [Numbers; 4],
    rounds: usize,
    norms: &Norms,
    normed: usize,
) {
    let at_end = |round| if round + 1 == rounds { normed } else { 0 };
    of_gram.start([gram, gram], all, Some(QUINTIC), norms, at_end(0));
    for round in 1..rounds {
        let before = if round == 1 { &*all } else { &*last };
        of_gram.start([before, gram], spare, None, norms, 0);
        of_gram.start([spare, before], gram, None, norms, 0);
        of_gram.start([gram, gram], last, Some(QUINTIC), norms, 0);
        of_gram.start([last, all], spare, None, norms, at_end(round));
        swap(all, spare);
    }
}
