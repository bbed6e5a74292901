//! Rows dealt to experts, their products, all asked for at once, and what experts gave put together again.
use super::apart::make;
use super::blas::Shape;
use super::kernel::{Kernel, Source, Words};
use super::product::multiplies;
use super::tensor::Numbers;
use super::{each, narrow};
use crate::experts::{Dealing, parts};
use crate::ops::Turned;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source =
    &[include_str!("source/numbers.cu"), include_str!("source/pieces.cu"), include_str!("source/dealt.cu")];
const THREADS: usize = 256;
/// Threads of a block that has a place.
const OF_A_PLACE: usize = 128;

type Matrix = Tensor<Cuda, 2>;

/// How rows are gone through: in pieces, of a number where a row is no multiple of more.
struct Pieces {
    step: usize,
    across: usize,
    rows: usize,
    chosen: usize,
    dtype: DType,
}

impl Pieces {
    fn of(x: &Matrix, dealing: &Dealing<Cuda>) -> Option<Self> {
        let ([given, width], each) = (x.dims(), each(x.dtype())?);
        let ints = [&dealing.rows, &dealing.order, &dealing.places];
        let fits = ints.iter().all(|ints| ints.dtype() == DType::I32);
        let step = if width.is_multiple_of(each) { each } else { 1 };
        // Pieces are numbered in 32 bits.
        let [rows, places] = dealing.sizes();
        let right = fits && given > 0 && width > 0 && places * (width / step) < u32::MAX as usize - THREADS;
        right.then(|| Self { step, across: width / step, rows, chosen: dealing.chosen, dtype: x.dtype() })
    }

    /// Starts a kernel that writes so many rows.
    fn start(&self, entry: &'static str, buffers: &[&Numbers], rows: usize, shares: bool) {
        let by_place = entry == "gather_rows_back";
        let pieces = rows * self.across;
        let words = Words::default().int(pieces).int(self.across).int(self.chosen).int(self.rows);
        let defines = vec![narrow(self.dtype), ("STEP", self.step), ("SHARES", usize::from(shares))];
        let threads = if by_place { OF_A_PLACE } else { THREADS };
        let blocks = if by_place { rows } else { pieces.div_ceil(THREADS) };
        let all = buffers.iter().map(|numbers| numbers.at()).collect();
        let kernel = Kernel::of(entry, SOURCE, defines, threads as u32, 0);
        kernel.start(buffers[0].client(), [blocks, 1, 1], all, words);
    }
}

pub(crate) fn dealt(x: &Matrix, dealing: &Dealing<Cuda>) -> Option<Matrix> {
    let (pieces, [_, width], [_, places]) = (Pieces::of(x, dealing)?, x.dims(), dealing.sizes());
    let (x, rows) = (Numbers::of(x.clone()), Numbers::of_ints(dealing.rows.clone()));
    let y = Numbers::room(&x, [places, width], pieces.dtype);
    pieces.start("deal_rows", &[&x, &rows, &y], places, false);
    Some(y.tensor())
}

/// The sum of what stands at the places of each row, each times its share, where there are shares.
pub(crate) fn gathered(x: &Matrix, shares: Option<&Matrix>, dealing: &Dealing<Cuda>) -> Option<Matrix> {
    let (pieces, [_, width], [rows, _]) = (Pieces::of(x, dealing)?, x.dims(), dealing.sizes());
    if shares.is_some_and(|shares| shares.dtype() != DType::F32) {
        return None;
    }
    let (x, at) = (Numbers::of(x.clone()), Numbers::of_ints(dealing.places.clone()));
    let shares = shares.map(|shares| Numbers::of(shares.clone()));
    let y = Numbers::room(&x, [rows, width], pieces.dtype);
    // Where there are no shares nobody reads them.
    pieces.start("gather_rows", &[&x, &at, shares.as_ref().unwrap_or(&x), &y], rows, shares.is_some());
    Some(y.tensor())
}

pub(crate) fn gathered_back(
    x: &Matrix,
    shares: &Matrix,
    dealing: &Dealing<Cuda>,
    grad: &Matrix,
) -> Option<[Matrix; 2]> {
    let (pieces, [places, width], dims) = (Pieces::of(x, dealing)?, x.dims(), shares.dims());
    if shares.dtype() != DType::F32 || grad.dtype() != pieces.dtype {
        return None;
    }
    let [x, shares, grad] = [x, shares, grad].map(|x| Numbers::of(x.clone()));
    let order = Numbers::of_ints(dealing.order.clone());
    let of_x = Numbers::room(&x, [places, width], pieces.dtype);
    let of_shares = Numbers::room(&x, dims, DType::F32);
    let buffers = [&x, &order, &shares, &grad, &of_x, &of_shares];
    pieces.start("gather_rows_back", &buffers, places, true);
    Some([of_x.tensor(), of_shares.tensor()])
}

/// Places and weights whose products can be made here: the weights of an expert are one behind the other, and its places follow each other.
struct Experts {
    x: Numbers,
    weights: Vec<Numbers>,
    /// Of each expert its first place, and how many.
    parts: Vec<(usize, usize)>,
    places: usize,
    wide: usize,
    /// Numbers that an expert gives for a place.
    sum: usize,
    dtype: DType,
}

impl Experts {
    fn of(x: &Matrix, weights: &[Vec<Matrix>], ends: &[usize]) -> Option<Self> {
        let ([places, wide], dtype) = (x.dims(), x.dtype());
        let stacked = weights.iter().map(|own| match own.as_slice() {
            [one] => Some(one),
            _ => None,
        });
        let stacked: Vec<&Matrix> = stacked.collect::<Option<_>>()?;
        let [sum, _] = stacked.first()?.dims();
        let alike = |own: &&Matrix| own.dims() == [sum, wide] && own.dtype() == dtype;
        // Whatever begins within memory begins where the library reads fast.
        let steps = wide.is_multiple_of(8) && sum.is_multiple_of(8);
        let known = matches!(dtype, DType::F32 | DType::BF16) && ends.last() == Some(&places);
        let fits = steps && known && places > 0 && wide > 0 && sum > 0 && multiplies();
        (fits && stacked.iter().all(alike)).then(|| Self {
            x: Numbers::of(x.clone()),
            weights: stacked.into_iter().map(|own| Numbers::of(own.clone())).collect(),
            parts: parts(ends),
            places,
            wide,
            sum,
            dtype,
        })
    }

    /// Those that have places: the number of each, its first place, and how many.
    fn used(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let all = self.parts.iter().enumerate().map(|(at, (first, places))| (at, *first, *places));
        all.filter(|(_, _, places)| *places > 0)
    }

    fn shape(&self, turned: Turned, [m, n, k]: [usize; 3], narrow_result: bool) -> Shape {
        let narrow = self.dtype == DType::BF16;
        let narrow_result = narrow && narrow_result;
        Shape { turned, count: 1, m, n, k, narrow, narrow_result, added: false, strides: [0; 3] }
    }
}

pub(crate) fn project_dealt(x: &Matrix, weights: &[Vec<Matrix>], ends: &[usize]) -> Option<Matrix> {
    let experts = Experts::of(x, weights, ends)?;
    let Experts { places, wide, sum, .. } = experts;
    let to = Numbers::room(&experts.x, [places, sum], experts.dtype);
    let one = |(at, first, rows): (usize, usize, usize)| {
        let shape = experts.shape(Turned::Right, [rows, sum, wide], true);
        let own = experts.x.part(first * wide, rows * wide);
        (shape, [own, experts.weights[at].clone(), to.part(first * sum, rows * sum)])
    };
    make(experts.used().map(one).collect());
    Some(to.tensor())
}

pub(crate) fn project_dealt_back(
    x: &Matrix,
    weights: &[Vec<Matrix>],
    ends: &[usize],
    grad: &Matrix,
    [of_x, of_weights]: [bool; 2],
) -> Option<[Option<Matrix>; 2]> {
    let experts = Experts::of(x, weights, ends)?;
    let Experts { places, wide, sum, .. } = experts;
    if grad.dims() != [places, sum] || grad.dtype() != experts.dtype {
        return None;
    }
    let (grad, count) = (Numbers::of(grad.clone()), experts.weights.len());
    let to_x = of_x.then(|| Numbers::room(&experts.x, [places, wide], experts.dtype));
    let to_weights = of_weights.then(|| {
        let shape = [count * sum, wide];
        if experts.used().count() == count {
            return Numbers::room(&experts.x, shape, DType::F32);
        }
        // Who has no place has learned nothing.
        Numbers::of(Tensor::<Cuda, 2>::zeros(shape, (&x.device(), DType::F32))).own()
    });
    let both = |(at, first, rows): (usize, usize, usize)| {
        let own = grad.part(first * sum, rows * sum);
        let back = to_x.as_ref().map(|to| {
            let shape = experts.shape(Turned::Neither, [rows, wide, sum], true);
            (shape, [own.clone(), experts.weights[at].clone(), to.part(first * wide, rows * wide)])
        });
        let learned = to_weights.as_ref().map(|to| {
            let shape = experts.shape(Turned::Left, [sum, wide, rows], false);
            let x = experts.x.part(first * wide, rows * wide);
            (shape, [own.clone(), x, to.part(at * sum * wide, sum * wide)])
        });
        back.into_iter().chain(learned)
    };
    make(experts.used().flat_map(both).collect());
    Some([to_x, to_weights].map(|to| to.map(Numbers::tensor)))
}
