//! Rows dealt to experts, and what experts gave put together again.
use super::kernel::{Kernel, Source, Words};
use super::tensor::Numbers;
use super::{each, narrow};
use crate::experts::Dealing;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/dealt.cu")];
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
